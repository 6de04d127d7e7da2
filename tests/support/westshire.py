"""A made-up force, made as operations.md says: a copy of the example's folder, with its own words written into it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from bot.settings import ROOT

NAME = "Westshire Police"
OF_THE_EXAMPLE = re.compile(
    r"northumb|\btyne|newcastle|gateshead|sunderland|wallsend|durham|cleveland|\bnexus\b|\bthe metro\b"
    r"|0191|07786 2008|872 555|0800 011 3116|07345 222 710",
    re.IGNORECASE,
)
"""What nobody may read at another force: names, places, telephone numbers of its area."""

_FORCE: dict[str, list[tuple[str, str]]] = {
    "force.yml": [
        ("Northumbria Police digital desk", "Westshire Police web desk"),
        ("Northumbria", "Westshire"),
        ("northumbria.police.uk", "westshire.police.uk"),
        ("#003078", "#00502f"),
        ("[Tyne and Wear, Northumberland]", "[Westshire]"),
        ("[Newcastle, Gateshead, North Tyneside, South Tyneside, Sunderland, Northumberland]", "[Millbridge, Saltmarsh]"),
        ("NP-[0-9]{8}-[0-9]{4}", "WP[0-9]{9}"),
        ("NP-20261123-0456", "WP261123456"),
    ],
    "hours.yml": [("08:00", "07:00"), ("8am to 10pm", "7am to 10pm")],
    "teams.yml": [("digital_desk", "web_desk"), ("Digital desk", "Web desk"), ("control_room", "contact_centre")],
    "pages.yml": [
        ("Northumbria Police, Middle Engine Lane, Wallsend, NE28 9NT", "Westshire Police, 1 Mill Street, Millbridge"),
        ("Northumbria", "Westshire"),
    ],
    "practice.yml": [("digital_desk", "web_desk"), ("control_room", "contact_centre")],
    "contacts.yml": [
        ("northumbria", "westshire"),
        ("Northumbria", "Westshire"),
        ("07786 2008", "07700 9001"),
        ("+44 1661 872 555", "+44 1632 960 101"),
        ("+441661872555", "+441632960101"),
        ("0191 221 9800", "01632 960 102"),
        ("01912219800", "01632960102"),
        ("0800 011 3116", "0808 157 0101"),
        ("08000113116", "08081570101"),
        (", newcastle: 0191 278 7878", ""),
        ("07860 064 775", "07700 900 103"),
    ],
}  # fmt: skip
_ANSWERS: dict[str, list[tuple[str, str]]] = {
    "found-property": [("[METRO, ", "["), (" On the Metro, give it to staff, or tell Nexus on [METRO].", "")],
    "lost-property": [("[METRO, ", "["), (" Lost it on the Metro? Text or WhatsApp Nexus on [METRO].", "")],
    "neighbourhood-team": [("Northumbria Connected", "Westshire News")],
    "other-force": [
        ("Northumberland, Newcastle, Gateshead, Sunderland, North Tyneside and South Tyneside", "Millbridge and Saltmarsh"),
        (" We look after the Metro.", ""),
        (" Durham and Cleveland each have their own force.", ""),
    ],
    "subscribe-alerts": [("Northumbria Connected. It", "Westshire News. It")],
    "victim-rights": [("Northumbria Victim", "Westshire Victim")],
    "victim-support": [("Northumbria Victim", "Westshire Victim")],
    "witness-court": [("Northumbria Victim", "Westshire Victim")],
}  # fmt: skip
_TAKEN_OUT = (r"^METRO:\n(?:  .*\n)+", r"^    (?:south_tyneside|gateshead|sunderland)\w*: .*\n")


def make(folder: Path) -> tuple[Path, Path]:
    """Set the force up in an empty folder. Returns its own folder, and that of its data."""
    force, data = folder / "force" / "westshire", folder / "data"
    shutil.copytree(ROOT / "force" / "northumbria", force)
    shutil.copytree(ROOT / "data", data)
    for name, edits in _FORCE.items():
        _edit(force / name, edits)
    for slug, edits in _ANSWERS.items():
        _edit(data / "faq" / f"{slug}.yml", edits)
    contacts = force / "contacts.yml"
    text = contacts.read_text("utf-8")
    for pattern in _TAKEN_OUT:
        text, count = re.subn(pattern, "", text, flags=re.MULTILINE)
        assert count, pattern
    contacts.write_text(text, "utf-8")
    return force, data


def _edit(path: Path, edits: list[tuple[str, str]]) -> None:
    text = path.read_text("utf-8")
    for old, new in edits:
        assert old in text, f"{path.name}: {old}"
        text = text.replace(old, new)
    path.write_text(text, "utf-8")
