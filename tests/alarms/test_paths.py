"""Mail with and without encryption and sign-in; the webhook's signature and what counts as taken."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bot.handover.alarms import signature
from bot.handover.alarms.paths import Call, MailPath, Notice, Outcome, WebhookPath
from bot.handover.alarms.rota import Contact
from bot.settings import ROOT, load_settings
from tests.alarms.conftest import outside
from tests.alarms.outside import SECRET, SIGNER, Mailbox, Receiver, certificate, is_signed

pytestmark = pytest.mark.integration

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOTICE = Notice(
    "p1-c1-e1", "p1", AT, AT, "P1", "R09", "Fire", "control_room", "Control room", "FC-23456789", 1
)
CALL = Call("mail", 0, "First", Contact("Duty desk", "duty@force.example", "duty"), 1, AT)


async def mail(mailbox: Mailbox, **settings: Any) -> Outcome:
    chosen = load_settings(**{**outside(mailbox, None), **settings})
    return await MailPath(chosen).call(NOTICE, CALL)


# The server's library does not count TLS from the first byte as TLS, and warns of that.
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
@pytest.mark.parametrize(("tls", "implicit"), [("starttls", False), ("tls", True)])
async def test_mail_goes_encrypted_and_signed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: str, implicit: bool
) -> None:
    made = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made[0]))
    box = Mailbox(tls=made, implicit=implicit, auth=True).start()
    try:
        signer = {"smtp_username": SIGNER[0], "smtp_password": SIGNER[1]}
        assert await mail(box, smtp_tls=tls, **signer) == Outcome("taken")
        assert (box.encrypted, box.signed_in) == ([True], [True])
        wrong = await mail(box, smtp_tls=tls, smtp_username=SIGNER[0], smtp_password="wrong")
        assert wrong == Outcome("rejected", "SMTP 535")
        assert (await mail(box, smtp_tls=tls)).result == "rejected"
        assert len(box.raw) == 1
    finally:
        box.stop()


async def test_a_certificate_of_nobody_known_is_not_trusted(tmp_path: Path) -> None:
    box = Mailbox(tls=certificate(tmp_path)).start()
    try:
        assert (await mail(box, smtp_tls="starttls")).result == "again"
        assert not box.raw
    finally:
        box.stop()


async def test_a_server_without_starttls_gets_nothing_in_the_clear(mailbox: Mailbox) -> None:
    assert (await mail(mailbox, smtp_tls="starttls")).result != "taken"
    assert not mailbox.raw


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("451 later", "again"),
        ("452 full", "again"),
        ("550 duty@force.example is unknown", "rejected"),
        ("RCPT 450 busy", "again"),
        ("RCPT 550 no such duty@force.example", "rejected"),
    ],
)
async def test_mail_that_is_not_taken(mailbox: Mailbox, answer: str, result: str) -> None:
    mailbox.answers.append(answer)
    outcome = await mail(mailbox)
    code = answer.removeprefix("RCPT ")[:3]
    assert outcome == Outcome(result, f"SMTP {code}")  # type: ignore[arg-type]


async def test_a_mail_server_that_is_gone(mailbox: Mailbox) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        outcome = await mail(mailbox, smtp_port=nobody.getsockname()[1])
    assert outcome.result == "again"
    assert "127.0.0.1" not in outcome.detail


async def test_what_a_mail_says(mailbox: Mailbox) -> None:
    assert await mail(mailbox, desk_url="https://desk.force.example/") == Outcome("taken")
    (one,) = mailbox.mails
    assert one["To"] == "duty@force.example"
    assert one["Auto-Submitted"] == "auto-generated"
    body = one.get_content()
    for words in ("FC-23456789", "P1", "Fire", "Control room", "https://desk.force.example/desk/c/1"):
        assert words in body
    assert "P1" in one["Subject"]
    assert "FC-23456789" in one["Subject"]


async def webhook(receiver: Receiver, call: Call = CALL, **settings: Any) -> Outcome:
    path = WebhookPath(load_settings(**{**outside(None, receiver), **settings}))
    try:
        return await path.call(NOTICE, replace(call, path="webhook"))
    finally:
        await path.close()


async def test_a_call_is_signed_and_a_forger_is_found_out(receiver: Receiver) -> None:
    assert await webhook(receiver) == Outcome("taken", "HTTP 204")
    assert receiver.forged == 0
    assert await webhook(receiver, alarm_webhook_secret="another secret entirely") == Outcome(
        "rejected", "HTTP 401"
    )
    assert receiver.forged == 1
    header = signature("secret", b"{}", 1700000000)
    assert is_signed(b"{}", header, "secret")
    assert not is_signed(b"{ }", header, "secret")
    assert not is_signed(b"{}", header.replace("1700000000", "1700000001"), "secret")


@pytest.mark.parametrize(
    ("status", "result"),
    [(200, "taken"), (202, "taken"), (301, "rejected"), (400, "rejected"), (401, "rejected"), (404, "rejected"),
     (408, "again"), (429, "again"), (500, "again"), (503, "again")],
)  # fmt: skip
async def test_what_the_answer_means(receiver: Receiver, status: int, result: str) -> None:
    receiver.answers.append(status)
    assert (await webhook(receiver)) == Outcome(result, f"HTTP {status}")  # type: ignore[arg-type]


async def test_a_repeat_has_the_same_key_and_another_level_has_not(receiver: Receiver) -> None:
    for call in (
        CALL,
        replace(CALL, number=2),
        replace(CALL, level=1),
        replace(CALL, step_at=datetime.now(UTC)),
    ):
        await webhook(receiver, call)
    first, repeat, level, later = receiver.keys
    assert first == repeat
    assert len({first, level, later}) == 3


async def test_the_receiver_of_the_documentation_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample is run as it stands: it takes a call once, and no forged, old or changed one."""
    text = (ROOT / "docs" / "alarms.md").read_text("utf-8")
    sample = text.split("```python\n", 1)[1].split("```", 1)[0]
    monkeypatch.setenv("ALARM_SECRET", SECRET)
    names: dict[str, Any] = {"__name__": "sample"}
    exec(compile(sample, "docs/alarms.md", "exec"), names)  # noqa: S102  our own documentation
    heard: list[dict[str, Any]] = []
    names["call"] = heard.append
    server = ThreadingHTTPServer(("127.0.0.1", 0), names["Receiver"])
    names["Receiver"].log_message = lambda *_words: None
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    receiver = Receiver(port=server.server_address[1])
    try:
        assert (await webhook(receiver)).result == "taken"
        assert (await webhook(receiver)).result == "taken"
        assert [one["reference"] for one in heard] == ["FC-23456789"]
        wrong = await webhook(receiver, alarm_webhook_secret="another secret entirely")
        assert wrong == Outcome("rejected", "HTTP 401")
        old = signature(SECRET, b"{}", int(time.time()) - 301)
        assert not names["is_signed"](old, b"{}")
        assert not names["is_signed"]("nonsense", b"{}")
    finally:
        server.shutdown()
        server.server_close()
