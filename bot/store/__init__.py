"""The room where everything is kept: tables, migrations, transactions and the primitives on them.

In: statements of the rooms above. Out: rows. SQL is the truth; nothing here knows of a platform,
of Rasa or of a page.
"""

from bot.store.bell import Bell
from bot.store.engine import Store

__all__ = ["Bell", "Store"]
