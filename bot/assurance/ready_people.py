"""What the database says about being ready: staff, tests of alarms, backups, and remains of a demonstration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from bot.assistant.content import Content
from bot.assurance.findings import ALARMS, DATA, PEOPLE, Finding, digest_of
from bot.handover import alarms
from bot.handover.approval import Rule
from bot.handover.ownership import ANSWERING_ROLES
from bot.store import Store
from bot.store.record import now
from bot.store.tables import Alarm, AlarmAttempt, Audit, Conversation, Staff, StaffTeam

P1_STAFF = 2
"""Members of staff that a team for P1 needs at least: one answers, one stands in."""
APPROVAL_STAFF = 2
"""Who can write and read for a team with approval: nobody reads what they wrote themselves."""
TEST_DAYS = 30
BACKUP_HOURS = 24


async def stored_findings(
    store: Store, demo_staff: Collection[tuple[str, str]], content: Content
) -> AsyncIterator[Finding]:
    """Staff, tests of alarms, backups, and what a demonstration has left behind.

    Args:
        store: where they stand.
        demo_staff: user name and name of each made-up member of staff.
        content: the live release.
    """
    async with store.read() as connection:
        people = list((await connection.execute(select(Staff.__table__).order_by(Staff.username))).all())
        members: dict[str, set[int]] = defaultdict(set)
        for row in await connection.execute(select(StaffTeam.staff_id, StaffTeam.team)):
            members[row.team].add(row.staff_id)
        tested = {row.path: row.at for row in await connection.execute(_tests())}
        backup = (
            await connection.execute(select(func.max(Audit.at)).where(Audit.action == "backup"))
        ).scalar_one_or_none()
        chats = (await connection.execute(select(func.count()).select_from(Conversation))).scalar_one()
    able = {p.id for p in people if p.active and p.totp_confirmed_at and p.role in ANSWERING_ROLES}
    for finding in p1_findings(content, {team: len(ids & able) for team, ids in members.items()}):
        yield finding
    supervisors = {p.id for p in people if p.id in able and p.role == "supervisor"}
    for finding in approval_findings(content, {t: ids & able for t, ids in members.items()}, supervisors):
        yield finding
    for person in people:
        if person.active and person.totp_confirmed_at is None:
            yield Finding(
                f"staff.second-factor.{person.username}", PEOPLE,
                f"{person.name} has no second factor.",
                "Let them sign in and set it up, or suspend the account.", person.name,
            )  # fmt: skip
    for role in ("supervisor", "admin"):
        if not any(p.active and p.role == role for p in people):
            yield Finding(
                f"staff.no-{role}", PEOPLE, f"Nobody has the role {role}.",
                "Invite somebody with `frontcounter staff invite`.", "Operator",
            )  # fmt: skip
    for path in alarms.PATHS:
        if path not in tested or tested[path] < now() - timedelta(days=TEST_DAYS):
            yield Finding(
                f"alarms.test.{path}", ALARMS,
                f"No test alarm got through by {path} in the last {TEST_DAYS} days.",
                "Run `frontcounter alarm test`, or use the desk's page, and see it arrive.", "Supervisor",
            )  # fmt: skip
    if backup is None or backup < now() - timedelta(hours=BACKUP_HOURS):
        yield Finding(
            "backup.recent", DATA, f"There is no backup of the last {BACKUP_HOURS} hours.",
            "Run `frontcounter backup --out FOLDER --keep 14` every night, and once now.", "Operator",
        )  # fmt: skip
    # How the accounts of `frontcounter practice` begin (bot/practice/script.py).
    made_up = [p for p in people if (p.username, p.name) in demo_staff or p.username.startswith("practice-")]
    for person in made_up:
        if person.active:
            yield Finding(
                f"demo.account.{person.username}", DATA,
                f"The demonstration's account {person.username} can sign in.",
                "Suspend it, or begin with an empty database.", "Administrator",
            )  # fmt: skip
    if made_up and chats:
        yield Finding(
            "demo.chats", DATA, f"This database was used for a demonstration, and holds {chats} chats.",
            "Begin with an empty database.", "Operator",
        )  # fmt: skip


def _tests() -> Any:
    return (
        select(AlarmAttempt.path, func.max(AlarmAttempt.ended_at).label("at"))
        .join(Alarm, Alarm.id == AlarmAttempt.alarm_id)
        .where(Alarm.kind == "test", AlarmAttempt.result == "taken")
        .group_by(AlarmAttempt.path)
    )


def p1_findings(content: Content, able: Mapping[str, int]) -> Iterator[Finding]:
    """Whether every P1 reaches a team that is there day and night, and has people who can sign in.

    Args:
        content: the live release.
        able: for each team, how many of its members could answer now.
    """
    teams: Mapping[str, Any] = content.teams.get("teams", {})
    routed: dict[str, list[str]] = defaultdict(list)
    for category in content.teams.get("routes", {}):
        routed[content.team_for(category, "P1")].append(category)
    serving: dict[str, list[str]] = defaultdict(list)
    for team, categories in routed.items():
        own = teams.get(team, {})
        cover = own.get("also_at_p1") if own.get("sealed") else own.get("covered_by")
        cover = team if own.get("round_the_clock") else cover
        other = teams.get(cover or "", {})
        if not other.get("round_the_clock") or "P1" not in other.get("grades", ()):
            yield Finding(
                f"people.p1-hours.{team}", PEOPLE,
                f"A P1 of {', '.join(categories)} goes to the team {team}: nobody is there for it at night.",
                "In teams.yml, route it to a team with `round_the_clock: true` and P1, or name one as "
                "`covered_by`. Then run `frontcounter publish --by USERNAME`.",
                "Supervisor", True, digest_of([own, other, categories]),
            )  # fmt: skip
        else:
            serving[str(cover)] += categories
    for team in serving:
        if able.get(team, 0) < P1_STAFF:
            yield Finding(
                f"people.p1-staff.{team}", PEOPLE,
                f"The team {team} answers every P1 day and night, but {able.get(team, 0)} of its members "
                f"can sign in with a second factor. It needs {P1_STAFF} at least.",
                "Invite them with `frontcounter staff invite`, and let them set up their second factor.",
                # One of two is another risk than nobody at all.
                "Administrator", True, digest_of([team, able.get(team, 0)]),
            )  # fmt: skip


def approval_findings(
    content: Content, able: Mapping[str, set[int]], supervisors: Collection[int]
) -> Iterator[Finding]:
    """Whether whoever writes for a team whose replies are approved has a second person to read them.

    Args:
        content: the live release.
        able: for each team, the ids of the members who could answer now.
        supervisors: the ids of the supervisors who could.
    """
    for team in sorted(grades := Rule.of(content.teams).grades):
        own = able.get(team, set())
        if grades[team] and (not own or len(own | set(supervisors)) < APPROVAL_STAFF):
            yield Finding(
                f"people.approval.{team}", PEOPLE,
                f"A second person reads the replies of the team {team} before they are sent, but "
                f"{len(own)} of its members can sign in with a second factor, and nobody else may read them.",
                "Invite another member with `frontcounter staff invite`, or a supervisor; or take `approval` "
                "out of teams.yml and run `frontcounter publish --by USERNAME`.",
                "Administrator", True, digest_of([team, len(own), len(supervisors)]),
            )  # fmt: skip
