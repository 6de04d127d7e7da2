"""Who asks, and whether they may: the one way by which every page of the desk is reached.

A handler is added with the roles that may use it; there is no other way to add one. Before it runs
the session is found, the idle lock applied, the role checked and, for a POST, the form's token.
"""

from __future__ import annotations

import contextlib
import secrets
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

import structlog
from sanic import Blueprint, HTTPResponse, Request
from sanic import html as html_response
from sanic.exceptions import SanicException
from sanic.response import empty, redirect

from bot.accounts import ROLES, Administration, SecondFactor, Session, Sessions, actor_of
from bot.console.lists import Lists
from bot.console.looks import Looks
from bot.console.pages import Pages
from bot.console.precedence import Precedence
from bot.core import Core
from bot.errors import NoSuchChatError, NotAllowedError, RefusedError, StaleError, UnavailableError
from bot.handover.queue import LARGEST_ID, see
from bot.handover.sensitive import Sensitive, must_have_reason
from bot.knowledge.studio import Studio
from bot.messages import Actor

log = structlog.get_logger(__name__)

COOKIE = "desk_session"
COOKIE_PATH = "/desk"
COOKIE_SECONDS = 12 * 3600
LOOK_COOKIE = "desk_look"
LOOKS = ("light", "dark")
"""What a reader may choose for a browser; without a choice the device decides."""

EVERYBODY = frozenset[str]()
"""Nobody has to be signed in."""
STAFF = frozenset(ROLES)
ANSWERING = frozenset({"moderator", "supervisor"})
SUPERVISOR = frozenset({"supervisor"})
ADMIN = frozenset({"admin"})
COMMENTING = frozenset({"moderator", "comms", "supervisor"})
"""Who may look after what people write in public."""
MARKING = frozenset({"comms", "supervisor"})
"""Who may say what a post is."""
OVERSEEING = frozenset({"admin", "supervisor"})
"""Who may see the accounts of staff; only an administrator changes them."""
WRITING = frozenset({"comms"})
"""Who may write what the public reads."""
RELEASING = frozenset({"comms", "supervisor", "admin"})
"""Who may look into drafts, approve and withdraw, and go back to an earlier release."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; worker-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # `same-origin`, not `no-referrer`: with the latter a browser hides the origin of our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "X-Robots-Tag": "noindex, nofollow",
}


class Console:
    """What all pages share."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.studio = Studio(core.store, core.bell, core.content, core.settings)
        self.sessions = Sessions(
            core.store,
            idle_minutes=core.settings.idle_lock_minutes,
            second_factor_required=not core.settings.demo,
        )
        self.second_factor = SecondFactor(
            core.store, self.sessions, core.settings, f"{core.content.current.force['name']} desk"
        )
        self.administration = Administration(core.store, core.desk)
        self.pages = Pages(core)
        self.cookie = COOKIE
        """The name of the session's cookie."""
        self.looks = Looks(core)
        self.lists = Lists(core, self.pages)
        self.precedence = Precedence()


@dataclass(slots=True)
class Visit:
    """One request, by somebody known or by nobody."""

    request: Request
    console: Console
    found: Session | None

    @property
    def core(self) -> Core:
        """The parts of the gateway."""
        return self.console.core

    @property
    def session(self) -> Session:
        """The session; only for routes that ask for one.

        Raises:
            NotAllowedError: nobody is signed in.
        """
        if self.found is None:
            raise NotAllowedError("Sign in first.")
        return self.found

    @property
    def actor(self) -> Actor:
        """Who acts."""
        return actor_of(self.session)

    @property
    def address(self) -> str:
        """Where the request comes from, as far as we can tell."""
        return str(self.request.client_ip or "")

    @property
    def is_part(self) -> bool:
        """Whether a script asks for a part of a page."""
        return self.request.headers.get("hx-request") == "true"

    def field(self, name: str, longest: int = 6000) -> str:
        """One field of the form. A zero byte would not be taken by PostgreSQL."""
        values = cast(Any, self.request).form
        return str((values.get(name) if values else None) or "").replace("\x00", "")[:longest]

    def query(self, name: str) -> str:
        """One value of the address."""
        return str(self.request.args.get(name) or "").replace("\x00", "")[:400]

    def whole(self, name: str) -> int:
        """One whole number of the form.

        Raises:
            RefusedError: it is missing or no number.
        """
        value = self.field(name, 18)
        if not (value.isascii() and value.isdigit()):
            raise RefusedError("This page is not up to date. Load it again.")
        return int(value)

    def maybe_whole(self, name: str) -> int | None:
        """The same where the field may be missing: None.

        Raises:
            RefusedError: it is no number.
        """
        return self.whole(name) if self.field(name, 18) else None

    def page(self, template: str, status: int = 200, **values: Any) -> HTTPResponse:
        """A whole page, or a part of one."""
        look = self.request.cookies.get(LOOK_COOKIE)
        values["look"] = look if look in LOOKS else ""
        text = self.console.pages.render(template, self.found, self.request.path, **values)
        return html_response(text, status=status)

    def go(self, to: str) -> HTTPResponse:
        """Send the browser elsewhere, by script or without."""
        if self.is_part:
            return empty(status=204, headers={"HX-Redirect": to})
        return redirect(to, status=303)


Handler = Callable[..., Awaitable[HTTPResponse | None]]
"""What a room adds: it is given the visit and the parts of the address."""


@dataclass(frozen=True, slots=True)
class Route:
    """One way in, and who may use it."""

    method: str
    path: str
    roles: frozenset[str]
    while_locked: bool
    acts: bool
    while_owed: bool = False
    """Open to a session that still owes its second factor."""


@dataclass(slots=True)
class Routes:
    """Adds handlers to the blueprint, each behind the same checks; `table` lists them all."""

    console: Console
    blueprint: Blueprint = field(default_factory=lambda: Blueprint(f"desk_{secrets.token_hex(4)}"))
    table: list[Route] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Give every answer its headers."""

        async def headers(_request: Request, response: HTTPResponse) -> None:
            harden(response)

        self.blueprint.middleware(headers, "response")

    def get(
        self,
        path: str,
        handler: Handler,
        roles: frozenset[str],
        *,
        while_locked: bool = False,
        while_owed: bool = False,
        acts: bool = True,
    ) -> None:
        """Add a page. `acts` is False for what the page itself asks for: that is no sign of a hand."""
        self._add(handler, Route("GET", path, roles, while_locked, acts, while_owed))

    def post(
        self,
        path: str,
        handler: Handler,
        roles: frozenset[str],
        *,
        while_locked: bool = False,
        while_owed: bool = False,
        acts: bool = True,
    ) -> None:
        """Add an action."""
        self._add(handler, Route("POST", path, roles, while_locked, acts, while_owed))

    def _add(self, handler: Handler, route: Route) -> None:
        self.table.append(route)

        async def serve(request: Request, **parts: Any) -> HTTPResponse | None:
            visit = Visit(request, self.console, None)
            first = self.console.precedence.by_hand() if route.acts else contextlib.nullcontext()
            try:
                with first:
                    return await self._serve(visit, route, handler, parts)
            except RefusedError as error:
                return _refuse(visit, error)
            except UnavailableError:
                problem = "The desk cannot reach its records right now. Nothing was changed. Try again."
                return _problem(visit, problem, 503)
            except SanicException:
                raise
            except Exception as error:
                # Where it happened, and nothing that a person wrote.
                log.error("desk.failed", route=route.path, error=type(error).__name__, at=_where(error))
                return _problem(visit, "Something went wrong here. Load the page again.", 500)

        name = f"{route.method.lower()}_{len(self.table)}"
        self.blueprint.add_route(serve, route.path, methods=[route.method], name=name)

    async def _serve(
        self, visit: Visit, route: Route, handler: Handler, parts: dict[str, Any]
    ) -> HTTPResponse | None:
        request, sessions = visit.request, self.console.sessions
        if route.method == "POST" and not is_same_site(request):
            return _problem(visit, "This came from another site, so nothing was done.", 403)
        visit.found = await sessions.find(request.cookies.get(self.console.cookie))
        if not route.roles:
            return await handler(visit, **parts)
        if visit.found is None:
            return _elsewhere(visit, "/desk/sign-in")
        if visit.found.owes and not route.while_owed:
            return _elsewhere(visit, "/desk/second-factor")
        if visit.found.locked and not route.while_locked:
            return _elsewhere(visit, "/desk/locked")
        if visit.found.role not in route.roles:
            return _problem(visit, "Your role does not have this part of the desk.", 403)
        if route.method == "POST":
            token = request.headers.get("x-csrf-token") or visit.field("csrf", 200)
            if not Sessions.is_own(visit.found, token):
                return _problem(visit, "This page is not up to date. Load it again, then try again.", 403)
        if route.acts:
            await sessions.acted(visit.found)
        await _may_go_on(visit, route, parts)
        return await handler(visit, **parts)


CHAT = "/desk/c/<conversation_id:int>"
BEFORE_READING = frozenset(
    CHAT + rest for rest in ("", "/reason", "/claim", "/accept", "/take-over", "/acknowledge", "/seal")
)
"""What somebody may ask of a sensitive conversation before they have said why they read it: the page asks
them, and whoever takes a P1 is not held up."""


async def _may_go_on(visit: Visit, route: Route, parts: dict[str, Any]) -> None:
    """Stop who may not see or not read what the address names, before any handler runs: none can forget it.

    Raises:
        NoSuchChatError: there is no such conversation, or it is not theirs to know of.
        ReasonNeededError: it is sensitive, and they have not said why they read it.
    """
    if any(isinstance(part, int) and not 0 < part <= LARGEST_ID for part in parts.values()):
        raise NoSuchChatError
    if "conversation_id" not in parts:
        return
    async with visit.core.store.read() as connection:
        row = await see(connection, parts["conversation_id"], visit.actor)
        if row is None:
            raise NoSuchChatError
        if route.path not in BEFORE_READING:
            rule = Sensitive.of(visit.core.content.current.teams)
            await must_have_reason(connection, row, visit.actor, rule)


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def is_same_site(request: Request) -> bool:
    """Whether a form was sent from a page of ours, as far as the browser says (Fetch Metadata)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.host


def harden(response: HTTPResponse) -> None:
    """Add the headers that every answer of the desk carries."""
    kept = response.headers.get("Cache-Control")
    for name, value in HEADERS.items():
        response.headers[name] = value
    if kept:
        response.headers["Cache-Control"] = kept


def safe_next(path: str) -> str:
    """A page of the desk to go on to, or its start: never another site."""
    ours = path == "/desk" or path.startswith(("/desk/", "/desk?"))
    closed = ("/desk/sign", "/desk/lock", "/desk/second-factor", "/desk/link")
    if ours and "\\" not in path and not path.startswith(closed):
        split = urlsplit(path)
        if not split.scheme and not split.netloc and path.isprintable():
            return path
    return "/desk"


def _elsewhere(visit: Visit, to: str) -> HTTPResponse:
    wanted = visit.request.path
    if visit.is_part:
        # A part of a page or an action: the page itself goes, and comes back to where it is.
        wanted = urlsplit(visit.request.headers.get("hx-current-url", "/desk")).path
        target = f"{to}?next={quote(safe_next(wanted))}"
        return empty(status=401, headers={"HX-Redirect": target})
    if visit.request.method != "GET":
        return redirect(to, status=303)
    return redirect(f"{to}?next={quote(safe_next(wanted))}", status=303)


def status_of(error: RefusedError) -> int:
    """The HTTP status of a refusal."""
    if isinstance(error, NoSuchChatError):
        return 404
    if isinstance(error, NotAllowedError):
        return 403
    return 409 if isinstance(error, StaleError) else 422


def _refuse(visit: Visit, error: RefusedError) -> HTTPResponse:
    return _problem(visit, str(error), status_of(error))


def _problem(visit: Visit, sentence: str, status: int) -> HTTPResponse:
    """One plain sentence: into the page where there is one, as a page otherwise."""
    if visit.is_part:
        response = visit.page("parts/problem.html", status, problem=sentence)
        if visit.request.method == "POST" or status == 503:
            response.headers.update({"HX-Retarget": "#problem", "HX-Reswap": "innerHTML"})
        if visit.request.method == "POST":
            response.headers["HX-Trigger"] = "desk:refresh"
        return response
    return visit.page("problem.html", status, problem=sentence)


def with_cookie(response: HTTPResponse, token: str, *, secure: bool, name: str = COOKIE) -> HTTPResponse:
    """Hand the browser its token."""
    response.add_cookie(
        name, token, path=COOKIE_PATH, httponly=True, samesite="Strict", secure=secure,
        max_age=COOKIE_SECONDS,
    )  # fmt: skip
    return response


def without_cookie(response: HTTPResponse, *, secure: bool, name: str = COOKIE) -> HTTPResponse:
    """Take the token away."""
    response.add_cookie(
        name, "", path=COOKIE_PATH, httponly=True, samesite="Strict", secure=secure, max_age=0
    )
    return response
