"""What a look at a force can find, and who took responsibility for it: the nouns of `readiness`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CONTENT = "Answers, contacts and hours"
ALARMS = "Alarms"
PEOPLE = "People"
SECURITY = "Secrets and addresses"
CHANNELS = "Channels and assistant"
DATA = "Data and backups"
GROUPS = (PEOPLE, ALARMS, CONTENT, SECURITY, CHANNELS, DATA)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be before the public comes."""

    key: str
    group: str
    what: str
    do: str
    who: str
    blocks: bool = True
    digest: str = ""
    """A hash of what was found; the key's own where the thing has no content."""


@dataclass(frozen=True, slots=True)
class Signed:
    """Who took responsibility for a finding, and why."""

    name: str
    reason: str
    at: str


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, and those of them that somebody signed off as they are now."""

    findings: tuple[Finding, ...]
    signed: Mapping[str, Signed]

    @property
    def blocking(self) -> list[Finding]:
        """What is left to do or to sign off."""
        return [f for f in self.findings if f.blocks and f.key not in self.signed]

    @property
    def warnings(self) -> list[Finding]:
        """What does not block."""
        return [f for f in self.findings if not f.blocks]

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "ready": not self.blocking,
            "blocking": len(self.blocking),
            "findings": [
                {
                    "key": f.key, "group": f.group, "what": f.what, "do": f.do, "who": f.who,
                    "blocks": f.blocks and f.key not in self.signed,
                    "signed_off": (
                        {"name": s.name, "reason": s.reason, "at": s.at}
                        if (s := self.signed.get(f.key)) else None
                    ),
                }
                for f in self.findings
            ],
        }  # fmt: skip


def digest_of(content: Any) -> str:
    """A hash over anything that YAML or JSON can hold."""
    return hashlib.sha256(
        json.dumps(content, sort_keys=True, ensure_ascii=False, default=str).encode()
    ).hexdigest()
