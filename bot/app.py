"""The one composer: plugs the channels, the pages and the parts together, and serves them.

Two listeners in one process: the public one (web chat, webhooks) and the desk's, which a force
never publishes. Neither knows the other's routes.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from sanic import HTTPResponse, Request, Sanic, json
from sanic.exceptions import SanicException

from bot import console
from bot.assistant import Content
from bot.channels.parts import Parts, Platform
from bot.channels.webchat import WebChat
from bot.core import Core, build_core
from bot.errors import (
    BadRequestError,
    NotAllowedError,
    RefusedError,
    SettingError,
    UnavailableError,
)
from bot.knowledge.releases import seed
from bot.messages import Actor
from bot.settings import Settings
from bot.store import Store
from bot.store.migrate import migrate

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Gateway:
    """One gateway process: its parts and its two listeners."""

    core: Core
    public: Sanic[Any, Any]
    desk: Sanic[Any, Any]
    parts: Parts
    platforms: Sequence[Platform]


def platforms(settings: Settings) -> dict[str, Platform]:
    """Every channel that is switched on, by name."""
    return {"webchat": WebChat(settings)}


def build(settings: Settings, extra: Sequence[Platform] = ()) -> Gateway:
    """Wire a gateway. `extra` are channels beyond the shipped ones (the tests' loopback platform).

    Raises:
        ContentError, SettingError: something given from outside is wrong.
    """
    chosen = {**platforms(settings), **{p.channel.name: p for p in extra}}
    core = build_core(settings, {name: platform.channel for name, platform in chosen.items()})
    parts = Parts(settings, core.store, core.bell, core.door, core.content)
    public = _app(f"public-{core.name}", settings)
    for platform in chosen.values():
        public.blueprint(platform.blueprint(parts))
    _health(public, core)
    desk = _app(f"desk-{core.name}", settings)
    desk.blueprint(console.blueprint(core))
    _health(desk, core)
    return Gateway(core, public, desk, parts, tuple(chosen.values()))


def _app(name: str, settings: Settings) -> Sanic[Any, Any]:
    app: Sanic[Any, Any] = Sanic(name.replace(".", "-"), configure_logging=False)
    app.config.REQUEST_MAX_SIZE = settings.max_body_bytes
    app.config.REQUEST_TIMEOUT = 30
    app.config.RESPONSE_TIMEOUT = 60
    app.config.KEEP_ALIVE_TIMEOUT = 75
    app.config.FALLBACK_ERROR_FORMAT = "json"
    app.config.ACCESS_LOG = False
    app.config.MOTD = False
    # sanic-ext would add its own pages (/docs) and cross-origin headers to both listeners.
    app.config.AUTO_EXTEND = False
    # Sanic rewrites its own methods once for each process; a second application in it cannot start.
    app.config.TOUCHUP = False

    @app.exception(BadRequestError)
    async def _bad(_request: Request, error: BadRequestError) -> HTTPResponse:
        return json({"error": str(error)}, status=error.status)

    @app.exception(NotAllowedError)
    async def _not_allowed(_request: Request, error: NotAllowedError) -> HTTPResponse:
        return json({"error": str(error)}, status=403)

    @app.exception(RefusedError)
    async def _refused(_request: Request, error: RefusedError) -> HTTPResponse:
        return json({"error": str(error)}, status=409)

    @app.exception(UnavailableError)
    async def _unavailable(_request: Request, _error: UnavailableError) -> HTTPResponse:
        return json({"error": "Please try again."}, status=503, headers={"Retry-After": "2"})

    @app.exception(Exception)
    async def _unexpected(request: Request, error: Exception) -> HTTPResponse:
        if isinstance(error, SanicException):
            message = "Not found." if error.status_code == 404 else str(error)
            return json({"error": message}, status=error.status_code, headers=error.headers)
        log.error("request.failed", path=request.path, exc_info=error)
        return json({"error": "Something went wrong here. Please try again."}, status=500)

    return app


def _health(app: Sanic[Any, Any], core: Core) -> None:
    @app.get("/healthz", name="healthz")
    async def _healthz(_request: Request) -> HTTPResponse:
        return json({"ok": True})

    @app.get("/readyz", name="readyz")
    async def _readyz(_request: Request) -> HTTPResponse:
        store = core.started and await core.store.ping()
        assistant = await core.assistant.is_ready()
        body = {"store": store, "assistant": assistant, "redis": core.bell.connected}
        # Without Rasa or Redis the gateway still does its duty: only the store is vital.
        return json(body, status=200 if store else 503)


async def prepare(store: Store, content: Content) -> None:
    """Bring the database to this version and seed it, if it is empty.

    Raises:
        StoreUnavailableError: the database cannot be reached.
    """
    await migrate(store)
    await seed(store, content, Actor("start"))


async def serve(
    settings: Settings, extra: Sequence[Platform] = (), *, ready: asyncio.Event | None = None
) -> None:
    """Serve until SIGTERM or SIGINT; turns and sends under way end first.

    A database that is away at the start is waited for: until then the door answers 503, with the
    safety words for whoever is in danger.

    Raises:
        SettingError: a port is taken.
    """
    gateway = build(settings, extra)
    core = gateway.core
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sockets = [
        listen(settings.public_host, settings.public_port, "FRONTCOUNTER_PUBLIC_PORT"),
        listen(settings.desk_host, settings.desk_port, "FRONTCOUNTER_DESK_PORT"),
    ]
    servers = []
    for app, listener in zip((gateway.public, gateway.desk), sockets, strict=True):
        server = await app.create_server(sock=listener, return_asyncio_server=True)
        if server is None:
            raise SettingError("The server did not start. Try again.")
        await server.startup()  # type: ignore[no-untyped-call]
        await server.start_serving()  # type: ignore[no-untyped-call]
        servers.append(server)
    running = [
        asyncio.create_task(platform.run(gateway.parts), name=f"channel-{platform.channel.name}")
        for platform in gateway.platforms
    ]
    preparing = asyncio.create_task(_prepare_until_done(core, stop, ready))
    # A start that fails for good must not leave a door open with nobody behind it.
    preparing.add_done_callback(lambda _: None if core.started else stop.set())
    log.info("gateway.serving", public=settings.public_port, desk=settings.desk_port)
    try:
        await stop.wait()
    finally:
        log.info("gateway.stopping")
        for server in servers:
            with suppress(Exception):
                server.close()  # type: ignore[no-untyped-call]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        preparing.cancel()
        failed = (await asyncio.gather(preparing, return_exceptions=True))[0]
        async with asyncio.timeout(settings.stop_seconds + 5):
            await core.stop(settings.stop_seconds)
        if isinstance(failed, Exception):
            raise failed


async def _prepare_until_done(core: Core, stop: asyncio.Event, ready: asyncio.Event | None) -> None:
    while not stop.is_set():
        try:
            await prepare(core.store, core.content.current)
        except UnavailableError:
            log.warning("gateway.waiting_for_store")
            await asyncio.sleep(1.0)
        else:
            break
    await core.start()
    if ready is not None:
        ready.set()


def listen(host: str, port: int, variable: str) -> socket.socket:
    """A listening socket.

    Raises:
        SettingError: the port is taken or not allowed; names the setting to change.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingError(
            f"Port {port} is taken or not allowed. Stop what uses it, or set {variable}."
        ) from error
    listener.listen(1024)
    listener.setblocking(False)
    return listener
