"""What processes cost: memory, shared pages counted once, and time on the processor."""

from __future__ import annotations

import os
from collections.abc import Mapping

import psutil


def memory_megabytes(pids: Mapping[str, int]) -> dict[str, float]:
    """Proportional set size of each process with its children, in MB."""
    return {name: sum(_proportional(process) for process in _family(pid)) / 1e6 for name, pid in pids.items()}


def processor_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """Time that each process and its children have spent on the processor so far; ours without them."""
    found = {}
    for name, pid in pids.items():
        family = [psutil.Process()] if pid == os.getpid() else _family(pid)
        times = [process.cpu_times() for process in family]
        found[name] = sum(each.user + each.system for each in times)
    return found


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _proportional(process: psutil.Process) -> float:
    # Only Linux tells the proportional share; elsewhere the whole resident set stands for it.
    found = process.memory_full_info()
    return float(getattr(found, "pss", found.rss))
