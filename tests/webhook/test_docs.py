"""What docs/channels/webhook.md shows is right: an outsider copies it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import jsonschema
import pytest

from bot.channels.sites.schema import (
    LONGEST_TEXT,
    MOST_EVENTS,
    Batch,
    Delete,
    Edit,
    Location,
    Message,
    ReceiptEvent,
    published,
)
from bot.channels.sites.signature import read_key, verify
from bot.channels.sites.webhook import LONGEST_BODY
from bot.messages import Button, Outgoing
from bot.settings import ROOT
from tests.platforms.site import SECRET
from tests.support.world import PLAIN
from tests.webhook.serving import SiteSide
from tests.webhook.test_sending import Recorder, quiet_channel

PAGE = (ROOT / "docs" / "channels" / "webhook.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    """The examples of one kind."""
    return re.findall(rf"^ *```{kind}\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)


def shown(example: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of a call that the page shows."""
    head, _, body = example.partition("\n\n")
    return dict(line.split(": ", 1) for line in head.splitlines()), body.strip().encode()


@pytest.mark.unit
def test_the_worked_examples_are_signed_right() -> None:
    """Both ways, with the key that stands there."""
    key = re.search(r"With the key `(whsec_\S+)`", PAGE)
    assert key is not None
    calls = [shown(example) for example in blocks("http")]
    assert len(calls) == 2
    for headers, body in calls:
        moment = int(headers["webhook-timestamp"])
        assert verify([read_key(key[1])], headers, body, moment) == headers["webhook-id"]
    jsonschema.validate(json.loads(calls[0][1]), published())
    assert Batch.model_validate_json(calls[0][1]).events


@pytest.mark.unit
async def test_the_reply_that_is_shown_is_one_of_ours() -> None:
    """Field by field."""
    _headers, body = shown(blocks("http")[1])
    told = json.loads(body)
    recorder = Recorder()
    buttons = (Button("Yes", "fc:yes", "17.0"), Button("Talk to a person", "fc:person", "17.1"))
    way_out = quiet_channel(recorder)
    sent = await way_out.send("member-42", Outgoing(17, "assistant", "Was this what you needed?", buttons))

    ours = recorder.told[0][1]
    assert sent.message_id == told["id"]
    assert list(ours) == list(told)
    for key in (
        "version",
        "type",
        "site",
        "person",
        "kind",
        "text",
        "choices",
        "quiet",
        "closes",
        "desk",
        "thread",
    ):
        assert ours[key] == told[key], key


@pytest.mark.unit
def test_every_field_is_explained() -> None:
    """In the tables, with the limits that hold."""
    explained = set(re.findall(r"`([a-z_]+)`", PAGE))
    for model in (Message, Edit, Delete, ReceiptEvent, Location):
        for name in model.model_fields:
            assert name in explained or f'"{name}"' in PAGE, name
    for name in json.loads(shown(blocks("http")[1])[1]):
        assert name in explained, name
    assert f"up to {MOST_EVENTS} events and {LONGEST_BODY:,} bytes" in PAGE
    assert f"up to {LONGEST_TEXT:,} letters" in PAGE


@pytest.mark.integration
def test_the_example_by_hand_is_taken(board: SiteSide) -> None:
    """As somebody would paste it into a shell."""
    missing = [name for name in ("sh", "openssl", "curl", "od", "base64") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"this machine has no {', '.join(missing)}")
    (script,) = blocks("sh")
    ann = board.person()
    script = script.replace("whsec_…", SECRET).replace("https://chat.force.example", board.first.base)
    script = script.replace("member-42", ann.id).replace("post-1001", ann.mid())
    done = subprocess.run(
        ["sh", "-eu", "-c", script], capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "NO_PROXY": "*", "no_proxy": "*"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, '{"taken":1}'), done.stderr

    assert PLAIN.casefold().split()[0] in board.stored(ann.id)[0].text.casefold()


@pytest.mark.unit
def test_the_entry_that_is_shown_is_right() -> None:
    """It is the shipped file's example, in short."""
    (entry,) = blocks("yaml")
    text = (ROOT / "force" / "northumbria" / "sites.yml").read_text("utf-8")
    for line in entry.splitlines()[1:]:
        assert line.strip().removeprefix("- ") in text, line
