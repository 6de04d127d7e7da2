"""The command `frontcounter`: one program for everything that is run by hand or by a service."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import sys
from collections.abc import Sequence

import uvloop

from bot.commands import alarms, backup, channels, check, export, practice, ready, running, sign_page, staff
from bot.errors import FrontCounterError
from bot.logs import set_up_logs
from bot.settings import load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code; every error is one sentence on standard error."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if sys.version_info[:2] != (3, 11):
        return _fail("Front Counter needs Python 3.11. Run `make setup`, then use `make`.")
    try:
        settings = load_settings()
        set_up_logs(settings.log_level, plain=chosen.command in ("demo", "evaluate", "practice", "train"))
        # Sanic's own choice of loop, which it makes only for servers that it starts itself.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return int(runner.run(chosen.run(settings, chosen)) or 0)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `frontcounter ready | head`: whoever reads has had enough. Nothing more is said to them.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except FrontCounterError as error:
        return _fail(str(error))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return _fail("The disk is full. Make room, then run the same command again.")
        raise


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="frontcounter", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for group in (running, practice, staff, backup, alarms, ready, channels, export, check, sign_page):
        group.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
