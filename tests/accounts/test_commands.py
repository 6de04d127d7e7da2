"""`frontcounter staff …`, run as the process that an administrator runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from bot.settings import ROOT
from tests.support.databases import SqliteTemplates

pytestmark = pytest.mark.integration


def run(database_url: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "bot.cli", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env={
            **os.environ, "FRONTCOUNTER_DATABASE_URL": database_url, "FRONTCOUNTER_REDIS_URL": "",
            **environment,
        },
    )  # fmt: skip


def refused(answer: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a command that did nothing."""
    assert answer.returncode == 1, (answer.stdout, answer.stderr)
    assert answer.stderr.count("\n") == 1
    assert "Traceback" not in answer.stderr
    return answer.stderr.strip()


def test_an_account_from_the_command_line(sqlite_templates: SqliteTemplates) -> None:
    database_url = sqlite_templates.fresh()
    done = run(
        database_url, "staff", "invite", "ada", "--name", "Ada Admin", "--role", "admin",
        FRONTCOUNTER_DESK_URL="https://desk.example",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "https://desk.example/desk/link/" in done.stdout

    bare = run(
        database_url, "staff", "invite", "mo", "--name", "Mo", "--role", "moderator",
        "--team", "digital_desk", "--team", "control_room",
    )  # fmt: skip
    assert "\n/desk/link/" in bare.stdout
    assert "FRONTCOUNTER_DESK_URL" in bare.stdout

    taken = run(database_url, "staff", "invite", "MO", "--name", "Mo", "--role", "moderator")
    assert refused(taken) == "The user name mo is taken. Choose another."
    no_team = run(database_url, "staff", "teams", "mo", "no_such_team")
    assert (
        "The teams are: control_room, control_room_lead, corporate_communications, digital_desk"
        in refused(no_team)
    )
    nobody = run(database_url, "staff", "restore", "nobody")
    assert "`frontcounter staff list` shows them all" in refused(nobody)

    for words in (
        ("role", "mo", "supervisor"),
        ("teams", "mo", "safeguarding"),
        ("suspend", "mo", "--reason", "left the force"),
        ("restore", "mo"),
        ("reset", "mo", "--second-factor"),
        ("end-sessions", "mo"),
    ):
        answer = run(database_url, "staff", *words)
        assert answer.returncode == 0, (words, answer.stderr)
        assert answer.stdout

    listed = run(database_url, "staff", "list", "--json")
    ada, mo = json.loads(listed.stdout)
    assert (ada["username"], ada["state"], ada["role"]) == ("ada", "invited", "admin")
    assert (mo["role"], mo["teams"], mo["second_factor"]) == ("supervisor", ["safeguarding"], False)
    plain = run(database_url, "staff", "list").stdout
    assert "Ada Admin" in plain
    assert "$argon2" not in listed.stdout + plain


def test_a_service_without_a_key_says_how_to_make_one(sqlite_templates: SqliteTemplates) -> None:
    answer = run(
        sqlite_templates.fresh(), "serve", FRONTCOUNTER_ASSISTANT_SECRET="x", FRONTCOUNTER_SECRET_KEY=""
    )
    assert "FRONTCOUNTER_SECRET_KEY" in refused(answer)
    assert "token_urlsafe" in answer.stderr


def test_a_reader_that_stops_reading_sees_no_trouble(sqlite_templates: SqliteTemplates) -> None:
    """`frontcounter staff list | head -0`."""
    ended, into = os.pipe()
    os.close(ended)
    done = subprocess.run(
        [sys.executable, "-m", "bot.cli", "staff", "list", "--json"],
        cwd=ROOT, stdout=into, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
        env={**os.environ, "FRONTCOUNTER_DATABASE_URL": sqlite_templates.fresh(), "FRONTCOUNTER_REDIS_URL": ""},
    )  # fmt: skip
    os.close(into)
    assert (done.returncode, done.stderr) == (141, "")
