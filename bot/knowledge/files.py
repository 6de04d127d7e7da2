"""Approved words in and out: `data/faq/` and a force's folder are written so that they read the same.

What is live goes into the files that the gateway runs with: a file that says the same stays byte for
byte, and in one that differs only what differs is written anew, so its comments stay and a comparison
shows what staff changed. A file that is not there yet gets one fixed form (`form.py`). Files of the
force that no release holds (alarms, pages and so on) go with them, so that the folder is whole.
Of a release that was made before phrases were kept, the phrases are the files'.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bot.assistant.content import SINGLE, Content, Faq, faq_from, load_yaml, phrases_of
from bot.errors import ContentError, FrontCounterError
from bot.knowledge import form

FAQ: Final = Path("data", "faq")
_FIRST: Final = (
    "title", "group", "owner", "mode", "category", "condition", "grade", "asks", "contacts", "source",
    "last_checked", "review_by", "expires", "verify", "note",
)  # fmt: skip
"""The order of an answer's keys; others follow by name, and the answer stands last."""
_OPTIONAL: Final = frozenset({"languages", "clock", "labels", "replies"})
"""Files that a force may go without."""
_SLUG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LINE_BREAKS: Final = re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")
"""Where Rasa ends a phrase (`str.splitlines`)."""
_UNLIKE_ASCII: Final = (
    "# ’ A letter outside ASCII: without one Rasa reads each backslash and u as a letter's code.\n"
)


class ExportError(FrontCounterError):
    """Nothing was written: says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Written:
    """What an export wrote."""

    answers: int
    force: int
    """Files of the force."""
    changed: tuple[str, ...]
    """Files that differ from those that the gateway runs with, or are not among them."""
    gone: tuple[str, ...]
    """Answers that the files have and the live release has not."""
    withdrawn: tuple[str, ...]
    """Answers that are withdrawn now. The files hold their words like any other's."""


def export(content: Content, force: Path, data: Path, folder: Path, *, replace: bool = False) -> Written:
    """Write content into a folder, on top of the files that the gateway runs with.

    Args:
        replace: the folder may hold something: its answers and the force's files are replaced, all
            else in it stays. Without it, it must be empty or not there yet.

    Raises:
        ExportError: the folder is in use or cannot be written; it is as it was.
        ContentError: a text cannot be written, or the gateway's own files cannot be read.
    """
    files, changed = _files(content, force, data)
    # Before the work, so that the answer to a slip comes at once; `_put` looks once more.
    _look(folder, replace=replace)
    try:
        _put(folder, files, replace=replace)
    except OSError as error:
        raise ExportError(f"Nothing was written. {_why(error, folder)}") from error
    return Written(
        answers=sum(path.parent == FAQ for path in files),
        force=sum(path.parent != FAQ for path in files),
        changed=tuple(sorted(path.as_posix() for path in changed)),
        gone=tuple(sorted({path.stem for path in (data / "faq").glob("*.yml")} - _slugs(content))),
        withdrawn=tuple(sorted(content.withdrawn)),
    )


# ---- what the files say -------------------------------------------------------------------------


def _files(content: Content, force: Path, data: Path) -> tuple[dict[Path, bytes], set[Path]]:
    """Every file by its path in the folder, and those that differ from the gateway's own."""
    files: dict[Path, bytes] = {}
    changed: set[Path] = set()
    for slug, faq in sorted({**content.faqs, **content.withdrawn}.items()):
        # A slug becomes the name of a file: one that points out of the folder stays out of it.
        if not _SLUG.fullmatch(slug):
            raise ContentError(
                f"The answer '{slug}' cannot be written: its name may hold a-z, 0-9 and hyphens."
            )
        own = data / "faq" / f"{slug}.yml"
        files[FAQ / own.name] = made = faq_file(faq, own)
        if not own.is_file() or own.read_bytes() != made:
            changed.add(FAQ / own.name)
    there = Path("force", force.name)
    for path in _others(force):
        files[there / path] = (force / path).read_bytes()
    values: dict[str, Any] = {"wording": content.lines, "contacts": content.contacts}
    values |= {kind: getattr(content, kind) for kind in SINGLE}
    for name, value in values.items():
        path, own = there / f"{name}.yml", force / f"{name}.yml"
        mine = _force_file(value, own, optional=name in _OPTIONAL)
        if mine is None:
            files.pop(path, None)
        else:
            files[path] = mine
        if mine != (own.read_bytes() if own.is_file() else None):
            changed.add(path)
    return files, changed


def faq_file(faq: Faq, own: Path) -> bytes:
    """The file of one answer, on top of the one that is there.

    Raises:
        ContentError: it cannot be written.
    """
    there = _faq_in(own, faq.slug)
    phrases = faq.body.get("examples", there.body["examples"] if there else [])
    kept = [
        one for one in (_LINE_BREAKS.sub(" ", str(phrase)).strip() for phrase in phrases) if one.strip(" -")
    ]
    body = {key: value for key, value in faq.body.items() if key not in ("examples", "answer")}
    if there is not None and _says(there) == _says(faq_from(faq.slug, {**body, "answer": faq.answer}), kept):
        source = own.read_bytes()
        if _is_rasas(source.decode("utf-8")):
            return source
    metadata: dict[str, Any] = {key: body[key] for key in _FIRST if key in body}
    metadata |= {key: body[key] for key in sorted(body) if key not in metadata}
    block = "".join(f"- {phrase}\n" for phrase in kept)
    answer = f"{faq.answer}\n"
    intent = {
        "intent": f"faq/{faq.slug}",
        "metadata": {**metadata, "answer": answer if form.can_be_block(answer) else faq.answer},
        "examples": block,
    }
    # Rasa knows a file of examples by a line that begins `nlu:`, so that key stands without quotes.
    text = f'version: "3.1"\nnlu:\n{form.written([intent])}'
    if there is not None:
        mended = form.rewritten(own.read_text("utf-8"), {"version": "3.1", "nlu": [intent]})
        text = mended if _is_rasas(mended) else text
    if not _is_rasas(text):
        text = _UNLIKE_ASCII + text
    return text.encode("utf-8")


def _says(faq: Faq, phrases: list[str] | None = None) -> tuple[Any, ...]:
    body = {key: value for key, value in faq.body.items() if key != "examples"}
    return form.plain(body), faq.answer, faq.body.get("examples") if phrases is None else phrases


def _faq_in(own: Path, slug: str) -> Faq | None:
    """The answer that a file holds, if it holds just that one."""
    if not own.is_file():
        return None
    loaded = load_yaml(own)
    try:
        (item,) = loaded["nlu"]
        if item["intent"] != f"faq/{slug}":
            return None
        examples = phrases_of(str(item.get("examples", "")))
        return faq_from(slug, {**item["metadata"], "examples": examples})
    except (KeyError, TypeError, ValueError):
        return None


def _is_rasas(text: str) -> bool:
    """Whether Rasa's reader takes a file of `data/faq` as it stands.

    One line begins `nlu:`, and none as another part of its files (see `form.RASA_KEYS`). And Rasa
    reads a file that is all ASCII with Python's `raw_unicode_escape` first (`read_yaml` in
    rasa/shared/utils/io.py), so that a backslash and a `u` in it become a letter, or an error.
    """
    if text.isascii() and ("\\u" in text or "\\U" in text):
        return False
    head, found, rest = text.partition("\nnlu:\n")
    return bool(found) and not form.starts_as_rasas_own(head) and not form.starts_as_rasas_own(rest)


def _force_file(value: Mapping[str, Any], own: Path, *, optional: bool) -> bytes | None:
    """One file of the force, on top of the one that is there. None: it goes without."""
    if own.is_file():
        loaded = load_yaml(own) or {}
        if form.same(loaded, value):
            return own.read_bytes()
        if value or not optional:
            return form.rewritten(own.read_text("utf-8"), dict(value)).encode("utf-8")
    if optional and not value:
        return None
    return form.written(dict(value)).encode("utf-8")


def _others(force: Path) -> Iterator[Path]:
    """The YAML files of the force's folder: what else lies there, such as a key, is nobody's to carry off."""
    for path in sorted(force.rglob("*.yml")):
        inside = path.relative_to(force)
        if path.is_file() and not any(part.startswith(".") for part in inside.parts):
            yield inside


def _slugs(content: Content) -> set[str]:
    return {*content.faqs, *content.withdrawn}


# ---- onto the disk ------------------------------------------------------------------------------


def _look(folder: Path, *, replace: bool) -> None:
    """Whether the folder may be written into."""
    try:
        if folder.is_symlink() and not folder.exists():
            raise ExportError(f"Nothing was written. {folder} points to nothing. Choose another folder.")
        if folder.exists() and not folder.is_dir():
            raise ExportError(f"Nothing was written. {folder} is a file. Choose a folder.")
        if not folder.exists() and not folder.absolute().parent.is_dir():
            raise ExportError(
                f"Nothing was written. The folder {folder.absolute().parent} is not there. Make it first."
            )
        if folder.exists() and not replace and any(folder.iterdir()):
            raise ExportError(
                f"Nothing was written. The folder {folder} is not empty. Choose another one, or repeat with"
                " --replace: its answers and the force's files are then replaced."
            )
    except OSError as error:
        raise ExportError(f"Nothing was written. {_why(error, folder)}") from error


def _put(folder: Path, files: Mapping[Path, bytes], *, replace: bool) -> None:
    """Write beside, then rename: a folder is never half of one export and half of another.

    Raises:
        OSError: the folder is as it was.
    """
    _look(folder, replace=replace)
    is_new = not folder.exists()
    beside = folder.absolute().parent if is_new else folder
    work = Path(tempfile.mkdtemp(prefix=".frontcounter-export-", dir=beside))
    try:
        new = work / "new"
        for path, body in files.items():
            _write(new / path, body)
        if is_new:
            new.rename(folder)
        else:
            _swap(folder, new, work / "old", sorted({_part(path) for path in files}))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _part(path: Path) -> Path:
    """What is replaced as a whole: data/faq, force/<name>."""
    return Path(*path.parts[:2])


def _swap(folder: Path, new: Path, old: Path, parts: list[Path]) -> None:
    """Put each part in place of the one that is there; what an export does not write stays in it."""
    for part in parts:
        if (folder / part).is_dir():
            _carry_over(folder / part, new / part, drop_answers=part == FAQ)
    undo: list[tuple[Path, Path]] = []
    made: list[Path] = []
    try:
        for part in parts:
            there = folder / part
            if not there.parent.exists():
                there.parent.mkdir()
                made.append(there.parent)
            if there.exists():
                (old / part).parent.mkdir(parents=True, exist_ok=True)
                there.rename(old / part)
                undo.append((old / part, there))
            (new / part).rename(there)
            undo.append((there, new / part))
    except OSError:
        for now, before in reversed(undo):
            now.rename(before)
        for empty in reversed(made):
            with suppress(OSError):
                empty.rmdir()
        raise


def _carry_over(there: Path, into: Path, *, drop_answers: bool) -> None:
    for path in sorted(there.rglob("*")):
        target = into / path.relative_to(there)
        if drop_answers and path.parent == there and path.suffix == ".yml":
            # An answer that is not live any more must not come back with the next import.
            continue
        if path.is_dir() and not path.is_symlink():
            target.mkdir(parents=True, exist_ok=True)
        elif not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target, follow_symlinks=False)


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(body)
        file.flush()
        # A disk that is full may say so only now.
        os.fsync(file.fileno())


def _why(error: OSError, folder: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full. Make room, then run the same command again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"You may not write in {folder}. Choose another folder, or ask whoever looks after this machine."
        )
    return f"{folder} cannot be written: {error.strerror}. Choose another folder."
