"""The sites that a force has joined: a file says which, the settings hold keys and the list of hosts.

The file is `sites.yml` of the force, or the one that FRONTCOUNTER_SITES_FILE names. Where calls may go
is the operator's word (FRONTCOUNTER_SITE_HOSTS), not that of whoever writes the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, cast, get_args
from urllib.parse import urlsplit

import yaml

from bot.channels.addresses import THIS_MACHINE
from bot.channels.sites.signature import Key, read_key
from bot.errors import SettingError
from bot.settings import Settings

FILE = "sites.yml"
PREFIX = "site-"
KEYS = "FRONTCOUNTER_SITE_SECRETS"
HOSTS = "FRONTCOUNTER_SITE_HOSTS"
INSIDE = "FRONTCOUNTER_SITE_HOSTS_INSIDE"
MOST_SITES = 20
MOST_KEYS = 2
SHORTEST_TEXT, LONGEST_TEXT = 500, 20_000

Kind = Literal["message_board", "blog", "email"]
_KINDS: tuple[Kind, ...] = get_args(Kind)
_NAME = re.compile(r"[a-z0-9](?:-?[a-z0-9]){1,23}")
_FIELDS = {"name", "title", "kind", "callback", "longest", "public", "markup", "note", "verify"}
_NEEDED = ("name", "title", "kind", "callback")


@dataclass(frozen=True, slots=True)
class Site:
    """One joined site. Its keys are not shown when it is printed."""

    name: str
    """As in its address: letters, digits and hyphens."""
    title: str
    """What staff call it."""
    kind: Kind
    callback: str
    longest: int
    """Letters of one reply; a longer one leaves in parts."""
    inside: bool
    """Its host may have an address of the force's own network, or of this machine."""
    keys: tuple[Key, ...] = field(repr=False)

    @property
    def channel(self) -> str:
        """The name of its channel."""
        return PREFIX + self.name

    @property
    def host(self) -> str:
        """The host that its replies go to."""
        return urlsplit(self.callback).hostname or ""


def read_sites(settings: Settings) -> list[Site]:
    """Every site of the file, with its keys.

    Raises:
        SettingError: something is wrong; names the site and what to do, never a key.
    """
    path = settings.sites_file or settings.force / FILE
    if settings.sites_file is None and not path.is_file():
        return []
    try:
        loaded = yaml.safe_load(path.read_text("utf-8")) or {}
    except OSError:
        raise SettingError(
            f"FRONTCOUNTER_SITES_FILE: {path.name} cannot be read. Name another file, or none."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise SettingError(f"{path.name}{where}: this is not valid YAML. Mend that line.") from None
    listed = loaded.get("sites") if isinstance(loaded, dict) else None
    if not isinstance(listed, list) or len(listed) > MOST_SITES:
        raise SettingError(f"{path.name}: 'sites' is a list of at most {MOST_SITES}. With none, write [].")
    keys = _keys(settings) if listed else {}
    sites = [_site(path.name, number, one, settings, keys) for number, one in enumerate(listed, 1)]
    names = [site.name for site in sites]
    for name in names:
        if names.count(name) > 1:
            raise SettingError(f"{path.name}: two sites are called {name}. Give one of them another name.")
    owners: dict[Key, str] = {}
    for site in sites:
        for key in site.keys:
            # The address is not signed: with one key, one site could write in the other's name.
            if owners.setdefault(key, site.name) != site.name:
                raise SettingError(
                    f"{KEYS}: {site.name} and {owners[key]} have the same key. Make one for each."
                )
    return sites


def _site(file: str, number: int, given: object, settings: Settings, keys: Mapping[str, Any]) -> Site:
    where = f"{file}, site {number}"
    if not isinstance(given, dict):
        _wrong(where, "it is no list of fields. Copy the example in the file")
    if unknown := sorted(str(key)[:40] for key in given if key not in _FIELDS):
        _wrong(where, f"{unknown[0]} is no field of a site. Take it out, or mend its name")
    for key in _NEEDED:
        if not isinstance(given.get(key), str) or not given[key].strip():
            _wrong(where, f"'{key}' is missing")
    name = given["name"].strip()
    if len(name) > 24 or not _NAME.fullmatch(name):
        _wrong(where, "'name' is 2 to 24 small letters and digits, with single hyphens between them")
    where = f"{file}, {name}"
    _supported(where, given)
    longest = given.get("longest", 5000)
    if isinstance(longest, bool) or not isinstance(longest, int) or not (
        SHORTEST_TEXT <= longest <= LONGEST_TEXT
    ):  # fmt: skip
        _wrong(where, f"'longest' is a number of letters from {SHORTEST_TEXT} to {LONGEST_TEXT:_}")
    callback, inside = _callback(where, given["callback"].strip(), settings)
    title = " ".join(given["title"].split())[:40]
    return Site(name, title, cast(Kind, given["kind"]), callback, longest, inside, _keys_of(name, keys))


def _supported(where: str, given: Mapping[str, Any]) -> None:
    if given["kind"] not in _KINDS:
        _wrong(where, f"'kind' is one of {', '.join(_KINDS)}")
    if given.get("markup", "plain") != "plain":
        _wrong(where, "'markup' is plain: replies are plain text")
    if given.get("public", False) is not False:
        # What the assistant says to one person is not for everybody's eyes.
        _wrong(
            where,
            "only private messages can be joined, not comments that everybody reads. "
            "Join the site's private messages, and set 'public' to false",
        )


def _callback(where: str, callback: str, settings: Settings) -> tuple[str, bool]:
    """Where replies go, and whether that may be an address inside."""
    try:
        parts = urlsplit(callback)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if not host or parts.scheme not in ("https", "http") or not callback.isascii():
        _wrong(where, "'callback' is an address such as https://forum.example/front-counter")
    if parts.username is not None or parts.fragment or not callback.isprintable() or " " in callback:
        _wrong(where, "'callback' holds a user, a space or a '#'. Write the address without it")
    inside = host in settings.site_hosts_inside
    if not inside and host not in settings.site_hosts:
        _wrong(where, f"replies may not go to {host}. Add it to {HOSTS}, or mend 'callback'")
    if parts.scheme == "http" and not (inside and host in THIS_MACHINE):
        _wrong(where, "'callback' begins with https://. Plain http:// is for tests on this machine only")
    return callback, inside


def _keys(settings: Settings) -> dict[str, Any]:
    written = settings.site_secrets.get_secret_value().strip()
    try:
        loaded = json.loads(written or "{}")
    except ValueError:
        loaded = None
    if not isinstance(loaded, dict):
        raise SettingError(f'{KEYS} is JSON such as {{"forum": "whsec_…"}}. Mend it.')
    return loaded


def _keys_of(name: str, keys: Mapping[str, Any]) -> tuple[Key, ...]:
    given = keys.get(name)
    written: list[Any] = given if isinstance(given, list) else [given]
    if given is None or not written:
        raise SettingError(f"{KEYS} holds no key for {name}. docs/channels/webhook.md says how to make one.")
    if len(written) > MOST_KEYS or not all(isinstance(one, str) for one in written):
        raise SettingError(f"{KEYS}, {name}: one key, or a list of two while one is changed.")
    try:
        return tuple(read_key(one.strip()) for one in written)
    except ValueError as error:
        raise SettingError(f"{KEYS}, {name}: {error}. docs/channels/webhook.md says how.") from None


def _wrong(where: str, what: str) -> NoReturn:
    raise SettingError(f"{where}: {what}.")
