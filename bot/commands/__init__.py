"""The commands of `frontcounter`, one file for each group; `bot.cli` gathers them.

Each file has `add(commands)`, which adds its parsers; a parser's `run` takes the settings and what
was given, and returns the exit code.
"""

from __future__ import annotations

import argparse
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def say(text: str = "") -> None:
    """One line for whoever runs the command."""
    print(text, flush=True)
