"""Nobody reads a token, a phone number or people's words in a log, a figure or a record of attempts."""

from __future__ import annotations

import base64

import httpx
import pytest
from prometheus_client import generate_latest

from bot import metrics
from bot.store.tables import Attempt, Audit, Event, Message, Outbox
from tests.meta.test_secrets import WORDS, everything_logged
from tests.platforms.whatsapp.events import account_change
from tests.support.sides import listen
from tests.support.world import P1, P3, PLAIN
from tests.whatsapp.serving import whatsapp_side

pytestmark = pytest.mark.integration

FAILURES = (
    "100:1",
    "131026:1",
    "131056:1",
    "131031:1",
    "500",
    "503",
    "cut",
    "garbage",
    "131047:1",
    "132001:1",
)


def inside(phone: str) -> list[str]:
    """How a phone number looks inside one of Meta's ids."""
    return [base64.b64encode(b"x" * pad + phone.encode()).decode()[4:14] for pad in range(3)]


def test_no_log_no_figure_and_no_record_holds_a_phone_number_or_peoples_words(sqlite_url: str) -> None:
    """Whatever Meta answers, and whatever level is set."""
    with everything_logged() as logged, whatsapp_side(sqlite_url) as side:
        ann, other = side.person(), side.person()
        mid = ann.mid()
        side.inject(ann.says(WORDS, mid=mid), ann.says(PLAIN), ann.is_at(), ann.sends("image", WORDS))
        side.stored(ann.id, 4)
        people = [ann, other]
        for kind in FAILURES:
            side.faults(
                {"path": "me/messages", "kind": kind}, {"path": "sender_action", "kind": kind},
                {"path": f"{side.app.account_id}/phone_numbers", "kind": kind},
            )  # fmt: skip
            person = side.person()
            people.append(person)
            side.inject(person.says(WORDS))
            side.stored(person.id)
            side.until(
                lambda who=person: any(r.attempts for r in side.outbox(who.id)),  # type: ignore[misc]
                "an attempt",
            )
            side.run(side.whatsapp.reachable())
        side.faults()
        side.mode(fails=131026)
        side.inject(ann.edits(mid, WORDS), ann.takes_back(mid), ann.reacts(mid, WORDS), ann.is_told(WORDS))
        side.inject(account_change("phone_number_quality_update", event="FLAGGED"))
        side.inject(
            ann.says(WORDS, group_id=ann.phone), ann.change(errors=[{"code": 131000, "message": ann.phone}])
        )
        odd = ann.says(WORDS)
        odd["value"]["messages"][0]["timestamp"] = 10**400
        assert side.post(side.body(odd, {"field": WORDS, "value": {"x": WORDS}})).status_code == 200
        assert side.post(side.body(ann.says(WORDS)), "sha256=0").status_code == 403
        moved = side.person()
        people.append(moved)
        side.inject(other.says(P3))
        side.stored(other.id)
        side.inject(other.moves(moved.phone, moved.user))
        side.until(lambda: side.messages(moved.id), "the move")
        side.taken()
        side.set_state(token="another")
        side.inject(ann.says(P1))
        side.until(lambda: any(m.text == P1 for m in side.messages(ann.id)), "it to be stored")
        side.run(side.whatsapp.reachable())
        server, base = side.run(listen(side.first.gateway.desk))
        pages = [httpx.get(f"{base}{path}", trust_env=False, timeout=60) for path in ("/metrics", "/readyz")]
        server.close()
        record = str([side.rows(table) for table in (Attempt, Audit, Event)])
        details = str([(r.detail, r.state, r.platform_id) for r in side.rows(Outbox)])
        assert WORDS in str(side.rows(Message))
        kept_ids = str([(m.platform_id, m.edit_of, m.reply_to) for m in side.rows(Message)])
        said = logged.getvalue()

    assert pages[1].json()["degraded"] == {"whatsapp": ["quality"]}
    assert 'frontcounter_channel_degraded{channel="whatsapp",what="quality"} 1.0' in pages[0].text
    assert "whatsapp" in said
    figures = generate_latest(metrics.REGISTRY).decode() + pages[0].text + pages[1].text
    for text in (said, record, details, kept_ids, figures):
        for secret in (side.app.token, side.app.app_secret, side.app.verify_token, WORDS, "15550783881"):
            assert secret not in text
        for person in people:
            assert person.phone not in text
            assert not any(part in text for part in inside(person.phone))
    for person in people:
        assert person.user not in said + figures
    assert "appsecret_proof" not in said
