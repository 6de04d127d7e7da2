"""Looks at every process every few seconds, and writes down what it sees."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.soak.judge import Point
from tests.soak.system import System
from tests.soak.traffic import Traffic

EVERY_SECONDS = 5.0
PROCESS_COLUMNS = ("seconds", "process", "generation", "rss_mb", "pss_mb", "files", "threads", "cpu_seconds")
STATE_COLUMNS = (
    "seconds", "database_mb", "waiting", "outbox", "people", "staff_busy", "healthz0_ms", "healthz1_ms",
    "generator_late_ms",
)  # fmt: skip


class Sampler:
    """Samples of one soak; `seconds` in every file count from `zero` (Unix time)."""

    def __init__(self, system: System, traffic: Traffic, folder: Path, zero: float) -> None:
        self._system = system
        self._traffic = traffic
        self._zero = zero
        self.memory: dict[tuple[str, int], list[Point]] = defaultdict(list)
        self.died: list[str] = []
        self.most_waiting = 0.0
        self._files = contextlib.ExitStack()
        self._processes = self._open(folder / "processes.csv", PROCESS_COLUMNS)
        self._state = self._open(folder / "state.csv", STATE_COLUMNS)

    def _open(self, path: Path, columns: Sequence[str]) -> csv.DictWriter[str]:
        file = self._files.enter_context(path.open("w", encoding="utf-8", newline="", buffering=1))
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        return writer

    async def run(self) -> None:
        """Until cancelled."""
        due = time.monotonic()
        async with httpx.AsyncClient(timeout=4.0, trust_env=False) as http:
            while True:
                late = time.monotonic() - due
                seconds = round(time.time() - self._zero, 1)
                await asyncio.to_thread(self._look_at_processes, seconds)
                await self._look_at_state(http, seconds, late)
                for name in self._system.dead():
                    self.died.append(f"{name} at {seconds:.0f} s")
                due = max(due + EVERY_SECONDS, time.monotonic())
                await asyncio.sleep(due - time.monotonic())

    def close(self) -> None:
        """End the files."""
        self._files.close()

    def _look_at_processes(self, seconds: float) -> None:
        for name, process in self._system.processes().items():
            if process.pid is None or name in self._system.busy:
                continue
            generation = self._system.starts[name]
            with contextlib.suppress(psutil.Error):
                row = _measure(process.pid)
                self.memory[name, generation].append((seconds, row["pss_mb"]))
                self._processes.writerow(
                    {"seconds": seconds, "process": name, "generation": generation, **row}
                )

    async def _look_at_state(self, http: httpx.AsyncClient, seconds: float, late: float) -> None:
        row: dict[str, float | str] = {
            "seconds": seconds,
            "database_mb": round(await self._system.database_megabytes(), 2),
            "people": self._traffic.people,
            "staff_busy": self._traffic.staff_busy,
            "generator_late_ms": round(late * 1000, 1),
        }
        for number, desk in enumerate(self._system.stack.desk):
            # /healthz does no work: how long it takes is how late the gateway's loop is.
            began = time.monotonic()
            with contextlib.suppress(httpx.HTTPError):
                await http.get(f"{desk}/healthz")
                row[f"healthz{number}_ms"] = round((time.monotonic() - began) * 1000, 1)
            with contextlib.suppress(httpx.HTTPError, ValueError):
                answer = await http.get(f"{desk}/metrics")
                if answer.status_code == 200:
                    # What stands in the database is the same in every gateway.
                    row["waiting"] = _sum(answer.text, "frontcounter_queue_waiting")
                    row["outbox"] = _sum(answer.text, "frontcounter_outbox")
                    self.most_waiting = max(self.most_waiting, float(row["waiting"]))
        self._state.writerow(row)


def _measure(pid: int) -> dict[str, float]:
    """One process with its children. The proportional share where Linux tells it."""
    found = {"rss_mb": 0.0, "pss_mb": 0.0, "files": 0.0, "threads": 0.0, "cpu_seconds": 0.0}
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        memory = process.memory_full_info()
        times = process.cpu_times()
        found["rss_mb"] += memory.rss / 1e6
        found["pss_mb"] += getattr(memory, "pss", memory.rss) / 1e6
        found["files"] += process.num_fds()
        found["threads"] += process.num_threads()
        found["cpu_seconds"] += times.user + times.system
    return {name: round(value, 2) for name, value in found.items()}


def _sum(text: str, name: str) -> float:
    """All values of one figure, whatever its labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        if family.name == name
        for sample in family.samples
    )
