"""Accounts by page, over HTTP, without scripts: from an invitation to the desk, and out again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import update

from bot.accounts.codes import code_at
from bot.accounts.links import EXPIRED, SUSPENDED, UNKNOWN, USED
from bot.messages import Actor
from bot.settings import ROOT
from bot.store.record import add_audit, now
from bot.store.tables import Audit, Staff, StaffLink, StaffSession
from tests.console.serving import PASSWORD, Browser, Desk, serving
from tests.support.databases import SqliteTemplates
from tests.support.world import P3

pytestmark = pytest.mark.integration

NEW = "violet tractor pelican"


def link_of(answer: httpx.Response) -> str:
    """The link that a page shows."""
    assert answer.status_code == 200, answer.text
    found = re.search(r'id="link-address">([^<]+)<', answer.text)
    assert found, answer.text
    return found[1]


def invited(ada: Browser, username: str = "new", **fields: object) -> str:
    """Invite somebody; returns the link."""
    values = {"name": "New Person", "role": "moderator", "team": "digital_desk", **fields}
    ada.get("/desk/staff")
    return link_of(ada.post("/desk/staff", username=username, **values))


def secret_on(page: str) -> str:
    """The secret that a page shows, as a person would type it."""
    found = re.search(r'id="secret"><code>([A-Z2-7 ]+)</code>', page)
    assert found, page
    return found[1].replace(" ", "")


def codes_on(page: str) -> list[str]:
    return re.findall(r"<li><code>([a-z2-7-]{19})</code></li>", page)


def staff_id(desk: Desk, username: str) -> int:
    return int(desk.rows(Staff, Staff.username == username)[0].id)


def test_from_an_invitation_to_the_desk(any_desk: Desk) -> None:
    desk = any_desk
    link = invited(desk.browser("ada"))
    person = desk.browser()
    page = person.get(link)
    assert page.url.path == "/desk/link"  # the token has left the address
    assert "Welcome, New Person" in page.text

    weak = person.client.post("/desk/link", data={"password": "short"})
    assert weak.status_code == 422
    assert "Use 12 letters or more" in weak.text
    set_password = person.client.post("/desk/link", data={"password": NEW})
    assert set_password.url.path == "/desk/second-factor/set-up"
    assert 'src="data:image/svg+xml' in set_password.text
    assert person.get("/desk/queue").url.path == "/desk/second-factor/set-up"
    owed = person.client.cookies["desk_session"]

    secret = secret_on(person.get("/desk/second-factor/set-up").text)
    wrong = person.post("/desk/second-factor/set-up", code="000000")
    assert wrong.status_code == 422
    assert secret_on(wrong.text) == secret
    done = person.post("/desk/second-factor/set-up", code=code_at(secret, now()))
    recovery = codes_on(done.text)
    assert len(recovery) == 10
    assert person.client.cookies["desk_session"] != owed
    assert person.get("/desk").url.path == "/desk/queue"

    # From now on: password, then code or recovery code.
    again = desk.browser()
    answer = again.client.post("/desk/sign-in", data={"username": "new", "password": NEW})
    assert answer.url.path == "/desk/second-factor"
    again.get("/desk/second-factor")
    used = again.post("/desk/second-factor/recovery", code=recovery[0])
    assert used.url.path == "/desk/account"
    assert "You used a recovery code. 9 of them are left." in used.text
    assert again.get("/desk").url.path == "/desk/queue"


def test_the_code_leads_on_to_the_page_that_was_wanted(desk: Desk) -> None:
    browser = desk.browser()
    first = browser.get("/desk/recent?state=closed")
    wanted = re.search(r'name="next" value="([^"]+)"', first.text)
    assert wanted
    answer = browser.client.post(
        "/desk/sign-in", data={"username": "mo", "password": PASSWORD, "next": wanted[1]}
    )
    wanted = re.search(r'name="next" value="([^"]+)"', answer.text)
    assert wanted
    browser.get(str(answer.url))
    wrong = browser.post("/desk/second-factor", code="000000", next=wanted[1])
    assert wrong.status_code == 422
    assert "This code is not right" in wrong.text
    assert (
        browser.post("/desk/second-factor", code=desk.code("mo"), next=wanted[1]).url.path == "/desk/recent"
    )


def test_a_link_says_plainly_why_it_does_not_work(any_desk: Desk) -> None:
    desk = any_desk
    ada = desk.browser("ada")
    assert UNKNOWN in desk.browser().get("/desk/link/nonsense").text
    assert desk.browser().client.post("/desk/link", data={"password": NEW}).status_code == 410

    first = invited(ada)
    new = staff_id(desk, "new")
    second = link_of(ada.post(f"/desk/staff/{new}/reset"))
    assert USED in desk.browser().get(first).text

    late = desk.browser()
    assert late.get(second).status_code == 200
    desk.change(update(StaffLink).values(expires_at=now() - timedelta(seconds=1)))
    assert EXPIRED in late.client.post("/desk/link", data={"password": NEW}).text

    third = link_of(ada.post(f"/desk/staff/{new}/reset"))
    person = desk.browser()
    person.get(third)
    desk.change(update(Staff).where(Staff.id == new).values(active=False))
    assert SUSPENDED in person.client.post("/desk/link", data={"password": NEW}).text
    assert desk.rows(Staff, Staff.id == new)[0].password_hash == "!"


def test_a_link_that_two_open_at_once_works_for_one(any_desk: Desk) -> None:
    desk = any_desk
    link = invited(desk.browser("ada"))
    people = [desk.browser() for _ in range(4)]
    for person in people:
        assert "Set your password" in person.get(link).text
    start = threading.Barrier(len(people))

    def set_password(number: int) -> httpx.Response:
        start.wait()
        return people[number].client.post("/desk/link", data={"password": f"{NEW} number {number}"})

    with ThreadPoolExecutor(len(people)) as pool:
        answers = list(pool.map(set_password, range(len(people))))
    winners = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    assert len(winners) == 1
    assert [answer.status_code for answer in answers].count(410) == 3
    for number in range(len(people)):
        answer = desk.browser().client.post(
            "/desk/sign-in", data={"username": "new", "password": f"{NEW} number {number}"}
        )
        assert (answer.status_code == 200) is (number == winners[0])


def test_looking_at_a_link_uses_nothing_up_and_only_the_hash_is_kept(desk: Desk) -> None:
    link = invited(desk.browser("ada"))
    token = link.rsplit("/", 1)[1]
    for _ in range(3):
        assert desk.browser().get(link).status_code == 200
    row = desk.rows(StaffLink)[0]
    assert row.used_at is None
    assert token not in str(row)
    cookie = desk.browser().client.get(link, follow_redirects=False).headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=Lax", "Path=/desk/link"):
        assert part.casefold() in cookie.casefold()


def test_the_link_is_shown_once_and_kept_out_of_every_address(desk: Desk) -> None:
    ada = desk.browser("ada")
    token = invited(ada).rsplit("/", 1)[1]
    for path in ("/desk/staff", f"/desk/staff/{staff_id(desk, 'new')}"):
        assert token not in ada.get(path).text
    assert token not in str(desk.rows(Audit))


def test_the_link_is_a_whole_address_where_the_desk_knows_its_own(sqlite_templates: SqliteTemplates) -> None:
    with serving(sqlite_templates.fresh(), desk_url="https://desk.example/") as desk:
        desk.hire("ada")
        assert invited(desk.browser("ada"), team="control_room").startswith("https://desk.example/desk/link/")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"username": "mo"}, "The user name mo is taken"),
        ({"username": "No!"}, "Use small letters"),
        ({"name": " "}, "Give the name"),
        ({"role": "chief"}, "Choose a role"),
        ({"team": "no_team"}, "The teams are: control_room, control_room_lead, corporate_communications"),
    ],
)
def test_an_invitation_that_is_wrong_says_what_to_do(
    desk: Desk, fields: dict[str, str], sentence: str
) -> None:
    ada = desk.browser("ada")
    values = {"username": "new", "name": "New", "role": "moderator", "team": "digital_desk", **fields}
    answer = ada.post("/desk/staff", **values)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert "There is a problem" in answer.text
    assert not desk.rows(Staff, Staff.username == "new")


def test_a_suspension_ends_the_stream_and_gives_the_chats_back(any_desk: Desk) -> None:
    desk = any_desk
    row = desk.say(P3)
    mo, ada = desk.browser("mo"), desk.browser("ada")
    assert mo.do(row, "claim", epoch=row.epoch).status_code == 204
    at = f"/desk/staff/{staff_id(desk, 'mo')}"
    ada.get(at)
    with mo.client.stream("GET", "/desk/stream") as answer:
        lines = answer.iter_lines()
        for line in lines:
            if line == "event: ready":
                break
        done = ada.post(f"{at}/suspend", reason="left the force")
        assert "suspended" in done.text
        rest = list(lines)
    assert "event: gone" in rest
    assert mo.get("/desk/queue").url.path == "/desk/sign-in"
    chat = desk.chat()
    assert (chat.state, chat.owner_id, chat.front) == ("waiting", None, True)
    assert "Wrong" not in desk.browser().sign_in("mo").text
    (suspended,) = desk.audit("staff.suspend")
    assert (suspended.actor, suspended.detail["reason"]) == ("Ada Tester", "left the force")
    assert suspended.subject_id == staff_id(desk, "mo")

    assert "not suspended" not in ada.post(f"{at}/restore").text
    assert desk.browser("mo").get("/desk").url.path == "/desk/queue"


def test_a_suspension_from_the_command_line_reaches_the_desk_that_serves(any_desk: Desk) -> None:
    desk = any_desk
    row = desk.say(P3)
    mo = desk.browser("mo")
    assert mo.do(row, "claim", epoch=row.epoch).status_code == 204
    with mo.client.stream("GET", "/desk/stream") as answer:
        lines = answer.iter_lines()
        for line in lines:
            if line == "event: ready":
                break
        done = subprocess.run(
            [sys.executable, "-m", "bot.cli", "staff", "suspend", "mo", "--reason", "left the force"],
            cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
            env={
                **os.environ, "FRONTCOUNTER_REDIS_URL": "",
                "FRONTCOUNTER_DATABASE_URL": desk.gateway.core.settings.database_url,
            },
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        rest = list(lines)
    assert "event: gone" in rest
    chat = desk.chat()
    assert (chat.state, chat.owner_id, chat.front) == ("waiting", None, True)
    assert desk.audit("staff.suspend")[0].actor.startswith("command line (")


def test_another_role_counts_at_once_on_open_pages(any_desk: Desk) -> None:
    desk = any_desk
    row = desk.say(P3)
    mo, ada = desk.browser("mo"), desk.browser("ada")
    assert mo.do(row, "claim", epoch=row.epoch).status_code == 204
    at = f"/desk/staff/{staff_id(desk, 'mo')}"
    ada.get(at)
    with mo.client.stream("GET", "/desk/stream") as answer:
        lines = answer.iter_lines()
        for line in lines:
            if line == "event: ready":
                break
        ada.post(f"{at}/access", role="comms", team="corporate_communications")
        rest = list(lines)
    assert "event: gone" in rest
    assert mo.get("/desk/queue").status_code == 403
    assert "answers and wording" in mo.get("/desk").text.lower()
    assert desk.chat().state == "waiting"


def test_a_reset_ends_the_sessions_and_the_old_password(any_desk: Desk) -> None:
    desk = any_desk
    mo, ada = desk.browser("mo"), desk.browser("ada")
    at = f"/desk/staff/{staff_id(desk, 'mo')}"
    ada.get(at)
    link = link_of(ada.post(f"{at}/reset"))
    assert mo.get("/desk/queue").url.path == "/desk/sign-in"
    wrong = desk.browser().client.post("/desk/sign-in", data={"username": "mo", "password": PASSWORD})
    assert wrong.status_code == 422
    assert "Has to set a new password" in ada.get(at).text

    person = desk.browser()
    person.get(link)
    answer = person.client.post("/desk/link", data={"password": NEW})
    assert answer.url.path == "/desk/second-factor"  # the device was kept: its code is asked for
    person.get("/desk/second-factor")
    assert person.post("/desk/second-factor", code=desk.code("mo")).url.path == "/desk/queue"

    dropped = link_of(ada.post(f"{at}/reset", **{"second-factor": "1"}))
    person = desk.browser()
    person.get(dropped)
    assert person.client.post("/desk/link", data={"password": NEW}).url.path == "/desk/second-factor/set-up"


def test_a_lost_device_and_all_sessions(desk: Desk) -> None:
    mo, ada = desk.browser("mo"), desk.browser("ada")
    at = f"/desk/staff/{staff_id(desk, 'mo')}"
    ada.get(at)
    assert "All sessions of this account have ended." in ada.post(f"{at}/end-sessions").text
    assert mo.get("/desk/queue").url.path == "/desk/sign-in"
    assert "The second factor is removed." in ada.post(f"{at}/second-factor").text
    again = ada.post(f"{at}/second-factor")
    assert again.status_code == 422
    assert "This account has no second factor." in again.text
    answer = desk.browser().client.post("/desk/sign-in", data={"username": "mo", "password": PASSWORD})
    assert answer.url.path == "/desk/second-factor/set-up"


def test_nobody_changes_their_own_account_or_takes_the_last_administrator(desk: Desk) -> None:
    ada = desk.browser("ada")
    at = f"/desk/staff/{staff_id(desk, 'ada')}"
    assert f'action="{at}/suspend"' not in ada.get(at).text
    for action, fields in (
        ("suspend", {"reason": "a slip"}),
        ("access", {"role": "moderator"}),
        ("reset", {}),
        ("second-factor", {}),
    ):
        answer = ada.post(f"{at}/{action}", **fields)
        assert answer.status_code == 422, action
        assert "your own account" in answer.text
    assert ada.get("/desk/staff").status_code == 200


def test_supervisors_look_and_change_nothing_and_others_see_nothing(desk: Desk) -> None:
    at = f"/desk/staff/{staff_id(desk, 'jo')}"
    sue = desk.browser("sue")
    page = sue.get(at).text
    assert "Jo Tester" in page
    assert "<form" not in page.split("<main", 1)[1].split("</main>")[0]
    assert 'href="/desk/staff"' in sue.get("/desk/queue").text
    for username in ("mo", "cam"):
        browser = desk.browser(username)
        assert browser.get(at).status_code == 403
        assert "/desk/staff" not in browser.get("/desk/account").text
    for username in ("sue", "mo", "cam"):
        browser = desk.browser(username)
        browser.get("/desk/account")
        for action in ("access", "suspend", "restore", "reset", "second-factor", "end-sessions"):
            assert browser.post(f"{at}/{action}", reason="because", role="admin").status_code == 403
        assert browser.post("/desk/staff", username="x1", name="X", role="admin").status_code == 403
    assert {row.role for row in desk.rows(Staff, Staff.username == "jo")} == {"moderator"}


def test_the_history_of_an_account_says_who_did_what(desk: Desk) -> None:
    ada = desk.browser("ada")
    at = f"/desk/staff/{staff_id(desk, 'mo')}"
    ada.get(at)
    ada.post(f"{at}/access", role="supervisor", team="control_room")
    desk.browser("mo")
    page = ada.get(at).text
    assert "Role changed: Moderator to Supervisor, by Ada Tester" in page
    assert "Teams changed: Control room, by Ada Tester" in page
    assert "Signed in (code), by Mo Tester" in page
    for number in range(60):
        desk.run(_note(desk, number))
    first = ada.get(at).text
    older = re.search(r'href="([^"]+\?before=\d+)"', first)
    assert older
    assert "Role changed" not in first
    assert "Role changed" in ada.get(older[1]).text


async def _note(desk: Desk, number: int) -> None:
    async with desk.gateway.core.store.write() as connection:
        await add_audit(connection, Actor("Mo Tester", 1, "moderator"), "lock", subject_id=1, number=number)


def test_new_recovery_codes_take_a_code(desk: Desk) -> None:
    mo = desk.browser("mo")
    assert "Recovery codes left" in mo.get("/desk/account").text
    assert mo.post("/desk/account/codes", code="000000").status_code == 422
    shown = mo.post("/desk/account/codes", code=desk.code("mo"))
    assert len(codes_on(shown.text)) == 10
    assert codes_on(mo.get("/desk/account").text) == []


def test_a_demonstration_does_not_ask_but_lets_one_set_it_up(sqlite_templates: SqliteTemplates) -> None:
    with serving(sqlite_templates.fresh(), demo=True, secret_key="") as desk:
        desk.hire("mo")
        desk.change(update(Staff).values(totp_secret=None, totp_confirmed_at=None))
        mo = desk.browser()
        assert mo.sign_in("mo").url.path == "/desk/queue"
        assert "/desk/second-factor/set-up" in mo.get("/desk/account").text
        secret = secret_on(mo.get("/desk/second-factor/set-up").text)
        assert codes_on(mo.post("/desk/second-factor/set-up", code=code_at(secret, now())).text)
        answer = desk.browser().client.post("/desk/sign-in", data={"username": "mo", "password": PASSWORD})
        assert answer.url.path == "/desk/second-factor"


def test_a_key_that_changed_is_said_plainly(sqlite_templates: SqliteTemplates) -> None:
    with serving(sqlite_templates.fresh(), secret_key="another key than the device was set up with") as desk:
        desk.hire("mo")
        browser = desk.browser()
        answer = browser.sign_in("mo")
        assert answer.status_code == 422
        assert "the key of this desk has changed" in answer.text


def test_signing_in_halfway_leaves_nobody_at_the_desk(desk: Desk) -> None:
    browser = desk.browser()
    browser.client.post("/desk/sign-in", data={"username": "mo", "password": PASSWORD})
    with browser.client.stream("GET", "/desk/stream", follow_redirects=False) as answer:
        assert answer.status_code == 303
    (session,) = desk.rows(StaffSession)
    assert session.second_factor == "code"
    # What is amiss here is for who is signed in.
    assert "No alarm leaves" not in browser.get("/desk/second-factor").text
    assert "No alarm leaves" in desk.browser("sue").get("/desk").text
