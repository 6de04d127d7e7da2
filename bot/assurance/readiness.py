"""What still keeps this force from going live: each thing with what to do about it, and who can.

A finding has a key that stays the same (`verify.faq.noise`) and a digest of what it is about. A named
supervisor or administrator can take responsibility for one (`signoff`); their word holds as long as
the digest does. Findings that only warn never block.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from sqlalchemy import select

from bot.assistant import content_from_files
from bot.assistant.content import ALWAYS_SHOWN, Content, content_from_items, load_yaml
from bot.assistant.own_words import base_of
from bot.assurance import archive
from bot.assurance.findings import (
    ALARMS,
    CHANNELS,
    CONTENT,
    DATA,
    GROUPS,
    SECURITY,
    Finding,
    Report,
    Signed,
    digest_of,
)
from bot.assurance.ready_people import stored_findings
from bot.channels.parts import Platform
from bot.conversations import standing
from bot.errors import ContentError, SettingError
from bot.handover import alarms
from bot.services import model_path
from bot.settings import ROOT, Settings
from bot.store import Store
from bot.store.record import now
from bot.store.tables import (
    Release,
    ReleaseItem,
    SignOff,
)

EXAMPLE = ROOT / "force" / "northumbria"
"""The shipped force, which others copy."""
SHORTEST_SECRET = 16
_OBVIOUS = ("change", "example", "secret", "password", "frontcounter", "default", "12345")
_STATUS_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is looked at."""

    settings: Settings
    store: Store
    platforms: Mapping[str, Platform]
    demo_staff: Collection[tuple[str, str]]
    """User name and name of each made-up member of staff."""


async def look(around: Surroundings) -> Report:
    """Look at everything.

    Raises:
        StoreUnavailableError: the database does not answer.
        ContentError: a file of the force's cannot be read.
    """
    content = await _content(around)
    found = [
        *content_findings(content, around.settings.force),
        *example_findings(content, around.settings.force),
        *language_findings(around.settings.data),
        *missing_findings(content),
        *alarm_findings(around.settings, content),
        *security_findings(around.settings, around.platforms),
        *key_findings(around.settings),
        *[finding async for finding in stored_findings(around.store, around.demo_staff, content)],
        *[finding async for finding in channel_findings(around)],
    ]
    found = [f if f.digest else _with_own_digest(f) for f in found]
    found.sort(key=lambda f: (GROUPS.index(f.group), not f.blocks, f.key))
    return Report(tuple(found), await _signed(around.store, found))


async def _content(around: Surroundings) -> Content:
    """The live release, which is what the public gets; before there is one, the files."""
    async with around.store.read() as connection:
        rows = await connection.execute(
            select(ReleaseItem.kind, ReleaseItem.key, ReleaseItem.body)
            .join(Release, Release.id == ReleaseItem.release_id)
            .where(Release.live)
        )
        items = [(row.kind, row.key, row.body) for row in rows]
    if items:
        return content_from_items(items)
    return await asyncio.to_thread(content_from_files, around.settings.force, around.settings.data)


def _with_own_digest(finding: Finding) -> Finding:
    return Finding(
        finding.key, finding.group, finding.what, finding.do, finding.who, finding.blocks,
        digest_of(finding.key),
    )  # fmt: skip


async def _signed(store: Store, findings: list[Finding]) -> dict[str, Signed]:
    digests = {finding.key: finding.digest for finding in findings}
    async with store.read() as connection:
        rows = await connection.execute(select(SignOff.__table__).where(SignOff.withdrawn_at.is_(None)))
        return {
            row.item: Signed(row.name, row.reason, row.at.isoformat())
            for row in rows
            if digests.get(row.item) == row.digest
        }


# ---- content -------------------------------------------------------------------------------------


def content_findings(content: Content, force: Path) -> Iterator[Finding]:
    """Marks `verify: true` and review dates that have passed, in the live release and in other files."""
    today = now().date()
    released = set()
    for kind, key, body in content.items():
        if kind == "languages" and not body["body"]:
            # A release from before there were any: the file speaks until the next one.
            continue
        released.add(kind)
        if kind == "line":
            continue
        thing = body if kind == "faq" else body["body"]
        yield from _marks(kind, key if kind in ("faq", "contact") else "", thing, today)
    for path in sorted(force.glob("*.yml")):
        # Contacts and wording have other names in a release; the rota is looked at with the alarms.
        if path.stem not in released | {"contacts", "wording", "alarms"}:
            yield from _marks(path.stem, "", load_yaml(path), today)


def _marks(kind: str, key: str, thing: Any, today: date) -> Iterator[Finding]:
    for path, part in _walk(thing, (key,) if key else ()):
        name = ".".join((kind, *path))
        place = f"data/faq/{key}.yml" if kind == "faq" else f"{_FILES.get(kind, kind)}.yml of the force"
        who = "Communications"
        title = str(part.get("title") or part.get("name") or " ".join(path) or kind)
        note = f" {part['note']}" if part.get("note") else ""
        publish = " Then run `frontcounter publish --by USERNAME`." if kind not in _NOT_RELEASED else ""
        if part.get("verify") is True:
            yield Finding(
                f"verify.{name}", CONTENT, f"Nobody here has checked: {_KINDS.get(kind, kind)} “{title}”.",
                f"Check it, then set `verify: false` in {place}.{note}{publish}", who, True, digest_of(part),
            )  # fmt: skip
        due = _day(part.get("review_by"))
        if due is not None and due < today:
            yield Finding(
                f"review.{name}", CONTENT, f"Due for review since {due}: {_KINDS.get(kind, kind)} “{title}”.",
                f"Review it, then set `last_checked` and `review_by` in {place}.{publish}", who, True,
                digest_of(part),
            )  # fmt: skip


def example_findings(content: Content, force: Path, example: Path = EXAMPLE) -> Iterator[Finding]:
    """What another force's public would read of the shipped example: its name, site, places and numbers."""
    if not example.is_dir():
        return
    theirs = load_yaml(example / "force.yml")
    if content.force.get("name") == theirs["name"]:
        return
    names = {theirs["short_name"], theirs["public_site"], *theirs["counties"], *theirs["council_areas"]}
    # A neighbour may share a county or a council: what its own force.yml names, its answers may.
    ours = {place for key in ("counties", "council_areas") for place in content.force.get(key, ())}
    # It may share a number too, so these are looked for once it shares no place.
    numbers = set() if ours & names else _own_numbers(example)
    things = [
        (kind, key, body if kind == "faq" else body.get("body", body)) for kind, key, body in content.items()
    ]
    pages = force / "pages.yml"
    if pages.is_file():
        written = load_yaml(pages)
        things += [("pages", name, fact) for name, fact in written.pop("facts", {}).items()]
        things.append(("pages", "pages", written))
    for kind, key, thing in things:
        pattern = _any_of(names if kind == "force" else names - ours)
        texts = list(_public_words(thing))
        words = [match.group() for text in texts for match in pattern.finditer(text)]
        words += [text for text in texts if _digits(text) in numbers]
        found = sorted({word.casefold(): word for word in words}.values())
        if not found:
            continue
        place = f"data/faq/{key}.yml" if kind == "faq" else f"{_FILES.get(kind, kind)}.yml of the force"
        publish = " Then run `frontcounter publish --by USERNAME`." if kind not in _NOT_RELEASED else ""
        yield Finding(
            f"example.{kind}" + (f".{key}" if key != kind else ""), CONTENT,
            f"{_KINDS.get(kind, kind).capitalize()} “{key}” names the example force: {', '.join(found)}.",
            f"Write your own words in {place}.{publish}", "Communications", True, digest_of(thing),
        )  # fmt: skip


def _own_numbers(example: Path) -> set[str]:
    """The digits of the telephone numbers that only serve the example's own area."""
    contacts = load_yaml(example / "contacts.yml").values()
    texts = [text for contact in contacts if contact.get("local") for text in _public_words(contact)]
    return {digits for text in texts if len(digits := _digits(text)) >= _LONG_NUMBER}


def _digits(text: str) -> str:
    """A telephone number as its digits, from 0 on, as it is dialled here; empty when it is something else."""
    if re.fullmatch(r"\+?[\d ]+", text) is None:
        return ""
    return "".join(text.split()).replace("+44", "0")


def language_findings(data: Path) -> Iterator[Finding]:
    """The screen's words in other languages that no native reader has checked."""
    for path in sorted((data / "risk" / "languages").glob("*.yml")):
        body = load_yaml(path)
        if body.get("verify") is False:
            continue
        place = f"data/risk/languages/{path.name}"
        yield Finding(
            f"verify.risk.languages.{path.stem}", CONTENT,
            f"No native reader has checked: the words of danger in {body.get('name', path.stem)}.",
            f"Let a native reader check {place}, then set `verify: false` there.", "Communications", True,
            digest_of(body),
        )  # fmt: skip


def missing_findings(content: Content, example: Path = EXAMPLE) -> Iterator[Finding]:
    """Contacts and sentences that this version shows and a force lacks, mostly after an upgrade."""
    without = [key for key in ALWAYS_SHOWN if key not in content.contacts]
    if without:
        yield Finding(
            "contacts.missing", CONTENT,
            f"The chat's page shows contacts that contacts.yml lacks: {', '.join(without)}.",
            "Put them back into contacts.yml of the force under these keys. Then run "
            "`frontcounter publish --by USERNAME`.", "Communications", True, digest_of(without),
        )  # fmt: skip
    if not (example / "wording.yml").is_file():
        return
    # Words for one channel are a force's own choice: the general ones serve without.
    shipped = {key for key in load_yaml(example / "wording.yml") if base_of(key) == key}
    missing = sorted(shipped - set(content.lines))
    if missing:
        yield Finding(
            "wording.missing", CONTENT, f"The wording lacks sentences of this version: {', '.join(missing)}.",
            "Copy them from force/northumbria/wording.yml into your own, and check them. Then run "
            "`frontcounter publish --by USERNAME`.", "Communications", True, digest_of(missing),
        )  # fmt: skip


def _any_of(names: Collection[str]) -> re.Pattern[str]:
    return re.compile(r"\b(" + "|".join(re.escape(name) for name in sorted(names)) + r")\b", re.IGNORECASE)


def _public_words(thing: Any) -> Iterator[str]:
    """The strings of something, without what staff keep about it and what people may write (examples)."""
    if isinstance(thing, str):
        yield thing
    elif isinstance(thing, Mapping):
        for key, value in thing.items():
            if key not in _ABOUT:
                yield from _public_words(value)
    elif isinstance(thing, list):
        for value in thing:
            yield from _public_words(value)


_LONG_NUMBER = 9
"""Shorter ones, such as 101 or 111, serve the whole country."""
_ABOUT = {"examples", "notes", "note", "owner", "source", "last_checked", "review_by", "group"}
_KINDS = {"faq": "the answer", "contact": "the contact", "languages": "the words in"}
_FILES = {"contact": "contacts", "line": "wording"}
_NOT_RELEASED = {"pages", "sites"}


def _walk(thing: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    if isinstance(thing, Mapping):
        yield path, thing
        for key, value in thing.items():
            yield from _walk(value, (*path, str(key)))
    elif isinstance(thing, list):
        for number, value in enumerate(thing):
            name = value.get("key") or value.get("name") if isinstance(value, Mapping) else None
            yield from _walk(value, (*path, _slug(str(name or number))))


def _day(value: Any) -> date | None:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value)) if value else None
    except ValueError:
        return None


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60]


# ---- alarms --------------------------------------------------------------------------------------


def alarm_findings(settings: Settings, content: Content) -> Iterator[Finding]:
    """Paths that are not set up, and what is wrong with the rota."""
    who = "Administrator"
    try:
        state = alarms.state(settings, str(content.hours.get("timezone", "Europe/London")))
    except ContentError as error:
        yield Finding("alarms.rota", ALARMS, str(error), "Mend alarms.yml of the force.", who)
        return
    begins = {"mail": "Mail is not set up", "webhook": "The webhook is not set up"}
    for path in state.missing:
        why = next((p for p in state.problems if p.startswith(begins[path])), begins[path] + ".")
        yield Finding(
            f"alarms.{path}", ALARMS, "A P1 that nobody opens does not leave this system by "
            f"{'mail' if path == 'mail' else 'a webhook'}. Two paths are needed.", why, who,
            True, digest_of(why),
        )  # fmt: skip
    for problem in state.problems:
        if not problem.startswith(tuple(begins.values())):
            yield Finding(
                f"alarms.{_slug(problem)}", ALARMS, problem,
                "Mend the setting that it names, or alarms.yml of the force.", who,
                # A mail without a link still says where to look.
                not problem.startswith("FRONTCOUNTER_DESK_URL"), digest_of(problem),
            )  # fmt: skip


# ---- secrets and addresses -----------------------------------------------------------------------


def is_weak(secret: str) -> bool:
    """Whether somebody could guess it: short, of few letters, or one of those that examples use."""
    lowered = secret.lower()
    return (
        len(secret) < SHORTEST_SECRET
        or len(set(secret)) < 6
        or any(lowered.startswith(word) or f"-{word}" in lowered for word in _OBVIOUS)
    )


def security_findings(settings: Settings, platforms: Mapping[str, Platform]) -> Iterator[Finding]:
    """Secrets that are missing or weak, and addresses that are not safe."""
    new = "Set {} to a long random one: `python3 -c 'import secrets; print(secrets.token_urlsafe(32))'`."
    secrets = {
        "assistant": ("FRONTCOUNTER_ASSISTANT_SECRET", settings.assistant_secret, True),
        "key": ("FRONTCOUNTER_SECRET_KEY", settings.secret_key.get_secret_value(), True),
        "telegram": (
            "FRONTCOUNTER_TELEGRAM_SECRET", settings.telegram_secret.get_secret_value(),
            "telegram" in platforms and settings.telegram_mode == "webhook",
        ),
        "messenger": (
            "FRONTCOUNTER_MESSENGER_VERIFY_TOKEN", settings.messenger_verify_token.get_secret_value(),
            "messenger" in platforms,
        ),
        "instagram": (
            "FRONTCOUNTER_INSTAGRAM_VERIFY_TOKEN", settings.instagram_verify_token.get_secret_value(),
            "instagram" in platforms,
        ),
        "whatsapp": (
            "FRONTCOUNTER_WHATSAPP_VERIFY_TOKEN", settings.whatsapp_verify_token.get_secret_value(),
            "whatsapp" in platforms,
        ),
        "alarm-webhook": (
            "FRONTCOUNTER_ALARM_WEBHOOK_SECRET", settings.alarm_webhook_secret.get_secret_value(),
            bool(settings.alarm_webhook_url),
        ),
    }  # fmt: skip
    for name, (variable, value, needed) in secrets.items():
        if needed and is_weak(value):
            what = "is easy to guess" if value else "is missing"
            yield Finding(f"secret.{name}", SECURITY, f"{variable} {what}.", new.format(variable), "Operator")
    if not settings.secure_cookies:
        yield Finding(
            "web.secure-cookies", SECURITY, "Cookies of the pages may travel unencrypted.",
            "Serve over HTTPS and set FRONTCOUNTER_SECURE_COOKIES=true.", "Operator",
        )  # fmt: skip
    address = urlsplit(settings.public_url)
    if address.scheme != "https" or not address.hostname:
        yield Finding(
            "web.public-url", SECURITY, "It is not known by which HTTPS address the public comes.",
            "Set FRONTCOUNTER_PUBLIC_URL, such as https://chat.force.example.", "Operator",
        )  # fmt: skip


# ---- backups' key and the kind of database -------------------------------------------------------


def key_findings(settings: Settings) -> Iterator[Finding]:
    """The key for backups, and what the database is."""
    try:
        archive.read_recipient(settings.backup_key_file)
        if settings.backup_key_file is not None and archive.holds_private_key(settings.backup_key_file):
            yield Finding(
                "backup.private-key", DATA, "The private key of backups lies on this server.",
                "Keep it elsewhere, and name the file that ends in .pub.", "Operator", False,
            )  # fmt: skip
    except SettingError as error:
        yield Finding("backup.key", DATA, "No backup can be made.", str(error), "Operator")
    if settings.database_url.startswith("sqlite"):
        yield Finding(
            "database.sqlite", DATA, "The database is SQLite: one gateway on one machine, no stand-in.",
            "Name a PostgreSQL in FRONTCOUNTER_DATABASE_URL; a backup can be restored into it.", "Operator",
            False,
        )  # fmt: skip
    if not settings.redis_url:
        yield Finding(
            "redis.none", DATA, "No Redis is named: replies are up to a second slower.",
            "Name one in FRONTCOUNTER_REDIS_URL.", "Operator", False,
        )  # fmt: skip
    if settings.demo:
        yield Finding(
            "demo.setting", DATA, "This is a demonstration.", "Take FRONTCOUNTER_DEMO away.", "Operator"
        )


# ---- the outside ---------------------------------------------------------------------------------


async def channel_findings(around: Surroundings) -> AsyncIterator[Finding]:
    """Whether the platforms know us, and the assistant answers with the model of these sources."""
    names = sorted(around.platforms)
    answers = await asyncio.gather(*(around.platforms[name].reachable() for name in names))
    for name, answer in zip(names, answers, strict=True):
        if answer is not None:
            yield Finding(
                f"channel.{name}", CHANNELS, f"The channel {name} cannot be reached: {answer.rstrip('.')}.",
                "Check its token and address, and the way out of this network.", "Operator",
            )  # fmt: skip
    for setting, beside in (
        ("messenger_comments", "messenger"),
        ("instagram_comments", "instagram"),
        ("x_mentions", "x"),
    ):
        if getattr(around.settings, setting) and beside not in around.platforms:
            yield Finding(
                f"channel.{setting}", CHANNELS,
                f"FRONTCOUNTER_{setting.upper()} is set, but the channel {beside} is off: nothing of it is read.",
                "Set up that channel, or take the setting away.", "Operator", False,
            )  # fmt: skip
    async with around.store.read() as connection:
        wrong = await standing.degraded(connection)
    for name, topics in wrong.items():
        yield Finding(
            f"standing.{name}", CHANNELS,
            f"The channel {name} is degraded: {', '.join(topics)}. Every page of the desk says why.",
            "Look at the account at the platform, and mend what is named.", "Administrator", False,
        )  # fmt: skip
    settings = around.settings
    expected = await asyncio.to_thread(_expected_release, settings.models)
    loaded = await asyncio.gather(
        *(_loaded(url, settings.assistant_secret) for url in settings.assistant_urls)
    )
    for url, release in zip(settings.assistant_urls, loaded, strict=True):
        place = urlsplit(url).netloc
        if release is None:
            yield Finding(
                f"assistant.unreachable.{place}", CHANNELS, f"The assistant at {place} does not answer.",
                "Start it, and check FRONTCOUNTER_ASSISTANT_URLS and FRONTCOUNTER_ASSISTANT_SECRET.", "Operator",
            )  # fmt: skip
        elif expected is None:
            yield Finding(
                f"assistant.untrained.{place}", CHANNELS,
                "There is no model of these sources here, so what the assistant loaded cannot be compared.",
                "Run `frontcounter train`, and let FRONTCOUNTER_MODELS name the same folder as the assistant's.",
                "Operator",
            )  # fmt: skip
        elif release != expected:
            yield Finding(
                f"assistant.model.{place}", CHANNELS,
                f"The assistant at {place} runs another model than the one of these sources.",
                "Run `frontcounter train`, then start the assistant again.", "Operator", True,
                digest_of([release, expected]),
            )  # fmt: skip


def _expected_release(models: Path) -> str | None:
    path = model_path(models)
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


async def _loaded(url: str, secret: str) -> str | None:
    """The release that one replica of the assistant has loaded; None: no answer."""
    try:
        async with httpx.AsyncClient(timeout=_STATUS_SECONDS, trust_env=False) as http:
            answer = await http.get(
                f"{url}/webhooks/gateway/status", headers={"X-Front-Counter-Secret": secret}
            )
            return str(answer.json()["release"]) if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError, KeyError):
        return None
