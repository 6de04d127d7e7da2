"""The force's practice.yml: who the made-up people are, what they write, and what would be right.

Every fault names the file, the line and what to do, as those of the force's other files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.assistant.content import Content
from bot.assistant.sources import line_of
from bot.conversations import phrases
from bot.conversations.door import JOIN_MESSAGES
from bot.errors import ContentError
from bot.messages import GRADES, URGENT
from bot.safety import Screen

FILE: Final = "practice.yml"
USERNAME: Final = "practice-"
"""How the user name of every made-up member of staff begins. None of a real gateway may have it."""

_Text = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S")]
_Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
_Username = Annotated[str, Field(pattern=rf"^{USERNAME}[a-z0-9-]+$", max_length=64)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Member(_Part):
    """One account of practice."""

    name: _Text = Field(description="a name that shows that nobody is meant")
    role: Literal["moderator", "supervisor"] = Field(description="moderator or supervisor")
    teams: list[_Text] = Field(min_length=1, description="a list of teams of teams.yml")


class Say(_Part):
    """One line, so many seconds after what came before it."""

    after: float = Field(ge=0, le=3600, description="a number of seconds, 3600 at most")
    text: _Text = Field(description="what the person writes, in quotes")


class People(_Part):
    """One made-up person, or several who write nearly the same."""

    says: list[Say] = Field(min_length=1, description="a list of lines, each with after and text")
    times: int = Field(1, ge=1, le=50, description="how many people write this, 50 at most")
    says_also: list[_Text] = Field([], description="a list of other first lines, in quotes")
    on_reply: list[_Text] = Field([], description="a list of answers, in quotes")
    on_place: _Text | None = Field(None, description="where the person is, in quotes")
    on_safe: _Text | None = Field(None, description='a plain yes or no, in quotes: "yes"')
    on_silence: list[Say] = Field([], description="a list of lines, each with after and text")
    on_handed_back: _Text | None = Field(None, description="what the person writes then, in quotes")
    on_closed: _Text | None = Field(None, description="what the person writes then, in quotes")


class Scenario(_Part):
    """Something to learn, by people who need something."""

    title: _Text = Field(description="what a supervisor chooses, as text")
    learn: _Text = Field(description="what it teaches, as text")
    grade: Literal["P1", "P2", "P3", "P4"] = Field(description="P1, P2, P3 or P4")
    outcomes: list[_Text] = Field(min_length=1, description="a list of outcomes of outcomes.yml")
    hand_back: bool = Field(False, description="true where the assistant may have the chat again, or false")
    read_again: list[_Text] = Field(min_length=1, description="a list of sentences")
    people: list[People] = Field(min_length=1, description="a list of people, each with says")


class Start(_Part):
    """A scenario within a session."""

    at: float = Field(ge=0, le=600, description="a number of minutes, 600 at most")
    scenario: _Text = Field(description="the key of a scenario")


class Session(_Part):
    """Scenarios one after the other."""

    title: _Text = Field(description="what a supervisor chooses, as text")
    about: _Text = Field(description="what it is like, as text")
    scenarios: list[Start] = Field(min_length=1, description="a list, each with at and scenario")


class Script(_Part):
    """The whole file."""

    staff: dict[_Username, Member] = Field(description=f"accounts whose user names begin with {USERNAME}")
    place_words: list[_Text] = Field(min_length=1, description="a list of words that ask for a place")
    answer_seconds: float = Field(15, gt=0, le=600, description="a number of seconds, 600 at most")
    scenarios: dict[_Key, Scenario] = Field(description="scenarios by key, in small letters")
    sessions: dict[_Key, Session] = Field({}, description="sessions by key, in small letters")

    def asks_for_a_place(self, text: str) -> bool:
        """Whether a reply of staff asks where somebody is."""
        plain = text.casefold()
        return any(word.casefold() in plain for word in self.place_words)


def load_script(force: Path, content: Content) -> Script:
    """Read the file and compare it with the force's teams and outcomes.

    Raises:
        ContentError: it is missing or wrong; the first fault in words.
    """
    source = _Source(force)
    script = source.read()
    for fault in source.faults_of(script, content):
        raise ContentError(fault)
    return script


def faults(force: Path, content: Content, screen: Screen) -> Iterator[str]:
    """Everything that is wrong in a force's practice.yml; a force may have none."""
    if not (force / FILE).is_file():
        return
    source = _Source(force)
    try:
        script = source.read()
    except ContentError:
        yield from source.found
        return
    yield from source.faults_of(script, content)
    yield from source.faults_of_danger(script, screen)


class _Source:
    """The file with the lines of what stands in it."""

    def __init__(self, force: Path) -> None:
        self.path = force / FILE
        self.node: yaml.Node | None = None
        self.found: list[str] = []

    def _said(self, place: Sequence[str | int], what: str) -> str:
        return f"{self.path.parent.name}/{FILE}, line {line_of(self.node, place)}: {what}."

    def read(self) -> Script:
        """The file as it is.

        Raises:
            ContentError: it is missing, not YAML or not what it has to be. `found` holds all that is wrong.
        """
        try:
            text = self.path.read_text("utf-8")
            self.node = yaml.compose(text, Loader=yaml.SafeLoader)
            loaded = yaml.safe_load(text)
        except (OSError, UnicodeDecodeError) as error:
            raise self._wrong(f"{self.path.parent.name}/{FILE} cannot be read. Practice needs it.") from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            said = f"{self.path.parent.name}/{FILE}, line {line}: this is not valid YAML. Mend that line."
            raise self._wrong(said) from error
        twice = list(self._repeated_keys(self.node))
        if twice:
            raise self._wrong(*twice)
        try:
            return Script.model_validate(loaded)
        except ValidationError as error:
            told = sorted(self._told(dict(one)) for one in error.errors(include_url=False))
            file = f"{self.path.parent.name}/{FILE}"
            raise self._wrong(*(f"{file}, line {line}: {what}." for line, what in told)) from error

    def _wrong(self, *sentences: str) -> ContentError:
        self.found = list(sentences)
        return ContentError(sentences[0])

    def _repeated_keys(self, node: yaml.Node | None) -> Iterator[str]:
        """YAML takes the last of two equal keys without a word."""
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if key.value in seen:
                    line = key.start_mark.line + 1
                    yield f"{self.path.parent.name}/{FILE}, line {line}: '{key.value}' stands twice. Remove one."
                seen.add(key.value)
                yield from self._repeated_keys(value)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                yield from self._repeated_keys(value)

    def _told(self, error: dict[str, Any]) -> tuple[int, str]:
        """Line and words of one fault that the schema found."""
        place = list(error["loc"])
        names = [str(part) for part in place if isinstance(part, str) and part != "[key]"]
        line = line_of(self.node, place)
        if "[key]" in place:
            rule = f"begin with {USERNAME}" if names[0] == "staff" else "be small letters, digits and _"
            return line, f"'{names[-1]}' is no key here: it has to {rule}"
        known = _fields(place)
        name = names[-1] if names else "the file"
        if error["type"] == "missing":
            return line, f"'{name}' is missing. Add it: {known.get(name, 'see the top of the file')}"
        if error["type"] == "extra_forbidden":
            return line, f"'{name}' is not known here. Remove it, or write one of: {', '.join(sorted(known))}"
        return line, f"'{name}' must be {known.get(name, 'keys and values')}"

    def faults_of(self, script: Script, content: Content) -> Iterator[str]:
        """What names something that is not there, or could not be played."""
        teams: Mapping[str, Any] = content.teams.get("teams", {})
        for username, member in script.staff.items():
            for team in member.teams:
                if team not in teams:
                    yield self._said(["staff", username, "teams"], f"there is no team {team} in teams.yml")
        for role in ("moderator", "supervisor"):
            if not any(member.role == role for member in script.staff.values()):
                yield self._said(["staff"], f"nobody here is a {role}. Add an account")
        for key, scenario in script.scenarios.items():
            yield from self._faults_of_scenario(key, scenario, content)
        for key, session in script.sessions.items():
            for number, start in enumerate(session.scenarios):
                if start.scenario not in script.scenarios:
                    place: list[str | int] = ["sessions", key, "scenarios", number, "scenario"]
                    yield self._said(place, f"there is no scenario {start.scenario} in this file")

    def _faults_of_scenario(self, key: str, scenario: Scenario, content: Content) -> Iterator[str]:
        place: list[str | int] = ["scenarios", key]
        for outcome in scenario.outcomes:
            known = content.outcomes.get(outcome)
            if known is None:
                yield self._said([*place, "outcomes"], f"there is no outcome {outcome} in outcomes.yml")
            elif scenario.grade not in known.get("grades", GRADES):
                yield self._said([*place, "outcomes"], f"a {scenario.grade} cannot be closed with {outcome}")
        if scenario.hand_back and scenario.grade in URGENT:
            yield self._said([*place, "hand_back"], f"a {scenario.grade} is never handed back. Write false")
        for number, people in enumerate(scenario.people):
            here: list[str | int] = [*place, "people", number]
            if len(people.says_also) != people.times - 1:
                wanted = f"{people.times} people need {people.times - 1} other first lines in says_also"
                yield self._said([*here, "says_also"], wanted)
            if people.on_safe is not None and not (
                phrases.is_yes(people.on_safe) or phrases.is_no(people.on_safe)
            ):
                yield self._said([*here, "on_safe"], 'write a plain "yes" or "no"')

    def faults_of_danger(self, script: Script, screen: Screen) -> Iterator[str]:
        """Where the safety words see other danger than the scenario teaches: practice has no second net.

        `grade` is the grade that is right in the end, so a P1 may be raised at first where it is a P2.
        """
        for key, scenario in script.scenarios.items():
            for number, people in enumerate(scenario.people):
                place: list[str | int] = ["scenarios", key, "people", number]
                if scenario.grade in URGENT:
                    raised = [screen.check(read).worst for name, read in _as_read(people) if name == "says"]
                    if not any(hit is not None and hit.priority <= scenario.grade for hit in raised):
                        what = (
                            f"the safety words do not raise a {scenario.grade} here. Write it as they know it"
                        )
                        yield self._said([*place, "says"], what)
                else:
                    for name, read in _as_read(people):
                        worst = screen.check(read).worst
                        if worst is not None and worst.priority in URGENT:
                            what = f"the safety words raise a {worst.priority} of a {scenario.grade} with"
                            text = read.splitlines()[-1][:60]
                            yield self._said([*place, name], f"{what} “{text}”. Say it in other words")


def _as_read(people: People) -> Iterator[tuple[str, str]]:
    """Everything that somebody may write, with the key under which it stands, as the door reads it.

    Each line is read by itself, and with the four before it (`door.JOIN_MESSAGES`).
    """
    told = [("says", line.text) for line in people.says] + [("on_reply", text) for text in people.on_reply]
    for number, (name, text) in enumerate(told):
        yield name, text
        yield name, "\n".join(text for _name, text in told[max(0, number + 1 - JOIN_MESSAGES) : number + 1])
    for name, texts in (
        ("says_also", people.says_also),
        ("on_silence", [line.text for line in people.on_silence]),
        ("on_place", [people.on_place]),
        ("on_handed_back", [people.on_handed_back]),
        ("on_closed", [people.on_closed]),
    ):
        for text_or_none in texts:
            if text_or_none:
                yield name, text_or_none


def _fields(place: Sequence[str | int]) -> dict[str, str]:
    """The keys that may stand beside the last of a place, with what each must be."""
    by_key: Mapping[str, type[BaseModel]] = {"staff": Member, "scenarios": Scenario, "sessions": Session}
    inside: Mapping[tuple[type[BaseModel], str], type[BaseModel]] = {
        (Scenario, "people"): People,
        (People, "says"): Say,
        (People, "on_silence"): Say,
        (Session, "scenarios"): Start,
    }
    schema: type[BaseModel] = Script
    parts = [part for part in place if isinstance(part, str)]
    if len(parts) > 2 and parts[0] in by_key:
        schema = by_key[parts[0]]
        for part in parts[2:-1]:
            schema = inside.get((schema, part), schema)
    return {name: str(field.description) for name, field in schema.model_fields.items()}
