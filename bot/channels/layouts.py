"""What each channel that ships can show, by name: stated by the channel itself, gathered for who compares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from bot.channels.comments.outbound import layout_of as private_layout
from bot.channels.comments.platform import NAMES
from bot.channels.instagram import TRAITS as INSTAGRAM
from bot.channels.messenger import TRAITS as MESSENGER
from bot.channels.render import Layout
from bot.channels.telegram.outbound import LAYOUT as TELEGRAM
from bot.channels.webchat import LAYOUT as WEBCHAT
from bot.channels.whatsapp.outbound import LAYOUT as WHATSAPP
from bot.channels.x.outbound import LAYOUT as X
from bot.channels.x.posts import MENTIONS

LAYOUTS: Final[Mapping[str, Layout]] = {
    layout.name: layout
    for layout in (
        WEBCHAT,
        TELEGRAM,
        MESSENGER.layout,
        INSTAGRAM.layout,
        WHATSAPP,
        X,
        # To who named us in a post: one direct message, which says itself who writes.
        replace(X, name=MENTIONS, most_parts=1, person_line=False, discloses=False),
        *(private_layout(NAMES[traits.name], traits) for traits in (MESSENGER, INSTAGRAM)),
    )
}
"""Those of comments are for the one private message to each; in public a text stands as it is."""
