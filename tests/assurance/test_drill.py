"""The restore drill at its smallest: real gateways, killed and restored under traffic, nothing missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from bot.settings import ROOT
from tests.drills.processes import Postgres
from tests.drills.restore import COUNTS
from tests.support.databases import missing

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_nothing_is_missing_after_a_kill_a_clean_stop_and_a_restore(kind: str) -> None:
    if kind == "postgresql" and (
        why := Postgres(0, os.environ.get("FRONTCOUNTER_TEST_POSTGRES_URL", "")).why_not
    ):
        missing(why)
    done = subprocess.run(
        [
            sys.executable, "-m", "tests.drills.restore", "--only", kind, "--seconds", "4", "--ports",
            "6500" if kind == "sqlite" else "6550",
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    counted = json.loads(done.stdout.splitlines()[-1])
    assert {name: counted[name] for name in COUNTS} == dict.fromkeys(COUNTS, 0)
    assert counted[kind]["before_live_backup"] > 0
    assert counted[kind]["inbound"] > counted[kind]["before_live_backup"]
