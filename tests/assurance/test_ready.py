"""Each thing that blocks goes away by doing what its text says, and comes back when it is undone."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
from sqlalchemy import select, update

from bot.accounts import DEMO_STAFF, SecondFactor, Sessions, create_staff, demo_accounts
from bot.app import platforms
from bot.assistant import content_from_files
from bot.assurance.backup import make_backup
from bot.assurance.findings import Report
from bot.assurance.readiness import Surroundings, is_weak, look
from bot.assurance.ready_people import P1_STAFF
from bot.assurance.signoff import sign_off, withdraw
from bot.errors import RefusedError
from bot.handover.alarms import Alarms, read_rota
from bot.knowledge.releases import publish
from bot.messages import Actor
from bot.services import model_path
from bot.settings import ROOT, load_settings
from bot.store import Store
from bot.store.record import now
from bot.store.tables import Audit, SignOff, Staff
from tests.alarms.outside import SECRET as RECEIVER_SECRET
from tests.alarms.outside import Mailbox, Receiver
from tests.assurance.conftest import Keys
from tests.assurance.test_backup import run
from tests.support.rasa import LoopbackRasa
from tests.support.world import P3, World

pytestmark = pytest.mark.integration

STRONG = "Zq8-vT3_kLm9xWp2Rb6NcY4dHsJf7gKe"
ACTOR = Actor("test")
PASSWORD = "correct horse battery"


@pytest.fixture
def force(tmp_path: Path) -> Path:
    """A force's folder of the test's own."""
    return Path(shutil.copytree(ROOT / "force" / "northumbria", tmp_path / "force"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The content of the test's own."""
    (tmp_path / "data").mkdir()
    for name in ("faq", "risk"):
        shutil.copytree(ROOT / "data" / name, tmp_path / "data" / name)
    return tmp_path / "data"


@dataclasses.dataclass
class Place:
    """A force that is being set up: settings that change, files that are edited, what is found."""

    store: Store
    force: Path
    data: Path
    values: dict[str, Any]

    async def look(self) -> Report:
        """What `frontcounter ready` finds."""
        settings = load_settings(
            database_url=self.store.url.render_as_string(hide_password=False), force=self.force,
            data=self.data, **self.values,
        )  # fmt: skip
        return await look(Surroundings(settings, self.store, platforms(settings), DEMO_STAFF))

    async def keys(self) -> set[str]:
        """What blocks."""
        return {finding.key for finding in (await self.look()).blocking}

    async def publish(self) -> None:
        """Make the files the live release."""
        await publish(self.store, content_from_files(self.force, self.data), ACTOR)

    def edit(self, path: Path, old: str, new: str) -> None:
        """Edit a file as somebody would."""
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")


@pytest.fixture
def place(store: Store, force: Path, data: Path, tmp_path: Path, rasa: LoopbackRasa) -> Place:
    """A force on its first day: nothing is set."""
    return Place(
        store, force, data,
        {"assistant_urls": (rasa.url,), "models": tmp_path / "models", "var": tmp_path / "var", "redis_url": ""},
    )  # fmt: skip


def checked(folder: Path) -> None:
    """Somebody checked every file and took the marks out."""
    for path in folder.rglob("*.yml"):
        path.write_text(re.sub(r"verify: true", "verify: false", path.read_text("utf-8")), "utf-8")


async def test_words_in_other_languages_are_found_until_a_native_reader_has_checked_them(
    place: Place,
) -> None:
    said, screened = "verify.languages.pl", "verify.risk.languages.pl"
    assert {said, screened, "verify.languages.ckb", "verify.risk.languages.ckb"} <= await place.keys()
    place.edit(place.data / "risk" / "languages" / "pl.yml", "verify: true", "verify: false")
    # The screen reads its files, the public gets the release.
    assert screened not in await place.keys()
    place.edit(place.force / "languages.yml", "  verify: true\nar:", "  verify: false\nar:")
    assert said in await place.keys()
    await place.publish()
    assert not {said, screened} & await place.keys()
    assert "verify.languages.ckb" in await place.keys()


async def test_content_is_found_until_it_was_checked_and_published(place: Place) -> None:
    faq, contact = "verify.faq.contact-101-wait", "verify.contact.NPTEXT"
    first = await place.keys()
    assert {faq, contact, "verify.hours.desk", "verify.hours.counters", "verify.pages.facts.dpo"} <= first
    checked(place.data)
    checked(place.force)
    still = await place.keys()
    # The public gets the release in the database: editing a file alone changes nothing but the pages.
    assert faq in still
    assert not any(key.startswith("verify.pages") for key in still)
    await place.publish()
    assert not any(key.startswith("verify.") for key in await place.keys())
    path = place.data / "faq" / "noise.yml"
    place.edit(path, 'review_by: "2027-05-22"', 'review_by: "2026-01-01"')
    await place.publish()
    assert "review.faq.noise" in await place.keys()
    place.edit(path, 'review_by: "2026-01-01"', 'review_by: "2036-01-01"')
    await place.publish()
    assert "review.faq.noise" not in await place.keys()


async def test_another_force_is_told_where_it_still_speaks_for_the_example(place: Place) -> None:
    def named(keys: set[str]) -> set[str]:
        return {key for key in keys if key.startswith("example.")}

    await place.publish()
    assert not named(await place.keys()), "the example may name itself"
    place.edit(place.force / "force.yml", "name: Northumbria Police", "name: Borderland Police")
    await place.publish()
    found = named(await place.keys())
    assert {"example.force", "example.contact.NPWEB", "example.pages.dpo"} <= found
    assert "example.faq.bot-what-are-you" not in found, "it is filled in with the force's own name"
    assert "example.contact.SARC" not in found, "notes are for staff"
    assert "example.contact.METRO" not in found, "a neighbour may share a county, until it says otherwise"
    place.edit(place.force / "force.yml", "Tyne and Wear", "Bordershire")
    place.edit(place.force / "force.yml", "Gateshead, ", "")
    place.edit(place.force / "pages.yml", "Northumbria", "Borderland")
    place.edit(place.force / "contacts.yml", "northumbria.police.uk", "borderland.example")
    await place.publish()
    left = named(await place.keys())
    assert {"example.contact.METRO", "example.contact.NPTEXT", "example.faq.other-force"} <= left
    assert not left & {"example.contact.RELAY101", "example.pages.dpo", "example.pages.controller"}


async def test_a_telephone_number_of_the_example_is_found_under_any_name(place: Place) -> None:
    place.edit(place.force / "force.yml", "name: Northumbria Police", "name: Borderland Police")
    place.edit(place.force / "contacts.yml", "Northumbria", "Borderland")
    place.edit(place.force / "contacts.yml", "northumbria", "borderland")
    numbers = {
        "example.contact.OPCC",
        "example.contact.NVWS",
        "example.contact.NHS111",
        "example.contact.COUNCIL",
    }
    await place.publish()
    assert not numbers & await place.keys(), "a neighbour of the same county may share them"
    place.edit(place.force / "force.yml", "[Tyne and Wear, Northumberland]", "[Bordershire]")
    areas = "[Newcastle, Gateshead, North Tyneside, South Tyneside, Sunderland, Northumberland]"
    place.edit(place.force / "force.yml", areas, "[Bordertown]")
    await place.publish()
    assert numbers <= await place.keys()
    (found,) = [f for f in (await place.look()).blocking if f.key == "example.contact.OPCC"]
    assert "0191 221 9800" in found.what
    assert "example.contact.DA" not in await place.keys(), "a number of the whole country is everybody's"
    for given, own in (("0191 221 9800", "01632 960 102"), ("01912219800", "01632960102")):
        place.edit(place.force / "contacts.yml", given, own)
    await place.publish()
    assert "example.contact.OPCC" not in await place.keys()


async def test_sentences_that_a_new_version_says_are_missed(place: Place) -> None:
    await place.publish()
    assert "wording.missing" not in await place.keys()
    wording = place.force / "wording.yml"
    whole = wording.read_text("utf-8")
    place.edit(wording, "chat_with: Chat with {force}\n", "")
    await place.publish()
    (found,) = [f for f in (await place.look()).blocking if f.key == "wording.missing"]
    assert "lacks sentences of this version: chat_with." in found.what
    wording.write_text(whole, "utf-8")
    await place.publish()
    assert "wording.missing" not in await place.keys()


async def test_alarms_need_two_paths_a_rota_and_a_test_that_got_through(place: Place) -> None:
    mailbox, receiver = Mailbox().start(), Receiver().start()
    try:
        assert {
            "alarms.mail",
            "alarms.webhook",
            "alarms.test.mail",
            "alarms.test.webhook",
        } <= await place.keys()
        assert any("is-an-example" in key for key in await place.keys())
        rota = place.force / "alarms.yml"
        rota.write_text(re.sub(r" *verify: true.*\n", "", rota.read_text("utf-8")), "utf-8")
        place.values |= {
            "smtp_host": "127.0.0.1", "smtp_port": mailbox.port, "smtp_from": "desk@force.example",
            "smtp_tls": "none", "alarm_webhook_url": receiver.url, "alarm_webhook_secret": RECEIVER_SECRET,
        }  # fmt: skip
        assert {k for k in await place.keys() if k.startswith("alarms.")} == {
            "alarms.test.mail", "alarms.test.webhook",
        }  # fmt: skip
        settings = load_settings(force=place.force, **place.values)
        alarms = Alarms(place.store, settings, read_rota(settings), gateway="test")
        for path in ("mail", "webhook"):
            outcomes = await alarms.test(path, 0, ACTOR)
            assert [tested.outcome.result for tested in outcomes] == ["taken"] * len(outcomes), outcomes
        await alarms.stop()
        assert {k for k in await place.keys() if k.startswith("alarms.")} == set()
        assert mailbox.mails
    finally:
        mailbox.stop()
        receiver.stop()


async def hire(store: Store, username: str, role: str, teams: list[str]) -> int:
    """Somebody with an account."""
    return await create_staff(store, username, username.title() + " Tester", role, teams, PASSWORD)


async def set_up_second_factor(store: Store, username: str) -> None:
    """They sign in and set it up, as the page lets them."""
    sessions = Sessions(store, idle_minutes=15, second_factor_required=True)
    factor = SecondFactor(store, sessions, load_settings(secret_key=STRONG), "Test")
    token = await sessions.sign_in(username, PASSWORD, "127.0.0.1")
    session = await sessions.find(token)
    assert session is not None
    begun = await factor.begin(session)
    await factor.confirm(session, pyotp.TOTP(begun.secret).now())


async def test_people_who_answer_p1_day_and_night(place: Place) -> None:
    team = "people.p1-staff.control_room"
    # A sealed P1 is for one small team: it needs people by day and night as well.
    # Nobody may read their own reply: a team whose replies are approved needs a second person.
    approval = "people.approval.corporate_communications"
    missing = {team, "people.p1-staff.control_room_lead", approval, "staff.no-supervisor", "staff.no-admin"}
    assert missing <= await place.keys()
    for number in range(P1_STAFF):
        await hire(place.store, f"mo{number}", "moderator", ["control_room", "control_room_lead"])
    await hire(place.store, "sue", "supervisor", ["digital_desk"])
    await hire(place.store, "ada", "admin", [])
    found = await place.keys()
    assert not {"staff.no-supervisor", "staff.no-admin"} & found
    assert {team, "staff.second-factor.mo0", "staff.second-factor.ada"} <= found
    for username in ("mo0", "mo1", "sue", "ada"):
        await set_up_second_factor(place.store, username)
    # The supervisor could read what a member writes, but the team has no member.
    assert {key for key in await place.keys() if key.startswith(("people.", "staff."))} == {approval}
    await hire(place.store, "cas", "moderator", ["corporate_communications"])
    assert approval in await place.keys()
    await set_up_second_factor(place.store, "cas")
    assert not {key for key in await place.keys() if key.startswith(("people.", "staff."))}
    place.edit(
        place.force / "teams.yml",
        "R14, R15, R16, R17, R18, R19, R20]\n    round_the_clock: true",
        "R14, R15, R16, R17, R18, R19, R20]\n    round_the_clock: false",
    )
    await place.publish()
    assert "people.p1-hours.control_room" in await place.keys()


async def test_secrets_addresses_and_the_demonstration(place: Place) -> None:
    assert {"secret.assistant", "secret.key", "web.secure-cookies", "web.public-url"} <= await place.keys()
    place.values |= {
        "assistant_secret": STRONG, "secret_key": STRONG[::-1], "secure_cookies": True,
        "public_url": "https://chat.force.example", "demo": True,
    }  # fmt: skip
    found = await place.keys()
    assert not {key for key in found if key.startswith(("secret.", "web."))}
    assert "demo.setting" in found
    place.values |= {
        "demo": False,
        "alarm_webhook_url": "http://127.0.0.1:9/x",
        "alarm_webhook_secret": "abc",
    }
    found = await place.keys()
    assert "demo.setting" not in found
    assert "secret.alarm-webhook" in found


@pytest.mark.unit
@pytest.mark.parametrize(
    "weak", ["", "short", "a" * 40, "change-me-before-you-start", "secret-secret-secret-12"]
)
def test_secrets_that_anybody_could_guess(weak: str) -> None:
    assert is_weak(weak)
    assert not is_weak(STRONG)


async def test_made_up_staff_and_their_chats(world: World, tmp_path: Path) -> None:
    place = Place(world.store, ROOT / "force" / "northumbria", ROOT / "data", {"models": tmp_path})
    await demo_accounts(world.store)
    assert "demo.account.moderator1" in await place.keys()
    await world.say(P3, "ann")
    assert "demo.chats" in await place.keys()
    async with world.store.write() as connection:
        await connection.execute(update(Staff).where(Staff.username == "moderator1").values(active=False))
    found = await place.keys()
    assert "demo.account.moderator1" not in found
    assert "demo.account.moderator2" in found


async def test_the_assistant_runs_the_model_of_these_sources(place: Place, rasa: LoopbackRasa) -> None:
    name = rasa.url.partition("://")[2]
    assert f"assistant.unreachable.{name}" in await place.keys()
    place.values["assistant_secret"] = "only-for-tests-and-nothing-else"
    assert f"assistant.untrained.{name}" in await place.keys()
    model = model_path(place.values["models"])
    model.parent.mkdir()
    model.write_bytes(b"a model")
    assert f"assistant.model.{name}" in await place.keys()
    rasa.garbage = {"release": hashlib.sha256(b"a model").hexdigest()[:12], "ready": True}
    assert not {key for key in await place.keys() if key.startswith("assistant.")}


async def test_a_channel_that_cannot_be_reached(place: Place) -> None:
    place.values |= {
        "telegram_token": "4242424242:" + "A" * 35, "telegram_api_url": "http://127.0.0.1:9",
    }  # fmt: skip
    assert "channel.telegram" in await place.keys()
    del place.values["telegram_token"]
    assert "channel.telegram" not in await place.keys()


async def test_backups(place: Place, keys: Keys, tmp_path: Path) -> None:
    assert {"backup.key", "backup.recent"} <= await place.keys()
    place.values["backup_key_file"] = keys.public
    assert "backup.key" not in await place.keys()
    await make_backup(
        place.store, tmp_path / "one", key=keys.public, models=None, content={}, secret_key="", version="1"
    )
    assert "backup.recent" not in await place.keys()
    async with place.store.write() as connection:
        await connection.execute(
            update(Audit).where(Audit.action == "backup").values(at=now() - timedelta(hours=25))
        )
    assert "backup.recent" in await place.keys()
    place.values["backup_key_file"] = keys.private
    report = await place.look()
    assert "backup.private-key" in {finding.key for finding in report.warnings}


# ---- signing off ---------------------------------------------------------------------------------

ITEM = "verify.faq.contact-101-wait"


async def test_a_named_supervisor_takes_responsibility_until_it_changes(place: Place) -> None:
    await hire(place.store, "sue", "supervisor", [])
    words = {"by": "sue", "name": "Sue Tester", "reason": "Checked by telephone today."}
    await sign_off(place.store, await place.look(), [ITEM], **words)
    report = await place.look()
    assert ITEM not in {finding.key for finding in report.blocking}
    assert report.signed[ITEM].name == "Sue Tester"

    path = place.data / "faq" / "contact-101-wait.yml"
    place.edit(path, "We do" if "We do" in path.read_text() else "I'm sorry", "We are sorry that")
    await place.publish()
    assert ITEM in await place.keys()

    await sign_off(place.store, await place.look(), [ITEM], **words)
    assert ITEM not in await place.keys()
    await withdraw(place.store, [ITEM], **words)
    assert ITEM in await place.keys()
    with pytest.raises(RefusedError, match="Nobody has signed off"):
        await withdraw(place.store, [ITEM], **words)
    async with place.store.read() as connection:
        actions = await connection.execute(
            select(Audit.action, Audit.actor).where(Audit.action.like("signoff%")).order_by(Audit.id)
        )
        assert [tuple(row) for row in actions] == [
            ("signoff", "Sue Tester"), ("signoff", "Sue Tester"), ("signoff.withdraw", "Sue Tester"),
        ]  # fmt: skip


async def test_a_word_for_one_of_two_is_none_for_nobody_at_all(place: Place) -> None:
    team = "people.p1-staff.control_room"
    await hire(place.store, "sue", "supervisor", ["control_room"])
    await set_up_second_factor(place.store, "sue")
    words = {"by": "sue", "name": "Sue Tester", "reason": "The second one comes on Monday."}
    await sign_off(place.store, await place.look(), [team], **words)
    assert team not in await place.keys()
    async with place.store.write() as connection:
        await connection.execute(update(Staff).where(Staff.username == "sue").values(active=False))
    assert team in await place.keys()


async def test_not_everybody_can_sign_off(place: Place) -> None:
    await hire(place.store, "mo", "moderator", [])
    await hire(place.store, "sue", "supervisor", [])
    report = await place.look()
    good = {"by": "sue", "name": "Sue Tester", "reason": "Checked by telephone."}
    for wrong, why in (
        ({"by": "mo", "name": "Mo Tester"}, "no active supervisor"),
        ({"by": "nobody"}, "no active supervisor"),
        ({"name": "Somebody Else"}, "another name"),
        ({"reason": "ok"}, "reason in a sentence"),
    ):
        with pytest.raises(RefusedError, match=why):
            await sign_off(place.store, report, [ITEM], **{**good, **wrong})
    with pytest.raises(RefusedError, match="Nothing called"):
        await sign_off(place.store, report, ["verify.faq.no-such-answer"], **good)
    async with place.store.write() as connection:
        await connection.execute(update(Staff).where(Staff.username == "sue").values(active=False))
    with pytest.raises(RefusedError, match="no active supervisor"):
        await sign_off(place.store, report, [ITEM], **good)
    async with place.store.read() as connection:
        assert (await connection.execute(select(SignOff.id))).all() == []


def test_the_commands(database_url: str, tmp_path: Path) -> None:
    """List, publish, sign off everything: then the exit code is 0."""
    environment = {"FRONTCOUNTER_DATABASE_URL": database_url, "FRONTCOUNTER_MODELS": str(tmp_path)}
    listed = run("ready", "--json", environment=environment)
    assert listed.returncode == 1, listed.stderr
    found = json.loads(listed.stdout)
    assert found["ready"] is False
    assert run("ready", environment=environment).stdout.count("[blocks]") == found["blocking"]
    assert run("publish", "--by", "nobody", environment=environment).returncode == 1
    assert run("staff", "invite", "sue", "--name", "Sue Tester", "--role", "supervisor", environment=environment).returncode == 0  # fmt: skip
    items = [f["key"] for f in json.loads(run("ready", "--json", environment=environment).stdout)["findings"] if f["blocks"]]  # fmt: skip
    words = ("--by", "sue", "--name", "Sue Tester", "--reason", "A trial with nobody but ourselves.")
    signed = run("sign-off", *items, *words, environment=environment)
    assert signed.returncode == 0, signed.stderr
    ready = run("ready", environment=environment)
    assert (ready.returncode, "Nothing blocks" in ready.stdout) == (0, True)
    assert run("sign-off", items[0], *words, "--withdraw", environment=environment).returncode == 0
    assert run("ready", environment=environment).returncode == 1
