"""What must not leave: reads what a member of staff is about to send, and marks what should not be in it.

Pure and deterministic: text in, findings out. The lists are content (`data/plain/outbound.yml` and
`disclosure.yml`), the numbers and addresses that always pass are the force's register of contacts.
It knows forms and words, not meaning: it helps a careful writer and stops no determined one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from bot.errors import ContentError
from bot.messages import Finding

HINTS: Final = frozenset({"jargon", "sentence", "reading age", "wording"})
"""Kinds that help to write and hold nothing back."""

_GAP = r"[ \t\-./()\u200b]"
_DIGITS: Final = re.compile(rf"(?<!\w)(?<![A-Z0-9][-/])(?:\+|\(\+)?\(?\d(?:{_GAP}{{0,3}}\d){{2,19}}(?!\w)")
_GROUP: Final = re.compile(r"\d+")
_SPOKEN: Final = {
    "zero": "0", "oh": "0", "o": "0", "nought": "0", "one": "1", "two": "2", "three": "3", "four": "4",
    "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
}  # fmt: skip
_SPOKEN_RUN: Final = re.compile(
    r"\b(?:(?:double|triple|treble)[ -])?(?:{0})(?:[ ,-]+(?:(?:double|triple|treble)[ -])?(?:{0})){{5,15}}\b".format(
        "|".join(_SPOKEN)
    ),
    re.IGNORECASE,
)
_TO_CALL: Final = re.compile(
    r"\b(?:call|ring|phone|dial|text|whatsapp|tel|telephone|mobile|mob|landline|fax|reach|message)\b[^.!?\n]{0,24}$"
    r"|\b(?:number|line|desk) (?:is|on|at)[: ]{1,3}$",
    re.IGNORECASE,
)
_TO_QUOTE: Final = re.compile(
    r"\b(?:ref|reference|crime|log|incident|case|order|report|job|record|serial|imei|frame|receipt|ticket|policy)"
    r"(?: (?:number|no|ref|reference))?\.?(?: is| was|:|,|#)* ?$",
    re.IGNORECASE,
)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATE: Final = re.compile(
    r"\b(?:(?P<iso>(?:19|20)\d\d)-\d{1,2}-\d{1,2}"
    r"|\d{1,2}[/.-]\d{1,2}[/.-](?P<year>(?:19|20)?\d\d)"
    r"|\d{1,2} \d{1,2} (?P<spaced>(?:19|20)\d\d)"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH},?(?: (?P<worded>(?:19|20)\d\d))?"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? (?P<american>(?:19|20)\d\d))(?!\w)",
    re.IGNORECASE,
)
_BORN: Final = re.compile(r"\b(?:born|d\.?o\.?b\.?|date of birth|birth ?day|birth ?date)\b", re.IGNORECASE)
_NEAR_BIRTH: Final = 40
_EMAIL: Final = re.compile(
    r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}"
    r"|\b[\w.+%-]{1,64} ?[(\[]at[)\] ]{1,2}[\w-]{1,63}(?: ?[(\[]dot[)\]] ?|\.)[\w.-]{2,30}",
    re.IGNORECASE,
)
_POSTCODE: Final = re.compile(
    r"\b([A-Z]{1,2})\d[A-Z\d]?[ \t\u200b]{0,2}\d[ABD-HJLNP-UW-Z]{2}\b", re.IGNORECASE
)
_STREETS = r"street|avenue|terrace|crescent|gardens|grove|lane|road"
_MORE_STREETS = rf"{_STREETS}|st|rd|ave|ln|cres|tce|close|drive|way|court|place|square|walk|view|mews|row|hill|park|rise|wynd|bank|villas|green|house|quay"
_ADDRESSES: Final = (
    # As written with care: 12 Raby Street; Flat 3, 4a St John's Close.
    re.compile(
        rf"\b(?:(?:[Ff]lat|[Aa]partment|[Aa]pt|[Uu]nit|[Nn]umber|[Nn]o\.?) )?\d{{1,4}}[A-Za-z]?,? (?:(?:St\.? )?[A-Z][\w'’-]*,? ){{1,3}}"
        rf"(?:{'|'.join(word.capitalize() for word in _MORE_STREETS.split('|'))})\b"
    ),
    # As typed in haste: 12 raby street. Short words between would make it a sentence: "101 is the one road".
    re.compile(
        r"\b\d{1,4}[a-z]? (?:(?!(?:in|on|the|a|an|of|by|to|is|at|for|and|or|from|people|minutes?|mins?|hours?|hrs?"
        r"|days?|weeks?|months?|years?|miles?|mph|metres?|officers?|cars?|pounds?|times?|if|when|your|my|our|their"
        rf"|this|that|each|every|per|one|no|with|day|night|am|pm|before)\b)[a-z'’]{{2,20}} ){{1,3}}(?:{_STREETS}|close|drive|st|rd|ave)\b",
        re.IGNORECASE,
    ),
    re.compile(r"\b(?:flat|apartment|apt) \d{1,4}[a-z]?\b", re.IGNORECASE),
)
# The forms of DVLA form INF 104, with the older ones; Northern Ireland has I or Z in its letters.
_PLATES: Final = (
    re.compile(r"\b[A-HJ-PR-Y][A-HJ-PR-Y]\d{2}[ \t\u200b-]?[A-HJ-PR-Z]{3}\b"),
    re.compile(r"\b(?!(?:in|on|at|by|of|to|is|so|no|or|as|if|we|up)\d)[a-hj-pr-y]{2}\d{2} ?[a-hj-pr-z]{3}\b"),
    re.compile(
        r"\b[A-HJ-NPR-TV-Y]\d{1,3} ?(?!(?:AND|THE|NOW|HAS|WAS|FOR|ARE|BUT|OUT|OFF|BUS|CAR|IN|TO)\b)[A-Z]{3}\b"
    ),
    re.compile(r"\b[a-hj-npr-tv-y]\d{3}[a-z]{3}\b"),
    re.compile(r"\b[A-Z]{3} ?\d{1,3}[A-HJ-NPR-TV-Y]\b"),
    re.compile(r"\b(?:[A-Z]?[A-Z]Z|[A-Z]?I[A-Z]) ?\d{3,4}\b"),
    re.compile(r"\b\d{3} ?[DX] ?\d{3}\b"),
)
_PLATE_NAMED: Final = re.compile(
    r"\b(?:reg(?:istration)?(?: (?:number|plate|no))?|number plate|plates?|index|vrm)\b(?: is| was|:|,)* ?\"?"
    r"(?P<plate>(?=[A-Z0-9 ]{0,8}\d)(?=[A-Z0-9 ]{0,8}[A-Z])[A-Z0-9]{1,4} ?[A-Z0-9]{1,4})\b",
    re.IGNORECASE,
)
_SENTENCE_END: Final = re.compile(r"(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<=[.!?])[\"'”)]*\s+|\n+")
_NAME: Final = re.compile(
    r"\b(?:(?:[Mm]r|[Mm]rs|[Mm]s|[Mm]iss|[Dd]r|[Mm]x)\.? [A-Za-z][a-z'’-]+(?: [A-Z][\w'’-]+)?"
    r"|[A-Z][a-z'’]*[a-z](?:-[A-Z][a-z]+)?(?: (?:Mc|Mac|O['’])?[A-Z][a-z'’-]+){0,3})"
)
_TITLE: Final = re.compile(r"(?:mr|mrs|ms|miss|dr|mx)\.? ", re.IGNORECASE)
_AFTER_TITLE: Final = re.compile(r"\b(?:mr|mrs|ms|miss|dr|mx)\.? $", re.IGNORECASE)
_TURNS: Final = re.compile(r"\b(?:but|however|though|although|anyway|still)\b|;| - ", re.IGNORECASE)
_NEAR_NAME: Final = 60
_AFTER_NAME = (
    r"['’]?s? (?:(?:has|have|had|is|was|did|does|may|might|could|also|then|just|never|not|been|being|always|a|the|an"
    r"|probably|definitely|clearly|admitted|who|he|she|keeps|kept|at|it|sadly|once|really) ){0,4}"
)
_SHORT: Final = (
    (re.compile(r"\b(can)(?:'t|t)\b", re.IGNORECASE), " not"),
    (re.compile(r"\b(w)(?:on't|ont)\b", re.IGNORECASE), "ill not"),
    (
        re.compile(r"\b(do|does|did|is|are|was|were|has|have|had|would|could|should)n'?t\b", re.IGNORECASE),
        " not",
    ),
    (re.compile(r"\b(you|we|they|i)(?:'ve|ve)\b", re.IGNORECASE), " have"),
    (re.compile(r"\b(you|they)(?:'re|re)\b|\b(we)'re\b", re.IGNORECASE), " are"),
    (re.compile(r"\b(you|they|it)(?:'ll|ll)\b|\b(\w+)'ll\b", re.IGNORECASE), " will"),
    (re.compile(r"\b(i)(?:'m|m)\b", re.IGNORECASE), " am"),
    (re.compile(r"\b(he|she|it|that|there|who|what|where)'s\b|\b(he|she|there)s\b", re.IGNORECASE), " is"),
)
"""Short forms, and what stands in place of all but their first group. "Its" and "well" stay what they are."""
_HANDLE: Final = re.compile(r"(?<![\w.@/])@[A-Za-z0-9_.]{3,30}")
_ODD: Final = str.maketrans(
    dict.fromkeys("‐‑‒–—−﹣－", "-")
    | dict.fromkeys("’‘ʼ´`＇", "'")
    | dict.fromkeys("\u00ad\u200c\u200d\u2060\ufeff", "\u200b")
)

Hints = Callable[[str], Iterable[Finding]]
"""What helps to write plainly: bot.knowledge knows, which this room may not ask."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Words that are of one kind, unless the sentence is right all the same."""

    kind: str
    patterns: tuple[re.Pattern[str], ...]
    but: tuple[re.Pattern[str], ...]
    wrong: tuple[str, ...]
    right: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lists:
    """Everything that the guard knows but the register, ready to use."""

    says: Mapping[str, tuple[str, str]]
    """Of each kind: what is wrong, and what to do instead."""
    rules: tuple[Rule, ...]
    refusals: tuple[re.Pattern[str], ...]
    areas: frozenset[str]
    always: frozenset[str]
    birth_years: range
    not_names: frozenset[str]
    names: tuple[str, ...]
    accusing: re.Pattern[str]
    """Said within some words of a name."""
    accused: re.Pattern[str]
    """Said straight after a name."""

    @classmethod
    def load(cls, folder: Path) -> Lists:
        """Read `outbound.yml` and `disclosure.yml` of `data/plain/`.

        Raises:
            ContentError: a file is missing or wrong; names the file, and the line if YAML knows it.
        """
        own, never = _read(folder / "outbound.yml"), _read(folder / "disclosure.yml")
        try:
            kinds = {kind: (str(said["says"]), str(said["better"])) for kind, said in own["kinds"].items()}
            rules = [*_rules(own["checks"]), *_rules_of_disclosure(own["disclosure"], never)]
            if unknown := {rule.kind for rule in rules} - set(kinds):
                raise ValueError(f"no such kind: {', '.join(sorted(unknown))}")
            first, last = map(int, own["birth_years"])
            accusing = "|".join(own["accusing"].split())
            after_did = "|".join(own["accusing_after_did"].split())
            return cls(
                says=kinds,
                rules=tuple(rules),
                refusals=tuple(re.compile(one, re.IGNORECASE) for one in never["refusals"]),
                areas=frozenset(own["postcode_areas"].split()),
                always=frozenset(map(str, own["always"])),
                birth_years=range(first, last + 1),
                not_names=frozenset(own["not_names"].split()),
                names=tuple(map(str, own["names"])),
                accusing=re.compile(rf"\b(?:{accusing})\b", re.IGNORECASE),
                accused=re.compile(rf"{_AFTER_NAME}(?:{accusing}|{after_did})\b", re.IGNORECASE),
            )
        except (AttributeError, KeyError, TypeError, ValueError, re.error) as error:
            raise ContentError(
                f"{folder.name}/outbound.yml: {error!r} is missing or wrong. Mend it."
            ) from error


class Guard:
    """The lists together with one state of the register of contacts."""

    def __init__(
        self,
        lists: Lists,
        contacts: Mapping[str, Mapping[str, Any]],
        *,
        names: Iterable[str] = (),
        hints: Hints | None = None,
    ) -> None:
        """`names` are of the force and its teams: they name no person."""
        self._lists = lists
        self._hints = hints
        values = [str(value) for contact in contacts.values() for value in _values(contact)]
        self._numbers = lists.always | {
            _national(found.group()) for value in values for found in _DIGITS.finditer(_plain(value))
        } | {_national(value) for value in values if value.isdigit()}  # fmt: skip
        self._addresses = frozenset(
            found.group().casefold()
            for value in values
            for pattern in (_EMAIL, _HANDLE)
            for found in pattern.finditer(value)
        )
        self._shown = " ".join(_bare(value) for value in values)
        known = {*lists.names, *names, *(str(contact.get("name", "")) for contact in contacts.values())} - {
            ""
        }
        ordered = sorted(known, key=len, reverse=True)
        self._known = re.compile(r"\b(?:" + "|".join(map(re.escape, ordered)) + r")\b")

    def find(self, text: str) -> list[Finding]:
        """Everything in a text that should not leave, in its order, and hints where they were asked for.

        Of findings that overlap the longest is kept.
        """
        plain = _plain(text)
        found = sorted(self._find(plain), key=lambda one: (one.start - one.end, one.start))
        kept: list[Finding] = []
        for one in found:
            if not any(one.start < other.end and other.start < one.end for other in kept):
                kept.append(one)
        if self._hints is not None:
            kept += [
                hint
                for hint in self._hints(text)
                if hint.kind != "wording"
                or not any(hint.start < one.end and one.start < hint.end for one in kept)
            ]
        return sorted(kept, key=lambda one: (one.start, one.end))

    def _find(self, text: str) -> Iterator[Finding]:
        dates = list(self._dates(text))
        yield from (self._finding("birth", start, end) for start, end, is_birth in dates if is_birth)
        for kind, places in (
            ("phone", self._phones(text, [(start, end) for start, end, _ in dates])),
            ("email", self._emails(text)),
            ("postcode", self._postcodes(text)),
            ("address", (found.span() for one in _ADDRESSES for found in one.finditer(text))),
            ("plate", self._plates(text)),
        ):
            for start, end in places:
                if kind in ("phone", "email") or _bare(text[start:end]) not in self._shown:
                    yield self._finding(kind, start, end)
        for at, sentence in _sentences(text):
            yield from self._told(at, sentence)
            yield from (
                self._finding("accusation", at + start, at + end) for start, end in self._accused(sentence)
            )

    def _finding(self, kind: str, start: int, end: int) -> Finding:
        says, better = self._lists.says[kind]
        return Finding(kind, start, end, "block", says, better)

    # ---- forms -------------------------------------------------------------------------------

    def _phones(self, text: str, dates: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        for found in _DIGITS.finditer(text):
            inside = any(start < found.end() and found.start() < end for start, end in dates)
            if not inside and self._is_phone(found.group(), text[max(0, found.start() - 40) : found.start()]):
                yield found.span()
        for found in _SPOKEN_RUN.finditer(text):
            if self._unlisted(_spoken(found.group()), least=6):
                yield found.span()

    def _is_phone(self, run: str, before: str) -> bool:
        digits = _national(run)
        if self._listed(digits):
            return False
        abroad = run.lstrip("(").startswith(("+", "00"))
        if digits.startswith("0") or abroad:
            quoted = bool(_TO_QUOTE.search(before)) and not digits.startswith("07") and not abroad
            if 9 <= len(digits) <= 13 or re.fullmatch(r"08(?:00|45)\d{4}", digits):
                return not quoted
        if len(digits) > 11:
            # Two numbers side by side, such as "101 0191 498 0123".
            return self._unlisted_rest(run)
        if _TO_QUOTE.search(before):
            return False
        if _TO_CALL.search(before) and not re.search(r"\d(?:st|nd|rd|th)\b", run):
            year = re.fullmatch(r"(?:19|20)\d\d", digits) is not None
            return len(digits) >= 3 and not year
        return bool(re.fullmatch(r"7\d{9}", digits)) and run != digits

    def _unlisted_rest(self, run: str) -> bool:
        groups = _GROUP.findall(run)
        while groups:
            longest = next((n for n in range(len(groups), 0, -1) if self._listed("".join(groups[:n]))), 0)
            if not longest:
                break
            groups = groups[longest:]
        rest = _national("".join(groups))
        return bool(groups) and not self._listed(rest) and (rest.startswith("0") or rest.startswith("7"))

    def _listed(self, digits: str) -> bool:
        # Relay UK: 18001 before any number dials it by text.
        return digits in self._numbers or (
            digits.startswith("18001") and _national(digits[5:]) in self._numbers
        )

    def _unlisted(self, digits: str, least: int) -> bool:
        return len(digits) >= least and not self._listed(_national(digits))

    def _dates(self, text: str) -> Iterator[tuple[int, int, bool]]:
        for found in _DATE.finditer(text):
            year = next((value for value in found.groupdict().values() if value), "")
            long_ago = len(year) == 4 and int(year) in self._lists.birth_years
            yield found.start(), found.end(), is_said_birth(text, *found.span()) or long_ago

    def _emails(self, text: str) -> Iterator[tuple[int, int]]:
        for pattern in (_EMAIL, _HANDLE):
            for found in pattern.finditer(text):
                if found.group().rstrip(".").casefold() not in self._addresses:
                    yield found.span()

    def _postcodes(self, text: str) -> Iterator[tuple[int, int]]:
        for found in _POSTCODE.finditer(text):
            if found[1].upper() in self._lists.areas:
                yield found.span()

    def _plates(self, text: str) -> Iterator[tuple[int, int]]:
        for pattern in _PLATES:
            for found in pattern.finditer(text):
                postcode = _POSTCODE.match(text, found.start())
                if postcode is None or postcode[1].upper() not in self._lists.areas:
                    yield found.span()
        for found in _PLATE_NAMED.finditer(text):
            yield found.span("plate")

    # ---- words -------------------------------------------------------------------------------

    def _told(self, at: int, written: str) -> Iterator[Finding]:
        sentence, places = _in_full(written)
        nameless = self._without_names(sentence)
        for rule in self._lists.rules:
            if any(pattern.search(sentence) for pattern in rule.but):
                continue
            shown = nameless if rule.kind in ("officer", "person") else sentence
            for pattern in rule.patterns:
                for found in pattern.finditer(shown):
                    if not self._is_refused(sentence, found.start()):
                        yield self._finding(
                            rule.kind, at + places[found.start()], at + places[found.end() - 1] + 1
                        )

    def _is_refused(self, sentence: str, at: int) -> bool:
        """Whether the words stand in what the writer says that nobody says."""
        for pattern in self._lists.refusals:
            for found in pattern.finditer(sentence, 0, at):
                if not _TURNS.search(sentence, found.end(), at):
                    return True
        return False

    def _without_names(self, sentence: str) -> str:
        def hidden(found: re.Match[str]) -> str:
            # Many a place is a surname too.
            is_person = _AFTER_TITLE.search(sentence, 0, found.start())
            return found.group() if is_person else "-" * len(found.group())

        return self._known.sub(hidden, sentence)

    def _accused(self, sentence: str) -> Iterator[tuple[int, int]]:
        shown = self._without_names(sentence)
        for found in _NAME.finditer(shown):
            titled = _TITLE.match(found.group()) is not None
            name = found.group() if titled else self._only_names(found.group())
            if not name:
                continue
            start, end = found.start() + found.group().index(name), found.end()
            if self._lists.accused.match(shown, end):
                yield start, end
            elif titled or " " in name or start > 0:
                near = shown[max(0, start - _NEAR_NAME) : start] + "\n" + shown[end : end + _NEAR_NAME]
                if self._lists.accusing.search(near) and not self._is_refused(sentence, start):
                    yield start, end

    def names(self, text: str) -> Iterator[tuple[int, int]]:
        """Where a text may name a person: capitals that are no place, day or team of the force's."""
        shown = self._without_names(_plain(text))
        for found in _NAME.finditer(shown):
            titled = _TITLE.match(found.group()) is not None
            name = found.group() if titled else self._only_names(found.group())
            if name:
                yield found.start() + found.group().index(name), found.end()

    def _only_names(self, words: str) -> str:
        """The words of a run of capitals from the first that may name a person."""
        parts = words.split(" ")
        while parts and parts[0].removesuffix("'s") in self._lists.not_names:
            parts = parts[1:]
        if any(part.removesuffix("'s") in self._lists.not_names for part in parts):
            parts = []
        return " ".join(parts)


def is_said_birth(text: str, start: int, end: int) -> bool:
    """Whether the words beside a date say that somebody was born then."""
    near = text[max(0, start - _NEAR_BIRTH) : start]
    return bool(_BORN.search(near.rsplit("\n", 1)[-1])) or bool(_BORN.match(text[end:].lstrip(" ,(").lower()))


class LiveGuard:
    """The guard for the register in force now: built anew when a release changes it."""

    def __init__(
        self,
        lists: Lists,
        contacts: Callable[[], Mapping[str, Mapping[str, Any]]],
        names: Callable[[], Iterable[str]] = tuple,
        hints: Hints | None = None,
    ) -> None:
        self.lists = lists
        self._contacts = contacts
        self._names = names
        self._hints = hints
        self._built: tuple[object, Guard] | None = None

    @property
    def current(self) -> Guard:
        """The guard that holds now."""
        contacts = self._contacts()
        if self._built is None or self._built[0] is not contacts:
            self._built = contacts, Guard(self.lists, contacts, names=self._names(), hints=self._hints)
        return self._built[1]


def held_back(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those findings that keep a reply from leaving without a reason."""
    return tuple(one for one in findings if one.severity == "block")


def kinds_of(findings: Iterable[Finding]) -> list[str]:
    """The kinds of findings, for the record: never the words."""
    return sorted({one.kind for one in findings})


def _plain(text: str) -> str:
    """The same text, letter for letter, with look-alikes of digits, hyphens and spaces made plain."""
    letters = []
    for letter in text.translate(_ODD):
        folded = unicodedata.normalize("NFKC", letter) if ord(letter) > 127 else letter
        letters.append(folded if len(folded) == 1 else letter)
    return "".join(letters)


def _in_full(text: str) -> tuple[str, list[int]]:
    """A text with its short forms in full, and where each letter of it stands in the text."""
    places = list(range(len(text)))
    for pattern, full in _SHORT:
        parts: list[str] = []
        kept: list[int] = []
        last = 0
        for found in pattern.finditer(text):
            end = found.end(found.lastindex or 1)
            parts += [text[last:end], full]
            kept += [*places[last:end], *[places[found.end() - 1]] * len(full)]
            last = found.end()
        if parts:
            text, places = "".join([*parts, text[last:]]), [*kept, *places[last:]]
    return text, places


def _national(run: str) -> str:
    """The digits of a number as dialled in this country."""
    digits = re.sub(r"\D", "", run)
    abroad = run.lstrip("( ").startswith("+")
    if digits.startswith("0044"):
        digits, abroad = digits[2:], True
    if digits.startswith("44") and (abroad or len(digits) in (12, 13)):
        return "0" + digits[2:].removeprefix("0")
    return digits


def _spoken(words: str) -> str:
    digits, times = "", 1
    for word in re.findall(r"[a-z]+", words.lower()):
        if word in ("double", "triple", "treble"):
            times = 2 if word == "double" else 3
        else:
            digits, times = digits + _SPOKEN[word] * times, 1
    return digits


def _bare(text: str) -> str:
    return re.sub(r"[\W_]", "", text).casefold()


def _values(contact: Mapping[str, Any]) -> Iterator[Any]:
    yield contact.get("say", "")
    yield contact.get("tel", "")
    yield from dict(contact.get("parts") or {}).values()


def _sentences(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for gap in _SENTENCE_END.finditer(text):
        yield start, text[start : gap.start()]
        start = gap.end()
    yield start, text[start:]


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ContentError(f"{path.name} cannot be read in {path.parent.name}/. Put it back.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ContentError(f"{path.name}{where}: this is not valid YAML. Mend that line.") from error
    if not isinstance(loaded, dict):
        raise ContentError(f"{path.name}, line 1: write keys and what belongs to each.")
    return loaded


def _compiled(patterns: Iterable[object]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(str(one), re.IGNORECASE) for one in patterns)


def _rules(entries: Iterable[Mapping[str, Any]]) -> Iterator[Rule]:
    for entry in entries:
        yield Rule(
            str(entry["kind"]), _compiled(entry["pattern"]), _compiled(entry.get("but", ())),
            tuple(entry["wrong"]), tuple(entry["right"]),
        )  # fmt: skip


def _rules_of_disclosure(kinds: Mapping[str, list[str]], never: Mapping[str, Any]) -> Iterator[Rule]:
    by_id = {str(entry["id"]): entry for entry in never["rules_of_disclosure"]}
    for kind, ids in kinds.items():
        yield from _rules({**by_id[one], "kind": kind} for one in ids)
