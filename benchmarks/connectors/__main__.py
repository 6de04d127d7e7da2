"""`make connectors`: stock Rasa 3.6's own connectors beside ours; prints two tables.

One process each: `rasa run` with its connectors `facebook` and `telegram`, and one gateway on SQLite. Both are
called by the same Messenger and the same Telegram on this machine, and know the same questions: stock Rasa by
its keyword classifier, ours by a stand-in for Rasa, since the connectors are compared and not what is understood.
The host of both platforms stands in the code of stock Rasa's libraries; `redirect/sitecustomize.py` puts another
in its place, and mends what keeps its Telegram connector from calling Telegram at all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

from benchmarks.connectors.experiments import EXPERIMENTS, as_installed, try_all
from benchmarks.connectors.sides import missing, ours, stock
from bot.errors import FrontCounterError
from bot.settings import ROOT, load_settings
from tests.drills.questions import Questions

INSTALLED = "any message, before stock Rasa's session is mended"
TITLES = {"messenger": "Messenger", "telegram": "Telegram"}
Found = dict[str, dict[str, dict[str, str]]]
"""What happened, by side, platform and experiment."""


async def compare() -> Found:
    """Try everything on both, one after the other."""
    settings = load_settings()
    questions = Questions(settings.force, settings.data)
    slugs = [(slug, questions.text(slug)) for slug in questions.slugs]
    found: Found = {}
    with tempfile.TemporaryDirectory(prefix="frontcounter-connectors-") as name:
        for start in (ours, stock):
            async with start(Path(name) / start.__name__, questions) as side:
                found[side.name] = {
                    platform.name: await try_all(side, platform, slugs) for platform in side.platforms
                }
        async with stock(Path(name) / "installed", questions, mended=False) as side:
            installed = await as_installed(side, side.platforms[1], slugs)
    found["stock"]["telegram"] |= {INSTALLED: installed}
    found["ours"]["telegram"] |= {INSTALLED: "–"}
    return found


def tables(found: Found) -> str:
    """One table for each platform."""
    parts = []
    for platform, title in TITLES.items():
        rows = [
            f"| {name} | {found['ours'][platform][name]} | {found['stock'][platform][name]} |"
            for name in (*EXPERIMENTS, INSTALLED)
            if name in found["ours"][platform]
        ]
        head = [f"### {title}", "", "| what happens | Front Counter | stock Rasa 3.6.21 |", "|---|---|---|"]
        parts.append("\n".join([*head, *rows]))
    return "\n\n".join(parts)


def main() -> None:
    """Compare, print, keep."""
    parser = argparse.ArgumentParser(prog="make connectors", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "var" / "connectors", help="where the tables go")
    chosen = parser.parse_args()
    if reason := missing():
        raise SystemExit(reason)
    try:
        found = asyncio.run(compare())
    except (FrontCounterError, RuntimeError) as error:
        raise SystemExit(str(error)) from error
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "compared.md").write_text(tables(found) + "\n", "utf-8")
    print(f"\n{tables(found)}\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
