"""The approved words: FAQ answers, system sentences, contacts, teams and hours of one release.

`data/faq/` and `force/` are the import format; once a release is live in the database, that is
what the public gets. The files also serve while the database is away, so that safety words and
system sentences are never missing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog
import yaml
from sqlalchemy import select

from bot.assistant.own_words import base_of, faults_of, own, picked
from bot.errors import ContentError, StoreUnavailableError
from bot.store.bell import Bell, wait_any
from bot.store.engine import Store
from bot.store.tables import Release, ReleaseItem

log = structlog.get_logger(__name__)

RING = "content"
"""The bell that rings when another release is live."""
CONTACT = re.compile(r"\[([A-Z][A-Z0-9]*)(?:\.([a-z][a-z0-9_]*))?\]")
"""A contact by key, [KEY] or [KEY.part]: the only way in which a text names one."""
ALWAYS_SHOWN = ("EMERG", "BSL999", "RELAY999", "P101", "RELAY101", "NPWEB")
"""Contacts that the chat's page shows by itself, in this order; a force cannot give them another key."""
NEVER_WITHOUT = frozenset({"EMERG", "P101"})
"""Without these nothing is published; a page without one of the others says less, and `ready` tells so."""
_MODES = ("A", "H", "E")
SINGLE = ("force", "hours", "teams", "cards", "outcomes", "languages", "clock", "replies", "labels")
"""Kinds of which a release holds one item: a whole file."""
WITHDRAWN = "withdrawn"
"""The kind of an answer that is withdrawn: kept in the release, and not given."""


@dataclass(frozen=True, slots=True)
class Faq:
    """One FAQ answer and what comms keep about it. `answer` still names contacts by key."""

    slug: str
    title: str
    answer: str
    mode: str = "A"
    category: str | None = None
    condition: str | None = None
    """Mode E hands over only if the message shows this, which the nets see; else it answers like A or H."""
    grade: str | None = None
    """The grade of a hand-over of mode E, where it is lower than its category's own."""
    asks: bool = False
    """The answer ends with a question: a plain yes means that the condition is met."""
    group: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Content:
    """All approved words of one release."""

    sha256: str
    faqs: Mapping[str, Faq]
    lines: Mapping[str, str]
    contacts: Mapping[str, Mapping[str, Any]]
    force: Mapping[str, Any]
    hours: Mapping[str, Any]
    teams: Mapping[str, Any]
    cards: Mapping[str, Any]
    outcomes: Mapping[str, Any]
    languages: Mapping[str, Any] = field(default_factory=dict)
    """What is said in another language, by its code: name, danger, queue, no_person, no, yes."""
    clock: Mapping[str, Any] = field(default_factory=dict)
    """How soon staff answer; empty in a release of before (`handover.clock` has defaults)."""
    labels: Mapping[str, Any] = field(default_factory=dict)
    """The force's own labels for conversations; empty in a release of before."""
    replies: Mapping[str, Any] = field(default_factory=dict)
    """Words that staff put into a reply, by key: group, title and text."""
    withdrawn: Mapping[str, Faq] = field(default_factory=dict)
    """Answers that are not given for now: whoever asks for one is passed to a person."""
    release_id: int | None = None
    """The release that these words are; None: the files'."""
    _views: dict[str, Content] = field(default_factory=dict, init=False, repr=False, compare=False)

    def for_channel(self, channel: str) -> Content:
        """The same, as one channel says it: its own words where it has some (`bot/assistant/own_words.py`)."""
        found = self._views.get(channel)
        if found is None:
            lines = picked(self.lines, channel)
            faqs = {
                slug: replace(faq, answer=str(words).strip())
                for slug, faq in self.faqs.items()
                if (words := own(faq.body, "answer", channel)) is not None
            }
            replies = {
                key: {**said, "text": words}
                for key, said in self.replies.items()
                if (words := own(said, "text", channel)) is not None
            }
            found = self
            if lines or faqs or replies:
                found = replace(
                    self,
                    lines={**self.lines, **lines},
                    faqs={**self.faqs, **faqs},
                    replies={**self.replies, **replies},
                )
            self._views[channel] = found
        return found

    def render(self, text: str) -> str:
        """Put the register's words where a contact is named, and the force's name for {force}.

        Raises:
            ContentError: a key that the register does not hold.
        """

        def words(found: re.Match[str]) -> str:
            contact = self.contacts.get(found[1])
            if contact is None:
                raise ContentError(f"No contact {found[1]} in the register.")
            if found[2] is None:
                return str(contact["say"])
            part = contact.get("parts", {}).get(found[2])
            if part is None:
                raise ContentError(f"Contact {found[1]} has no part {found[2]}.")
            return str(part)

        # Not `format`: what communications write may hold other braces.
        return CONTACT.sub(words, text).replace("{force}", str(self.force.get("name", ""))).strip()

    def line(self, key: str, **values: object) -> str:
        """One system sentence, filled in.

        Raises:
            ContentError: no such sentence, or a value is missing.
        """
        text = self.lines.get(key)
        if text is None:
            raise ContentError(f"No sentence '{key}' in the wording.")
        if "{" not in text:
            return self.render(text)
        known = {
            "desk": self.desk_name,
            "force": self.force.get("name", ""),
            "hours": self.hours.get("desk", {}).get("said", ""),
        }
        try:
            return self.render(text.format(**{**known, **values}))
        except (KeyError, IndexError, ValueError) as error:
            raise ContentError(f"The sentence '{key}' needs a value: {error}.") from error

    def reply(self, key: str, reference: str) -> str:
        """One ready-made reply of staff, filled in for a conversation.

        Raises:
            ContentError: it names a contact that the register does not hold.
            KeyError: there is no such reply.
        """
        text = str(self.replies[key]["text"])
        return self.render(text.replace("{reference}", reference).replace("{desk}", self.desk_name))

    @property
    def own_names(self) -> tuple[str, ...]:
        """Names of the force, its places and its teams: they name no person."""
        names = [self.force.get("name"), self.force.get("short_name"), self.desk_name]
        names += [*(self.force.get("counties") or ()), *(self.force.get("council_areas") or ())]
        names += [team.get("name") for team in self.teams.get("teams", {}).values()]
        return tuple(str(name) for name in names if name)

    def answer(self, slug: str) -> str | None:
        """The text of one FAQ answer, or None when this release does not carry it whole."""
        faq = self.faqs.get(slug)
        try:
            return None if faq is None else self.render(faq.answer)
        except ContentError:
            # `faults` keeps such an answer from being published. The person must not wait for ever.
            return None

    def faults(self) -> list[str]:
        """What nobody could be shown: contacts and teams that are named and are not there."""
        found = []
        texts = {f"The answer '{slug}'": faq.answer for slug, faq in self.faqs.items()}
        texts |= {f"The sentence '{key}'": text for key, text in self.lines.items()}
        texts |= {f"The reply '{key}'": str(said["text"]) for key, said in self.replies.items()}
        known = {f"The answer '{slug}'": {"answer": f.answer, **f.body} for slug, f in self.faqs.items()}
        known |= {f"The reply '{key}'": said for key, said in self.replies.items()}
        for what, body in [("", self.lines), *known.items()]:
            said_by_channel = {key: str(words) for key, words in body.items() if base_of(key) != key}
            if what:
                texts |= {f"{what} ({key})": words for key, words in said_by_channel.items()}
            found += faults_of(what, {**body, **said_by_channel})
        for what, text in texts.items():
            try:
                self.render(text)
            except ContentError as error:
                found.append(f"{what}: {error}")
        found += [
            f"contacts.yml: {key} is missing, which the chat's page shows. Put it back under this key."
            for key in ALWAYS_SHOWN
            if key in NEVER_WITHOUT and key not in self.contacts
        ]
        teams = self.teams.get("teams", {})
        named = {"default_team": self.teams.get("default_team")}
        named |= {key: team["covered_by"] for key, team in teams.items() if team.get("covered_by")}
        named |= {f"{key}, P1": team["also_at_p1"] for key, team in teams.items() if team.get("also_at_p1")}
        for category, route in self.teams.get("routes", {}).items():
            named |= {f"{category}, {grade}": team for grade, team in route.items() if grade != "alert"}
        found += [f"teams.yml ({what}): no team {team}." for what, team in named.items() if team not in teams]
        found += approval_faults(self.teams)
        found += comment_faults(self.force)
        groups = {contact.get("group") for contact in self.contacts.values()}
        for key, outcome in self.outcomes.items():
            asked = outcome.get("agency") or ()
            found += [f"outcomes.yml ({key}): no contact of {g}." for g in asked if g not in groups]
        labels = self.labels.get("labels") or []
        if not isinstance(labels, list) or not all(
            isinstance(one, str) and 0 < len(one) <= 64 for one in labels
        ):
            found.append("labels.yml: 'labels' must be a list of texts, of at most 64 letters each.")
        for code, said in self.languages.items():
            for key in ("danger", "queue"):
                number = "999" if key == "danger" else "101"
                if number not in str(said.get(key, "")):
                    found.append(f"languages.yml ({code}): '{key}' must name {number} in digits.")
        return found

    def in_language(self, code: str | None, *keys: str) -> str:
        """What the force says in a language, these sentences in this order; empty where it has none."""
        said = self.languages.get(code or "", {})
        return "\n".join(str(said[key]) for key in keys if said.get(key))

    def team_for(self, category: str, grade: str) -> str:
        """The team that a category of that grade is passed to."""
        route = self.teams.get("routes", {}).get(category, {})
        return str(route.get(grade) or route.get("default") or self.teams["default_team"])

    def team_name(self, key: str) -> str:
        """What staff call a team."""
        return str(self.teams.get("teams", {}).get(key, {}).get("name", key))

    @property
    def desk_name(self) -> str:
        """The only name of staff that the public sees."""
        return str(self.force.get("desk_name", "The police desk"))

    @property
    def desk_word(self) -> str:
        """The desk's name where the force's name stands beside it, such as "Digital desk"."""
        word = self.desk_name.removeprefix(str(self.force.get("name", ""))).strip()
        return word[:1].upper() + word[1:] or "Desk"

    def items(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Everything as (kind, key, body): the rows of a release."""
        found: list[tuple[str, str, dict[str, Any]]] = []
        for slug, faq in self.faqs.items():
            found.append(("faq", slug, {**faq.body, "answer": faq.answer}))
        for key, text in self.lines.items():
            found.append(("line", key, {"text": text}))
        for key, body in self.contacts.items():
            found.append(("contact", key, {"body": body}))
        for kind in SINGLE:
            found.append((kind, kind, {"body": getattr(self, kind)}))
        for slug, faq in self.withdrawn.items():
            found.append((WITHDRAWN, slug, {**faq.body, "answer": faq.answer}))
        return found


def load_yaml(path: Path) -> Any:
    """Read one YAML file.

    Raises:
        ContentError: the file is missing or not YAML; names the file and the line.
    """
    try:
        return yaml.load(path.read_text("utf-8"), Loader=_Loader)
    except FileNotFoundError as error:
        raise ContentError(f"{path.name} is missing in {path.parent.name}/. Put it back.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ContentError(f"{path.name}{where}: this is not valid YAML. Mend that line.") from error


try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # pragma: no cover  the C library is missing on this platform
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]


def _faqs(folder: Path) -> dict[str, Faq]:
    faqs: dict[str, Faq] = {}
    for path in sorted(folder.glob("*.yml")):
        loaded = load_yaml(path)
        try:
            for item in loaded["nlu"]:
                slug = str(item["intent"]).removeprefix("faq/")
                meta = {**item["metadata"], "examples": phrases_of(str(item.get("examples", "")))}
                faqs[slug] = faq_from(slug, meta)
        except (KeyError, TypeError, ValueError) as error:
            from bot.assistant.sources import first_fault  # it reads this module

            known = first_fault(path) or f"faq/{path.name}: {error!r} is missing or wrong. Mend it."
            raise ContentError(known) from error
    return faqs


def phrases_of(block: str) -> list[str]:
    """The phrases of a block of training examples, one a line."""
    return [line.strip().removeprefix("-").strip() for line in block.split("\n") if line.strip(" -")]


def read_replies(path: Path) -> dict[str, Any]:
    """The ready-made replies of staff; none where a force has no file of them.

    Raises:
        ContentError: the file is not as it must be; names the file and the line.
    """
    if not path.is_file():
        return {}
    from bot.assistant.sources import first_fault  # it reads this module

    if known := first_fault(path):
        raise ContentError(known)
    return dict(load_yaml(path))


def faq_from(slug: str, meta: Mapping[str, Any]) -> Faq:
    """One FAQ from its metadata.

    Raises:
        KeyError: title or answer is missing.
        ValueError: an unknown mode.
    """
    mode = str(meta.get("mode", "A"))
    if mode not in _MODES:
        raise ValueError(f"mode {mode}")
    body = {key: value for key, value in meta.items() if key != "answer"}
    return Faq(
        slug=slug,
        title=str(meta["title"]),
        answer=str(meta["answer"]).strip(),
        mode=mode,
        category=meta.get("category"),
        condition=meta.get("condition"),
        grade=meta.get("grade"),
        asks=bool(meta.get("asks", False)),
        group=str(meta.get("group", "")),
        body=body,
    )


def approval_faults(teams: Mapping[str, Any]) -> list[str]:
    """What is wrong with the teams file's rule of replies that a second person reads first."""
    found = []
    for key, team in (teams.get("teams") or {}).items():
        grades, minutes = team.get("approval") or [], team.get("approval_rises_after", 10)
        if not isinstance(grades, list) or any(grade not in ("P1", "P2", "P3", "P4") for grade in grades):
            found.append(f"teams.yml ({key}): 'approval' is a list of grades, such as [P3, P4].")
        elif "P1" in grades:
            found.append(f"teams.yml ({key}): a reply to a P1 is never held up. Take P1 out of 'approval'.")
        if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not 1 <= minutes <= 1440:
            found.append(f"teams.yml ({key}): 'approval_rises_after' is a number of minutes, 1 to 1440.")
    return found


def comment_faults(force: Mapping[str, Any]) -> list[str]:
    """What is wrong with the force's rule of comments on posts."""
    rule, where = force.get("comments") or {}, "force.yml (comments):"
    if not isinstance(rule, Mapping):
        return [f"{where} write keys and what belongs to each."]
    found = []
    hours, words = rule.get("review_hours", 24), rule.get("quiet_words") or []
    if not isinstance(rule.get("hide", False), bool):
        found.append(f"{where} 'hide' is true or false.")
    if isinstance(hours, bool) or not isinstance(hours, int | float) or not 0 < hours <= 168:
        found.append(f"{where} 'review_hours' is a number of hours, 168 at most.")
    if not isinstance(words, list) or any(not isinstance(one, str) or not one.strip() for one in words):
        found.append(f"{where} 'quiet_words' is a list of words.")
    silent = rule.get("silent_for") or []
    if not isinstance(silent, list) or any(not re.fullmatch(r"R\d\d", str(one)) for one in silent):
        found.append(f"{where} 'silent_for' is a list of categories, such as [R16].")
    if not str(rule.get("appeal_link", "https://")).startswith("https://"):
        found.append(f"{where} 'appeal_link' is an address that begins with https://.")
    return found


def content_from_files(force: Path, data: Path) -> Content:
    """The content as the files say.

    Raises:
        ContentError: a file is missing or wrong.
    """
    if not force.is_dir():
        raise ContentError(f"FRONTCOUNTER_FORCE: there is no folder {force.name}. Name a force.")
    lines = {str(k): str(v) for k, v in load_yaml(force / "wording.yml").items()}
    teams = load_yaml(force / "teams.yml")
    own = load_yaml(force / "force.yml")
    if faults := [*approval_faults(teams), *comment_faults(own)]:
        raise ContentError(" ".join(faults))
    return _with_hash(
        faqs=_faqs(data / "faq"),
        lines=lines,
        contacts=load_yaml(force / "contacts.yml"),
        force=own,
        hours=load_yaml(force / "hours.yml"),
        teams=teams,
        cards=load_yaml(force / "cards.yml"),
        outcomes=load_yaml(force / "outcomes.yml"),
        languages=load_yaml(force / "languages.yml") if (force / "languages.yml").is_file() else {},
        clock=load_yaml(force / "clock.yml") if (force / "clock.yml").is_file() else {},
        labels=(load_yaml(force / "labels.yml") or {}) if (force / "labels.yml").is_file() else {},
        replies=read_replies(force / "replies.yml"),
    )


def _with_hash(**parts: Any) -> Content:
    content = Content(sha256="", **parts)
    digest = hashlib.sha256(
        json.dumps(sorted(content.items()), sort_keys=True, ensure_ascii=False, default=str).encode()
    ).hexdigest()
    return Content(sha256=digest, **parts)


def content_from_items(items: list[tuple[str, str, dict[str, Any]]]) -> Content:
    """The content as the rows of a release say."""
    parts: dict[str, dict[str, Any]] = {kind: {} for kind in ("faq", "line", "contact", WITHDRAWN)}
    single: dict[str, Any] = {kind: {} for kind in SINGLE}
    for kind, key, body in items:
        if kind in ("faq", WITHDRAWN):
            parts[kind][key] = faq_from(key, body)
        elif kind == "line":
            parts["line"][key] = str(body["text"])
        elif kind in single:
            single[kind] = body["body"]
        elif kind in parts:
            parts[kind][key] = body["body"]
    return _with_hash(
        faqs=parts["faq"],
        lines=parts["line"],
        contacts=parts["contact"],
        withdrawn=parts[WITHDRAWN],
        **single,
    )


class LiveContent:
    """The words in force now: the files' at first, the live release's once it was read."""

    def __init__(self, files: Content) -> None:
        self.current = self._files = files
        self._release_id: int | None = None
        self._reading = asyncio.Lock()

    @property
    def files(self) -> Content:
        """What the files say, whatever is live."""
        return self._files

    def held(self) -> LiveContent:
        """The words of this moment, which no release changes: a turn says nothing of two releases."""
        held = LiveContent(self._files)
        held.current, held._release_id = self.current, self._release_id
        return held

    async def keep(self, store: Store, bell: Bell, poll_seconds: float = 1.0) -> None:
        """Read each new release until cancelled: at its ring, and at every look in between."""
        with bell.subscribe(RING) as ear:
            while True:
                try:
                    await self.refresh(store)
                except StoreUnavailableError:
                    log.warning("content.store_unavailable")
                except Exception:
                    # The words held stay in force; a release that cannot be read is no reason to stop looking.
                    log.exception("content.failed")
                await wait_any(ear, poll_seconds)

    async def refresh(self, store: Store) -> bool:
        """Read the live release, if it is another than the one held. True when it changed.

        Raises:
            StoreUnavailableError: the words held stay in force.
        """
        async with self._reading, store.read() as connection:
            live = (await connection.execute(select(Release.id).where(Release.live))).scalar_one_or_none()
            if live is None or live == self._release_id:
                return False
            rows = await connection.execute(
                select(ReleaseItem.kind, ReleaseItem.key, ReleaseItem.body).where(
                    ReleaseItem.release_id == live
                )
            )
            released = content_from_items([(r.kind, r.key, r.body) for r in rows])
            # After an upgrade a release from before a sentence was added lends the file's: without
            # it the turn that has to say it would break.
            # Words for one channel belong to the sentence beside them: of another's they know nothing.
            lent = {
                key: text for key, text in self._files.lines.items() if base_of(key) not in released.lines
            }
            self.current = replace(
                released,
                lines={**lent, **released.lines},
                languages=released.languages or self._files.languages,
                clock=released.clock or self._files.clock,
                labels=released.labels or self._files.labels,
                replies=released.replies or self._files.replies,
                force={"comments": self._files.force.get("comments", {}), **released.force},
                release_id=live,
            )
            self._release_id = live
            return True
