"""The two ways by which an alarm leaves: mail, and a signed call to a webhook.

Neither carries what anybody wrote, nor who wrote it. What each looks like on the wire, and how a
receiver checks it: docs/alarms.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import aiosmtplib
import httpx

from bot.handover.alarms.rota import PATHS, Contact, PathName, Rota, problems_of
from bot.settings import Settings
from bot.store.record import now

Kind = Literal["p1", "p2", "unstored", "test"]
Result = Literal["taken", "again", "rejected"]

SIGNATURE = "X-Front-Counter-Signature"


@dataclass(frozen=True, slots=True)
class Notice:
    """What an alarm tells: no word of a message, no name, no address."""

    key: str
    kind: Kind
    raised_at: datetime
    since: datetime
    """When the danger was found."""
    grade: str = ""
    category: str = ""
    category_name: str = ""
    team: str = ""
    team_name: str = ""
    reference: str = ""
    conversation_id: int | None = None
    count: int = 1
    """Of how many messages it speaks, where they could not be stored."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call to one contact by one path."""

    path: PathName
    level: int
    level_name: str
    contact: Contact
    number: int
    step_at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call. `detail` is a code or the name of an error: never an address."""

    result: Result
    detail: str = ""


class Path(Protocol):
    """One way out."""

    async def call(self, notice: Notice, call: Call) -> Outcome:
        """Tell one contact. Never raises: a failure is an outcome."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


def how_long(since: datetime, moment: datetime) -> str:
    """A time in words for a subject line."""
    minutes = int(max(0.0, (moment - since).total_seconds()) // 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 120:
        return "1 minute" if minutes == 1 else f"{minutes} minutes"
    return f"{minutes // 60} hours"


def subject_of(notice: Notice, moment: datetime) -> str:
    """One line that says what it is about."""
    if notice.kind == "test":
        return "Test of the alarm path. Nobody is in danger."
    if notice.kind == "unstored":
        messages = "1 P1 message" if notice.count == 1 else f"{notice.count} P1 messages"
        return f"ALARM: {messages} that no desk can see"
    return (
        f"ALARM {notice.grade}: {notice.reference}, {notice.category_name or 'a sealed chat'}, "
        f"not opened for {how_long(notice.since, moment)}"
    )


def body_of(notice: Notice, call: Call, desk_url: str, moment: datetime) -> str:
    """The mail's text."""
    if notice.kind == "test":
        first = ["This is a test. Nobody is in danger, and there is nothing to do."]
    elif notice.kind == "unstored":
        first = [
            "The desk cannot reach its records. P1 messages of the public cannot be shown at any desk.",
            "Whoever wrote was shown the 999 words. Tell the control room and whoever runs the system.",
            "",
            f"Messages so far: {notice.count}",
        ]
    else:
        first = [
            f"A {notice.grade} chat has not been opened by anybody for {how_long(notice.since, moment)}.",
            "Open it at the desk, or call somebody who can.",
            "",
            f"Reference: {notice.reference}",
            f"Grade: {notice.grade}",
        ]
    lines = [*first]
    if notice.category_name:
        lines.append(f"Category: {notice.category_name}")
    if notice.team_name:
        lines.append(f"Team: {notice.team_name}")
    if notice.kind != "test":
        lines.append(f"Found at: {notice.since:%Y-%m-%d %H:%M:%S} UTC")
    lines.append(f"Told now: {call.level_name} (try {call.number})")
    if desk_url:
        page = f"/desk/c/{notice.conversation_id}" if notice.conversation_id else "/desk"
        lines += ["", f"Desk: {desk_url.rstrip('/')}{page}"]
    return "\n".join(lines) + "\n"


@dataclass(slots=True)
class MailPath:
    """Mail by SMTP, in one connection for each call: a broken one holds nothing up."""

    settings: Settings
    _context: ssl.SSLContext | None = None

    async def call(self, notice: Notice, call: Call) -> Outcome:
        """(see Path)"""
        settings = self.settings
        username = settings.smtp_username or None
        secure = settings.smtp_tls != "none"
        if secure and self._context is None:
            self._context = ssl.create_default_context()
        try:
            async with asyncio.timeout(self.settings.alarm_call_seconds):
                await aiosmtplib.send(
                    self._message(notice, call),
                    hostname=settings.smtp_host,
                    port=settings.smtp_port,
                    username=username,
                    password=settings.smtp_password.get_secret_value() if username else None,
                    use_tls=settings.smtp_tls == "tls",
                    start_tls=settings.smtp_tls == "starttls",
                    tls_context=self._context if secure else None,
                    timeout=settings.alarm_call_seconds,
                )
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _smtp_code(error.recipients[0].code if error.recipients else 0)
        except aiosmtplib.SMTPResponseException as error:
            return _smtp_code(error.code)
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            return Outcome("again", type(error).__name__)
        except ValueError as error:
            return Outcome("rejected", type(error).__name__)
        return Outcome("taken")

    def _message(self, notice: Notice, call: Call) -> EmailMessage:
        moment = now()
        message = EmailMessage()
        message["From"] = self.settings.smtp_from
        message["To"] = call.contact.mail
        message["Subject"] = subject_of(notice, moment)
        message["Date"] = format_datetime(moment)
        domain = self.settings.smtp_from.rpartition("@")[2].strip("> ") or "front-counter.invalid"
        message["Message-ID"] = f"<{idempotency_key(notice, call)}.{call.number}@{domain}>"
        # RFC 3834: no holiday note or list shall answer this.
        message["Auto-Submitted"] = "auto-generated"
        message["Importance"] = "high"
        message.set_content(body_of(notice, call, self.settings.desk_url, moment))
        return message

    async def close(self) -> None:
        """(see Path)"""


def _smtp_code(code: int) -> Outcome:
    """RFC 5321, 4.2.1: 4yz is worth another try, 5yz is final as things are set."""
    return Outcome("rejected" if 500 <= code < 600 else "again", f"SMTP {code}")


@dataclass(slots=True)
class WebhookPath:
    """A signed POST of JSON to the force's telephony or text message service."""

    settings: Settings
    _client: httpx.AsyncClient | None = field(default=None)

    async def call(self, notice: Notice, call: Call) -> Outcome:
        """(see Path)"""
        body = json.dumps(payload_of(notice, call), separators=(",", ":")).encode()
        secret = self.settings.alarm_webhook_secret.get_secret_value()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "FrontCounter",
            "Idempotency-Key": idempotency_key(notice, call),
            SIGNATURE: signature(secret, body, int(time.time())),
        }
        if self._client is None:
            self._client = httpx.AsyncClient(
                trust_env=False,
                proxy=self.settings.alarm_webhook_proxy or None,
                timeout=self.settings.alarm_call_seconds,
            )
        try:
            async with asyncio.timeout(self.settings.alarm_call_seconds):
                answer = await self._client.post(
                    self.settings.alarm_webhook_url, content=body, headers=headers
                )
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            return Outcome("rejected", type(error).__name__)
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            return Outcome("again", type(error).__name__)
        if answer.is_success:
            return Outcome("taken", f"HTTP {answer.status_code}")
        final = 300 <= answer.status_code < 500 and answer.status_code not in (408, 425, 429)
        return Outcome("rejected" if final else "again", f"HTTP {answer.status_code}")

    async def close(self) -> None:
        """(see Path)"""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def payload_of(notice: Notice, call: Call) -> dict[str, Any]:
    """The webhook's body, as docs/alarms.md describes it."""
    return {
        "id": notice.key,
        "kind": notice.kind,
        "reference": notice.reference or None,
        "grade": notice.grade or None,
        "category": notice.category or None,
        "category_name": notice.category_name or None,
        "team": notice.team or None,
        "count": notice.count,
        "since": notice.since.isoformat(),
        "at": now().isoformat(),
        "level": call.level + 1,
        "level_name": call.level_name,
        "contact": call.contact.name,
        "target": call.contact.target or None,
        "attempt": call.number,
    }


def idempotency_key(notice: Notice, call: Call) -> str:
    """The same for each try of one call; another one for each level, contact and repeat."""
    parts = (notice.key, call.path, call.level, call.contact.name, call.step_at.isoformat(), notice.count)
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:32]


def signature(secret: str, body: bytes, timestamp: int) -> str:
    """The header's value: HMAC-SHA256 over the time, a dot and the body's bytes."""
    signed = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={signed}"


@dataclass(frozen=True, slots=True)
class State:
    """Which paths are set up, and what is wrong with paths and rota: `frontcounter ready` asks."""

    set_up: tuple[PathName, ...]
    problems: tuple[str, ...]
    """Each one sentence for an administrator. Names settings and the rota's contacts, no address."""

    @property
    def missing(self) -> tuple[PathName, ...]:
        """The paths by which nothing leaves."""
        return tuple(path for path in PATHS if path not in self.set_up)


def state_of(settings: Settings, rota: Rota) -> State:
    """Which of the two paths can carry an alarm, judged by the settings alone: nothing is called."""
    found: Mapping[PathName, list[str]] = {
        "mail": _mail_problems(settings, rota),
        "webhook": _webhook_problems(settings),
    }
    advice = [] if found["mail"] or not settings.smtp_host else _mail_advice(settings, rota)
    if not found["webhook"]:
        advice += _webhook_advice(settings)
    if not settings.desk_url:
        advice.append("FRONTCOUNTER_DESK_URL is empty: mails carry no link to the chat.")
    return State(
        tuple(path for path in PATHS if not found[path]),
        tuple([*found["mail"], *found["webhook"], *advice, *problems_of(rota)]),
    )


def _mail_problems(settings: Settings, rota: Rota) -> list[str]:
    if not settings.smtp_host:
        return ["Mail is not set up: set FRONTCOUNTER_SMTP_HOST and FRONTCOUNTER_SMTP_FROM."]
    found = []
    if "@" not in settings.smtp_from:
        found.append("Mail is not set up: FRONTCOUNTER_SMTP_FROM must be an address.")
    if not any(level.reached_by("mail") for level in rota.levels):
        found.append("Mail is not set up: nobody in alarms.yml has a mail address.")
    return found


def _mail_advice(settings: Settings, rota: Rota) -> list[str]:
    found = [
        f"Nobody of the level '{level.name}' has a mail address."
        for level in rota.levels
        if not level.reached_by("mail")
    ]
    if settings.smtp_tls == "none" and settings.smtp_host not in _LOOPBACK:
        found.append("FRONTCOUNTER_SMTP_TLS is 'none': alarms by mail go over the network unencrypted.")
    return found


_LOOPBACK = ("localhost", "127.0.0.1", "::1")
SHORTEST_SECRET = 16


def _webhook_problems(settings: Settings) -> list[str]:
    if not settings.alarm_webhook_url:
        return ["The webhook is not set up: set FRONTCOUNTER_ALARM_WEBHOOK_URL and its secret."]
    found = []
    split = urlsplit(settings.alarm_webhook_url)
    if split.scheme not in ("https", "http") or not split.hostname:
        found.append("The webhook is not set up: FRONTCOUNTER_ALARM_WEBHOOK_URL must begin with https://.")
    if len(settings.alarm_webhook_secret.get_secret_value()) < SHORTEST_SECRET:
        found.append(
            "The webhook is not set up: FRONTCOUNTER_ALARM_WEBHOOK_SECRET needs "
            f"{SHORTEST_SECRET} characters or more."
        )
    return found


def _webhook_advice(settings: Settings) -> list[str]:
    split = urlsplit(settings.alarm_webhook_url)
    if split.scheme == "https" or split.hostname in _LOOPBACK:
        return []
    return ["FRONTCOUNTER_ALARM_WEBHOOK_URL is no https:// address: alarms go over the network unencrypted."]


def open_paths(settings: Settings, rota: Rota) -> dict[PathName, Path]:
    """The paths that are set up, ready to call."""
    made: dict[PathName, Path] = {"mail": MailPath(settings), "webhook": WebhookPath(settings)}
    return {path: made[path] for path in state_of(settings, rota).set_up}
