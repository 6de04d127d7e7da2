"""A force that is not the example is set up by settings and content alone, and nobody reads of the example there."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest

from bot.app import platforms, prepare
from bot.assistant import Content, content_from_files
from bot.assurance.readiness import Surroundings, look
from bot.channels.webchat.pages import PATHS
from bot.commands.check import faults
from bot.settings import load_settings
from bot.store import Store
from tests.assurance.conftest import empty_url as empty_url
from tests.console.serving import serving
from tests.support.westshire import NAME, OF_THE_EXAMPLE, make
from tests.webchat.serving import served

pytestmark = pytest.mark.integration

DANGER = "there is a man with a knife at my door"
QUESTION = "how long is the wait for 101"
REPLY = "Hello. You are talking to a person now."


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The folders of the made-up force: its own, and its data."""
    return make(tmp_path)


@pytest.fixture
def ready_url(empty_url: str, folders: tuple[Path, Path]) -> str:
    """A database of each kind, which the first start has filled from these folders."""

    async def start() -> None:
        store = Store(empty_url)
        await prepare(store, content_from_files(*folders))
        await store.close()

    asyncio.run(start())
    return empty_url


def texts(content: Content) -> list[tuple[str, str]]:
    """Everything that a release lets the public read, with its key."""
    found = [(slug, f"{faq.title}\n{content.answer(slug)}") for slug, faq in content.faqs.items()]
    found += [(key, content.line(key, reference="FC-12345678")) for key in content.lines]
    found += [(key, content.reply(key, "FC-12345678")) for key in content.replies]
    return found


def of_the_example(text: str) -> list[str]:
    """What a text says of the example."""
    return sorted(set(OF_THE_EXAMPLE.findall(text)))


def test_its_files_are_as_they_must_be(folders: tuple[Path, Path]) -> None:
    force, data = folders
    assert list(faults(load_settings(force=force, data=data))) == []


def test_a_person_reads_of_their_own_force_only(ready_url: str, folders: tuple[Path, Path]) -> None:
    force, data = folders
    with served(ready_url, force=force, data=data) as site:
        client = site.client()
        home = client.get("/chat")
        assert NAME in home.text
        assert "westshire.police.uk" in home.text
        assert "#00502f" in client.get("/chat/static/colour.css").text
        for page in (home, *(client.get(path) for path in PATHS.values()), client.get("/chat/widget.js")):
            assert page.status_code == 200, page.url
            assert of_the_example(page.text) == [], page.url
        for text in (QUESTION, DANGER):
            assert (
                client.post("/chat/messages", json={"id": str(uuid.uuid4()), "text": text}).status_code == 200
            )
            site.settle()
        content = site.gateway.core.content.current
        kinds = [(row.kind, row.text) for row in site.outbox()]
        assert ("assistant", content.answer("contact-101-wait")) in kinds
        assert any(kind == "safety" and "call 999 now" in text for kind, text in kinds)
        site.answer_as_staff(REPLY, "web_desk", "contact_centre")
        said = [row.text for row in site.outbox()]
        assert any("The Westshire Police web desk has joined" in text for text in said), said
        assert [one for text in said for one in of_the_example(text)] == []
        assert {key: found for key, text in texts(content) if (found := of_the_example(text))} == {}


def test_the_desk_bears_its_name(ready_url: str, folders: tuple[Path, Path]) -> None:
    force, data = folders
    with serving(ready_url, force=force, data=data) as desk:
        page = desk.browser().get("/desk/sign-in").text
    assert NAME in page
    assert "Web desk" in page
    assert "Digital desk" not in page
    assert of_the_example(page) == []


async def test_nothing_of_the_example_is_left_for_ready(
    empty_url: str, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    force, data = folders
    store = Store(empty_url)
    await prepare(store, content_from_files(force, data))
    settings = load_settings(
        database_url=empty_url, force=force, data=data, models=tmp_path, var=tmp_path, redis_url=""
    )
    report = await look(Surroundings(settings, store, platforms(settings), ()))
    await store.close()
    assert [one.what for one in report.blocking if one.key.startswith("example.")] == []
    assert "wording.missing" not in {one.key for one in report.blocking}
