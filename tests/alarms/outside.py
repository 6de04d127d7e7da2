"""What is outside: a mail server and a webhook receiver on loopback that fail as they are told to."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import ssl
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.ports import free_port

SECRET = "a-secret-of-the-tests-and-of-nobody-else"
SIGNER = ("alarm-user", "alarm password")
PATIENCE_SECONDS = 60.0


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of this machine's own, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=36500))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert, private


@dataclass(slots=True)
class Mailbox:
    """A mail server. `answers` are given first, one for each mail; then it takes everything."""

    port: int = field(default_factory=free_port)
    tls: tuple[Path, Path] | None = None
    implicit: bool = False
    auth: bool = False
    answers: deque[str] = field(default_factory=deque)
    raw: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    signed_in: list[bool] = field(default_factory=list)
    gate: threading.Event | None = None
    _controller: Controller | None = None

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient, or refuse as told."""
        if self.answers and self.answers[0].startswith("RCPT "):
            return self.answers.popleft().removeprefix("RCPT ")
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Take a mail, or refuse as told."""
        if self.answers:
            return self.answers.popleft()
        assert isinstance(envelope.content, bytes)
        self.raw.append(envelope.content)
        self.recipients.extend(envelope.rcpt_tos)
        self.encrypted.append(self.implicit or session.ssl is not None)
        self.signed_in.append(bool(session.authenticated))
        return "250 OK"

    def _login(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (
            SIGNER[0].encode(),
            SIGNER[1].encode(),
        )
        return AuthResult(success=right, handled=False)

    def start(self) -> Mailbox:
        """Listen."""
        context = None
        if self.tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
        options: dict[str, Any] = {}
        if context is not None and not self.implicit:
            options |= {"tls_context": context, "require_starttls": True}
        if self.auth:
            options |= {
                "auth_required": True,
                "authenticator": self._login,
                "auth_require_tls": not self.implicit,
            }
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            ready_timeout=PATIENCE_SECONDS,
            ssl_context=context if self.implicit else None,
            **options,
        )
        self._controller.start()
        return self

    def stop(self) -> None:
        """Listen no more; the port stays known."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    @property
    def mails(self) -> list[EmailMessage]:
        """What arrived."""
        return [message_from_bytes(one, policy=policy.default) for one in self.raw]

    @property
    def subjects(self) -> list[str]:
        """The subject lines of what arrived."""
        return [str(mail["Subject"]) for mail in self.mails]


@dataclass(slots=True)
class Receiver:
    """A webhook receiver that checks every signature as docs/alarms.md tells to.

    `answers` are statuses given first, one for each call, or what has to happen before it is taken.
    """

    answers: deque[int | threading.Event] = field(default_factory=deque)
    taken: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    forged: int = 0
    port: int = 0
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/alarm"

    def start(self) -> Receiver:
        """Listen."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.take(
                    body, self.headers["X-Front-Counter-Signature"], self.headers["Idempotency-Key"]
                )
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def take(self, body: bytes, signed: str, key: str) -> int:
        """Check and note one call."""
        if not is_signed(body, signed):
            self.forged += 1
            return 401
        found = json.loads(body)
        self.raw.append(body)
        self.calls.append(found)
        status = self.answers.popleft() if self.answers else 204
        if isinstance(status, threading.Event):
            status.wait(PATIENCE_SECONDS)
            status = 204
        if status < 300:
            self.taken.append(found)
            self.keys.append(key)
        return status

    def stop(self) -> None:
        """Listen no more; the port stays known."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def is_signed(body: bytes, header: str, secret: str = SECRET) -> bool:
    """The check of docs/alarms.md, less the age: tests stop the clock."""
    parts = dict(part.split("=", 1) for part in header.split(","))
    expected = hmac.new(secret.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, parts["v1"])
