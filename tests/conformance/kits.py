"""The channels of the conformance suite: how to serve each, and nothing else about them.

A channel joins with one line. Its side is a `tests.support.sides.Side` that can do what
`tests.meta.serving.MetaSide` does: let somebody write, deliver in batches and again, say what arrived.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from tests.meta.serving import MetaSide, meta_side
from tests.webhook.serving import site_side
from tests.whatsapp.serving import whatsapp_side
from tests.x.serving import x_side

Kit = Callable[..., AbstractContextManager[MetaSide]]

KITS: Mapping[str, Kit] = {
    "messenger": functools.partial(meta_side, "messenger"),
    "instagram": functools.partial(meta_side, "instagram"),
    "whatsapp": whatsapp_side,
    "site": site_side,
    "x": x_side,
}

HUMAN_AGENT = ("instagram", "messenger")
"""Platforms that may let staff answer for longer than the assistant."""


def serve(name: str, database_url: str, gateways: int = 1, **values: Any) -> AbstractContextManager[MetaSide]:
    """One channel on one database, until the block ends."""
    return KITS[name](database_url, gateways, **values)
