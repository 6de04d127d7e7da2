"""The way out: signed calls to one address, and what each answer means."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bot.channels.sites.address import is_allowed
from bot.channels.sites.api import BUSY_SECONDS, Callback, CallError, seconds_to_wait
from bot.channels.sites.options import Site, read_sites
from bot.channels.sites.outbound import SiteChannel
from bot.channels.sites.signature import read_key
from bot.errors import RejectedError, RetryLaterError, UnsureError
from bot.messages import Button, Outgoing
from tests.platforms.site import SECRET
from tests.support.rasa import FAQ
from tests.support.sides import settings_for
from tests.support.world import ODD, P1, PLAIN
from tests.webhook.serving import SiteSide, settings_of, site_side

KEY = read_key(SECRET)
SQLITE = "sqlite+aiosqlite:///:memory:"
REPLY = Outgoing(17, "staff", "Hello.", author="Desk")


# ---- where a call may go ---------------------------------------------------------------------------


@pytest.mark.unit
@pytest.mark.parametrize(
    ("address", "outside", "inside"),
    [
        ("93.184.216.34", True, True), ("2606:2800:220:1::1", True, True),
        ("10.1.2.3", False, True), ("172.16.0.1", False, True), ("192.168.1.1", False, True),
        ("fd00::1", False, True), ("127.0.0.1", False, True), ("::1", False, True),
        ("::ffff:10.1.2.3", False, True), ("64:ff9b::10.1.2.3", False, True), ("2002:0a01:0203::1", False, True),
        ("::ffff:93.184.216.34", True, True),
        ("169.254.169.254", False, False), ("::ffff:169.254.169.254", False, False),
        ("64:ff9b::169.254.169.254", False, False), ("fe80::1", False, False), ("fe80::1%eth0", False, False),
        ("0.0.0.0", False, False), ("::", False, False), ("224.0.0.1", False, False), ("ff02::1", False, False),
        ("255.255.255.255", False, False), ("240.0.0.1", False, False), ("100.64.0.1", False, False),
        ("nonsense", False, False), ("", False, False),
    ],
)  # fmt: skip
def test_which_addresses_may_be_called(address: str, outside: bool, inside: bool) -> None:
    """The open internet; the force's own network only where the settings say so; some never."""
    assert is_allowed(address, inside=False) is outside
    assert is_allowed(address, inside=True) is inside


@asynccontextmanager
async def answering(answer: bytes, **options: Any) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server on this machine that says one thing. Gives its port, and what it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            asked.append(head)
            length = next(
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            )
            await reader.readexactly(length)
            writer.write(answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            asked.append(b"")
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, **options)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


@asynccontextmanager
async def channel(
    callback: str, *, inside: bool = True, context: ssl.SSLContext | None = None, longest: int = 5000
) -> AsyncIterator[SiteChannel]:
    """The way out to one address, without a gateway."""
    site = Site("forum", "Forum", "message_board", callback, longest, inside, (KEY,))
    made = Callback(site, 20.0, context)
    yield SiteChannel(made, site, 20.0)
    await made.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.integration
async def test_a_name_that_leads_inside_is_not_called() -> None:
    """It is on the list, and points at this machine: nothing reaches whatever listens there."""
    async with answering(OK) as (port, asked):
        for host in ("localhost", "127.0.0.1"):
            async with channel(f"https://{host}:{port}/x", inside=False) as way_out:
                with pytest.raises(RejectedError, match="not allowed"):
                    await way_out.send("p1", REPLY)
        assert asked == []
        async with channel(f"http://localhost:{port}/x") as way_out:
            assert (await way_out.send("p1", REPLY)).message_id.startswith("fc-17-")
    assert b"\r\nHost: localhost:" in asked[0]


def _certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A server's context for a name, and the file of who vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, folder / "key.pem")
    return context, file


@pytest.mark.integration
@pytest.mark.parametrize(("name", "is_sent"), [("localhost", True), ("another.example", False)])
async def test_the_certificate_is_asked_for_the_name(tmp_path: Path, name: str, is_sent: bool) -> None:
    """The call goes to an address that was judged; whoever answers there has to be the host of that name."""
    context, file = _certificate(tmp_path, name)
    trusting = ssl.create_default_context(cafile=str(file))
    async with answering(OK, ssl=context) as (port, asked):
        async with channel(f"https://localhost:{port}/x", context=trusting) as way_out:
            if is_sent:
                await way_out.send("p1", REPLY)
            else:
                with pytest.raises(RetryLaterError, match="cannot be reached"):
                    await way_out.send("p1", REPLY)
        async with channel(f"https://localhost:{port}/x") as way_out:
            # Nobody vouches for it: nothing is said to it.
            with pytest.raises(RetryLaterError, match="cannot be reached"):
                await way_out.send("p1", REPLY)
    assert [head.split(b" ")[0] for head in asked if head] == ([b"POST"] if is_sent else [])


@pytest.mark.integration
@pytest.mark.parametrize(
    ("answer", "becomes"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 200_000, None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\ncut", None),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n", RejectedError),
        (b"HTTP/1.1 307 Moved\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", RejectedError),
        (b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n", RejectedError),
        (b"HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n", RejectedError),
        (b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", RejectedError),
        (b"HTTP/1.1 408 Slow\r\nContent-Length: 0\r\n\r\n", RetryLaterError),
        (b"HTTP/1.1 429 Busy\r\nContent-Length: 0\r\nRetry-After: 7\r\n\r\n", RetryLaterError),
        (b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n", RetryLaterError),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", UnsureError),
        (b"HTTP/1.1 504 Oh\r\nContent-Length: 0\r\n\r\n", UnsureError),
        (b"SSH-2.0-nothing of ours\r\n", UnsureError),
        (b"", UnsureError),
    ],
)
async def test_an_answer_counts_by_its_number(answer: bytes, becomes: type[Exception] | None) -> None:
    """What else it says is not read, and where it points is not followed."""
    async with answering(answer) as (port, asked), channel(f"http://127.0.0.1:{port}/x?board=7") as way_out:
        if becomes is None:
            await way_out.send("p1", REPLY)
        else:
            with pytest.raises(becomes) as caught:
                await way_out.send("p1", REPLY)
            assert str(port) not in str(caught.value)
            assert caught.value.__cause__ is caught.value.__context__ is None
        if isinstance(becomes and caught.value, RetryLaterError):
            expected = 7.0 if b"Retry-After" in answer else BUSY_SECONDS
            assert caught.value.retry_after_seconds == expected  # type: ignore[attr-defined]
    assert len(asked) == 1
    assert asked[0].startswith(b"POST /x?board=7 HTTP/1.1\r\n")


@pytest.mark.integration
async def test_what_cannot_be_reached_is_tried_again() -> None:
    """Nobody listens there, or nobody knows the name."""
    async with answering(OK) as (port, _asked):
        free = port
    for callback in (f"http://127.0.0.1:{free}/x", "https://no-such-host.invalid/x"):
        async with channel(callback) as way_out:
            with pytest.raises(RetryLaterError):
                await way_out.send("p1", REPLY)


@pytest.mark.unit
def test_a_time_to_wait_is_seconds_or_a_date() -> None:
    """Whatever else stands there is no reason to wait for ever."""
    assert seconds_to_wait("12") == 12
    assert 50 < seconds_to_wait(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)) <= 60
    assert seconds_to_wait(format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)) == 0
    assert seconds_to_wait("999999999") == 3600
    for odd in (None, "", "soon", "nan", "inf", "1e999", "\u0661\u0662x"):
        assert seconds_to_wait(odd) == BUSY_SECONDS
    assert seconds_to_wait("-5") == 0


# ---- what leaves -----------------------------------------------------------------------------------


class Recorder(Callback):
    """Keeps what would leave; fails as it is told to."""

    def __init__(self, fails: Callable[[int], Awaitable[None]] | None = None) -> None:
        super().__init__(Site("forum", "Forum", "email", "https://x.example/y", 5000, False, (KEY,)), 8.0)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self._fails = fails

    async def post(self, identity: str, body: Any) -> None:
        if self._fails is not None:
            await self._fails(len(self.told))
        self.told.append((identity, dict(body)))


def quiet_channel(recorder: Recorder, longest: int = 5000) -> SiteChannel:
    """The way out into a recorder."""
    site = Site("forum", "Forum", "email", "https://x.example/y", longest, False, (KEY,))
    return SiteChannel(recorder, site, 8.0)


@pytest.mark.unit
async def test_a_long_reply_leaves_in_parts_each_once() -> None:
    """The last part has the choices and the id by which the whole is known."""
    fail_at = {1}

    async def busy(number: int) -> None:
        if number in fail_at:
            fail_at.discard(number)
            raise CallError("busy", 429, 3.0)

    recorder = Recorder(busy)
    way_out = quiet_channel(recorder, 500)
    long = Outgoing(9, "staff", "A sentence of some words. " * 60, (Button("Yes", "fc:yes", "9.0"),), "Desk")
    with pytest.raises(RetryLaterError) as caught:
        await way_out.send("p1", long)
    assert (caught.value.parts_sent, caught.value.retry_after_seconds) == (1, 3.0)

    again = Outgoing(9, "staff", long.text, long.buttons, "Desk", parts_sent=1)
    sent = await way_out.send("p1", again)

    ids = [identity for identity, _ in recorder.told]
    assert len(set(ids)) == len(ids) == 4
    assert ids[-1] == sent.message_id
    assert [identity.removeprefix(sent.message_id) for identity in ids] == ["-1", "-2", "-3", ""]
    assert [told["part"] for _, told in recorder.told] == [{"number": n, "of": 4} for n in range(1, 5)]
    assert [bool(told["choices"]) for _, told in recorder.told] == [False, False, False, True]
    assert all(len(told["text"]) <= 500 for _, told in recorder.told)
    assert [told["text"] for _, told in recorder.told] == way_out.pieces(long)


@pytest.mark.unit
async def test_an_id_stays_for_a_retry_and_is_new_for_other_words() -> None:
    """After a restored backup a row of the same number says something else: it must not look like a repeat."""
    recorder = Recorder()
    way_out = quiet_channel(recorder)
    for person, row in (("p1", REPLY), ("p1", REPLY), ("p2", REPLY), ("p1", Outgoing(17, "staff", "Other."))):
        await way_out.send(person, row)
    first, same, other_person, other_words = (identity for identity, _ in recorder.told)
    assert first == same
    assert len({first, other_person, other_words}) == 3

    for _ in range(2):
        await way_out.send("p1", Outgoing(0, "safety", "Call 999."))
    assert recorder.told[-1][0] != recorder.told[-2][0]


@pytest.mark.unit
async def test_nothing_is_sent_where_there_is_nothing() -> None:
    """An empty row, or one whose parts have all left."""
    way_out = quiet_channel(Recorder())
    for row in (Outgoing(1, "notice", " "), Outgoing(1, "notice", "Hello.", parts_sent=1)):
        with pytest.raises(RejectedError):
            await way_out.send("p1", row)


@pytest.mark.integration
def test_every_kind_is_marked(sqlite_url: str) -> None:
    """Words of danger, the assistant, staff under the desk's name, and notices."""
    with site_side(sqlite_url) as side:
        ann, bob = side.person(), side.person()
        side.inject(ann.chooses("Talk to a person", "person"), bob.says(P1))
        side.becomes(ann.id, "waiting")
        side.handled(ann.id)
        chat = side.claim(ann.id, mo := side.moderator())
        side.hears(ann, side.line("joined"))
        side.reply(chat, mo, "How can I help you?")
        heard = side.hears(ann, "How can I help")
        desk = "Northumbria Police digital desk"
        assert (heard["kind"], heard["desk"], heard["site"], heard["version"]) == ("staff", desk, "forum", 1)
        assert heard["text"] == f"{desk}:\n\nHow can I help you?"
        side.run(side.first.gateway.core.desk.release(chat, mo))
        side.hears(ann, side.line("released"))
        side.hears(bob, "999")
        assert {message["kind"] for message in side.sent(ann)} == {"assistant", "notice", "staff"}
        assert side.sent(bob)[0]["kind"] == "safety"
        assert not side.board.forged


@pytest.mark.integration
def test_a_reply_that_was_not_taken_comes_again_under_the_same_id(board: SiteSide) -> None:
    """Taken, and yet answered 429: the site knows the repeat by its id, and shows it once."""
    ann = board.person()
    board.fault("429", take=True, headers={"Retry-After": "1"})
    board.inject(ann.says(PLAIN))
    board.hears(ann, board.answer(FAQ))
    board.until(lambda: len(board.calls(ann)) == 2, "it to come again")
    board.until(lambda: board.outbox(ann.id)[0].state == "sent", "it to be sent")

    first, second = board.calls(ann)
    assert first["message"]["id"] == second["message"]["id"] == first["headers"]["webhook-id"]
    assert second["headers"]["webhook-id"] == board.board.repeats[-1]
    assert len(board.sent(ann)) == 1


@pytest.mark.integration
def test_a_ping_asks_whether_the_site_knows_us(board: SiteSide) -> None:
    """Signed like a reply; nobody is shown anything."""
    before = board.board.pings
    assert board.run(board.site.reachable()) is None
    assert board.board.pings == before + 1
    for kind, says in (
        ("401", "refused it (401)"),
        ("500", "answered 500"),
        ("301", "elsewhere"),
        ("cut", "no answer"),
    ):
        board.fault(kind)
        assert says in str(board.run(board.site.reachable()))


@pytest.mark.integration
def test_a_site_that_checks_by_another_key_takes_nothing(sqlite_url: str) -> None:
    """The desk sees it: not delivered."""
    other = "whsec_" + base64.b64encode(bytes(range(60, 92))).decode()
    with site_side(sqlite_url) as side:
        side.board.secret = other
        ann = side.person()
        body = side.body(ann.says(ODD))
        assert side.post(body).status_code == 200
        side.until(lambda: any(r.state == "failed" for r in side.outbox(ann.id)), "the reply to fail")
        assert side.sent(ann) == []
        assert side.board.forged


@pytest.mark.unit
def test_the_loopback_address_is_a_loopback(tmp_path: Path) -> None:
    """What these tests stand on: the side's own site is inside, and nowhere else."""
    given = settings_for(SQLITE, **settings_of(tmp_path, "http://127.0.0.1:6300/front-counter"))
    (site,) = read_sites(given)
    assert ipaddress.ip_address(site.host).is_loopback
