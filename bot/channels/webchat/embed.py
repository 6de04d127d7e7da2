"""The chat on the force's other pages: whose pages may hold it, and the script that they load.

A page loads `/chat/widget.js`, a module; browsers say in `Origin` whose page asks for a module. Once
somebody opens the chat, the script puts `/chat/frame` into a frame, and the browser itself keeps that
frame from every page that `frame-ancestors` does not name. docs/decisions/0021 says why a frame.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from bot.channels.webchat.page import File, Pages
from bot.errors import NotAllowedError

SETTING = "FRONTCOUNTER_WEBCHAT_ORIGINS"
SHORT_CACHE = "public, max-age=300"
"""The script has words in it, which a release may change."""
WORDS = {
    "title": "chat_title",
    "open": "chat_widget_open",
    "close": "chat_widget_close",
    "leave": "quick_exit_title",
    "danger": "danger_line",
    "opening": "chat_widget_opening",
    "failed": "chat_widget_failed",
    "again": "chat_widget_again",
    "ownPage": "chat_widget_own_page",
    "newTab": "chat_new_tab",
}
"""What the script says by itself, while the frame is not there."""


class Origins:
    """The pages that may hold the chat. Our own always may."""

    def __init__(self, listed: Sequence[str]) -> None:
        self._listed = frozenset(listed)
        self.frame_ancestors = " ".join(["frame-ancestors 'self'", *sorted(self._listed)])
        """Exactly these, for the header that the browser obeys."""

    def check_script(self, headers: Mapping[str, str]) -> str | None:
        """Whose page asks for the script; None where a browser names nobody, as for our own page.

        Raises:
            NotAllowedError: a page that is not on the list.
        """
        origin = headers.get("origin")
        if origin is None or _is_own(origin, headers):
            return None
        self._must_know(origin)
        return origin

    def check_frame(self, headers: Mapping[str, str]) -> None:
        """Refuse a frame on a foreign page in words, where the browser says whose page it is.

        Where it does not, `frame-ancestors` still keeps the frame empty.

        Raises:
            NotAllowedError: a page that is not on the list.
        """
        if headers.get("sec-fetch-dest") not in (None, "iframe", "frame"):
            return
        around = urlsplit(headers.get("referer", ""))
        origin = f"{around.scheme}://{around.netloc}".lower()
        if around.netloc and not _is_own(origin, headers):
            self._must_know(origin)

    def _must_know(self, origin: str) -> None:
        if origin not in self._listed:
            shown = origin if 0 < len(origin) <= 100 and origin.isprintable() else "That"
            raise NotAllowedError(
                f"{shown} is not a place where this chat may be put. "
                f"If it is the force's own page, add its origin to {SETTING}."
            )


def script(pages: Pages, exit_url: str, language: str) -> File:
    """The module that a page loads: the words in force, then the code."""
    words: dict[str, Any] = {name: pages.line(key) for name, key in WORDS.items()}
    words |= {"exit": exit_url, "language": language, "colour": pages.force_colour()}
    # ASCII and no "</": it stays what it is wherever it is put.
    said = json.dumps(words, ensure_ascii=True).replace("</", "<\\/")
    body = f"const words = {said};\n".encode() + pages.files["widget.js"].body
    return File(
        body, "text/javascript; charset=utf-8", hashlib.sha256(body).hexdigest()[:12],
        gzip.compress(body, mtime=0),
    )  # fmt: skip


def _is_own(origin: str, headers: Mapping[str, str]) -> bool:
    return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
