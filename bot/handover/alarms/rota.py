"""The rota of a force: who is told of an alarm first, who next, and when each of them is on duty.

Read from `alarms.yml` in the force's folder. Addresses may be left out there and given by
FRONTCOUNTER_ALARM_CONTACTS or FRONTCOUNTER_ALARM_CONTACTS_FILE, so that none has to be in a repository.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from bot.errors import ContentError
from bot.settings import Settings

PathName = Literal["mail", "webhook"]
PATHS: tuple[PathName, ...] = get_args(PathName)

FILE = "alarms.yml"
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
LONGEST_WAIT = 3600
LONGEST_REPEAT = 60

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_MAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+")


@dataclass(frozen=True, slots=True)
class Contact:
    """One who is told. `name` is what records show; the addresses never leave this object but to call.

    `target` is for the receiver of the webhook: a number, a group, whatever it knows them by.
    """

    name: str
    mail: str = ""
    target: str = ""
    verify: bool = False
    """A person still has to confirm that this reaches somebody."""


@dataclass(frozen=True, slots=True)
class Span:
    """Hours of one day in local time. Where `closes` is not after `opens` it ends the day after."""

    opens: time
    closes: time


@dataclass(frozen=True, slots=True)
class Level:
    """Those who are told together, if nobody has looked `after_seconds` after the level before."""

    name: str
    after_seconds: float
    contacts: tuple[Contact, ...]
    hours: Mapping[int, tuple[Span, ...]] | None = None
    """By weekday, Monday is 0; None: always on duty."""

    def is_on_duty(self, moment: datetime, zone: ZoneInfo) -> bool:
        """Whether this level is to be told at that moment."""
        if self.hours is None:
            return True
        local = moment.astimezone(zone)
        clock = local.time()
        for span in self.hours.get(local.weekday(), ()):
            if span.opens <= clock and (clock < span.closes or span.closes <= span.opens):
                return True
        # A night that began yesterday.
        return any(
            span.closes <= span.opens and clock < span.closes
            for span in self.hours.get((local.weekday() - 1) % 7, ())
        )

    def reached_by(self, path: PathName) -> tuple[Contact, ...]:
        """Whom a path calls. The webhook is called once without a target where nobody has one."""
        if path == "mail":
            return tuple(contact for contact in self.contacts if contact.mail)
        return tuple(contact for contact in self.contacts if contact.target) or (Contact(self.name),)


@dataclass(frozen=True, slots=True)
class Step:
    """A level that has been reached, and since when it is to be told."""

    level: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Rota:
    """All levels, in the order in which an alarm rises."""

    levels: tuple[Level, ...]
    repeat_minutes: float
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/London"))

    def steps(self, raised_at: datetime, moment: datetime) -> list[Step]:
        """The levels that an alarm raised then has reached by now.

        A level off duty is passed over without waiting. The last one is told again and again: it
        stands here with the latest time of those. Never empty: the last level is always on duty.
        """
        found: list[Step] = []
        for number, level in enumerate(self.levels):
            at = found[-1].at + timedelta(seconds=level.after_seconds) if found else raised_at
            if found and at > moment:
                return found
            if level.is_on_duty(at, self.zone):
                found.append(Step(number, at))
        every = timedelta(minutes=self.repeat_minutes)
        last = found[-1]
        again = max(0, (moment - last.at) // every)
        return [*found[:-1], Step(last.level, last.at + again * every)]


def read_rota(settings: Settings, timezone: str = "Europe/London") -> Rota:
    """The rota of the force that the settings name, its addresses filled in.

    Raises:
        ContentError: the file, or the one with the addresses, is missing or wrong; says what to do.
    """
    path = settings.force / FILE
    where = f"{FILE} of {settings.force.name}"
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ContentError(
            f"hours.yml: there is no timezone {timezone}. Name one, as Europe/London."
        ) from error
    loaded = _load(path, where)
    if not isinstance(loaded, dict):
        _wrong(where, "it holds no 'levels'. Write them as the shipped example does")
    repeat = loaded.get("repeat_minutes", 5)
    if not _is_number(repeat) or not 0 < repeat <= LONGEST_REPEAT:
        _wrong(where, f"set repeat_minutes to a number of minutes up to {LONGEST_REPEAT}")
    given = _addresses(settings)
    levels = loaded.get("levels")
    if not isinstance(levels, list) or not levels:
        _wrong(where, "it has no levels. Write one level at least")
    read = tuple(_level(item, number, where, given) for number, item in enumerate(levels, 1))
    names = [level.name for level in read]
    if len(set(names)) != len(names):
        _wrong(where, "two levels have the same name. Give each its own")
    if read[-1].hours is not None:
        _wrong(
            where, f"the last level, '{names[-1]}', must have 'hours: always', so that an alarm never stops"
        )
    return Rota(read, float(repeat), zone)


def _wrong(where: str, what: str) -> NoReturn:
    raise ContentError(f"{where}: {what}.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _load(path: Path, where: str) -> Any:
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ContentError(f"{where} is missing. Put it back, or copy the shipped example.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ContentError(f"{where} cannot be read ({type(error).__name__}). Check the file.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ContentError(f"{where}{line}: this is not valid YAML. Mend that line.") from error


def _addresses(settings: Settings) -> dict[str, dict[str, str]]:
    """What the environment and the file with addresses give for each key; the environment wins."""
    given: dict[str, dict[str, str]] = {}
    if settings.alarm_contacts_file is not None:
        where = f"FRONTCOUNTER_ALARM_CONTACTS_FILE ({settings.alarm_contacts_file.name})"
        loaded = _load(settings.alarm_contacts_file, where) or {}
        if not isinstance(loaded, dict) or not all(isinstance(value, dict) for value in loaded.values()):
            _wrong(where, "write 'key: {mail: …, target: …}' for each contact")
        given = {str(key): {str(k): str(v) for k, v in value.items()} for key, value in loaded.items()}
    for key, value in settings.alarm_contacts.items():
        given[key] = {**given.get(key, {}), **value}
    return given


def _level(item: Any, number: int, where: str, given: Mapping[str, Mapping[str, str]]) -> Level:
    where = f"{where}, level {number}"
    if not isinstance(item, dict):
        _wrong(where, "write name, after_seconds, hours and contacts")
    name = str(item.get("name") or "").strip()
    if not name:
        _wrong(where, "give it a name")
    after = item.get("after_seconds", 0)
    if not _is_number(after) or not 0 <= after <= LONGEST_WAIT:
        _wrong(where, f"set after_seconds to a number from 0 to {LONGEST_WAIT}")
    contacts = item.get("contacts")
    if not isinstance(contacts, list) or not contacts:
        _wrong(where, "name one contact at least")
    read = tuple(_contact(contact, where, given) for contact in contacts)
    names = [contact.name for contact in read]
    if len(set(names)) != len(names):
        _wrong(where, "two contacts have the same name. Give each its own")
    return Level(name, float(after), read, _hours(item.get("hours", "always"), where))


def _contact(item: Any, where: str, given: Mapping[str, Mapping[str, str]]) -> Contact:
    if not isinstance(item, dict) or not str(item.get("name") or "").strip():
        _wrong(where, "give each contact a name")
    name = str(item["name"]).strip()
    found = {**item, **given.get(str(item.get("key") or ""), {})}
    mail, target = str(found.get("mail") or "").strip(), str(found.get("target") or "").strip()
    if mail and _MAIL.fullmatch(mail) is None:
        _wrong(where, f"the mail address of '{name}' is not one. Write one address, as desk@force.example")
    if any(not letter.isprintable() for letter in target + name):
        _wrong(where, f"'{name}' holds a letter that cannot be shown. Write it anew")
    return Contact(
        name, mail, target, bool(found.get("verify", False)) and not given.get(str(item.get("key") or ""))
    )


def _hours(value: Any, where: str) -> Mapping[int, tuple[Span, ...]] | None:
    if value == "always":
        return None
    if not isinstance(value, dict) or not value:
        _wrong(where, "set hours to 'always', or to days as in hours.yml")
    found: dict[int, tuple[Span, ...]] = {}
    for day, spans in value.items():
        if day not in DAYS:
            _wrong(where, f"'{day}' is no day. Write monday to sunday")
        if not isinstance(spans, list):
            _wrong(where, f'write {day} as a list: [{{opens: "08:00", closes: "18:00"}}]')
        found[DAYS.index(day)] = tuple(_span(span, day, where) for span in spans)
    return found


def _span(value: Any, day: str, where: str) -> Span:
    parts: Sequence[Any] = [value.get("opens"), value.get("closes")] if isinstance(value, dict) else ["", ""]
    matches = [_TIME.fullmatch(str(part)) for part in parts]
    if matches[0] is None or matches[1] is None:
        _wrong(where, f'{day}: write times as {{opens: "08:00", closes: "18:00"}}, in quotes')
    opens, closes = (time(int(match[1]), int(match[2])) for match in matches if match)
    return Span(opens, closes)


def problems_of(rota: Rota) -> list[str]:
    """What a force should mend in its rota, each as one sentence; empty when nothing."""
    found: list[str] = []
    for level in rota.levels:
        for contact in level.contacts:
            if contact.verify:
                found.append(f"'{contact.name}' ({level.name}) is an example: confirm who it reaches.")
            if not contact.mail and not contact.target:
                found.append(
                    f"'{contact.name}' ({level.name}) has no mail address and no target. Write them into "
                    "alarms.yml, or under its key into FRONTCOUNTER_ALARM_CONTACTS_FILE."
                )
    return found
