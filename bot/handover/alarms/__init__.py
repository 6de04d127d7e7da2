"""Alarms that leave the browser: a P1, or a P2 with nobody on shift, that nobody has opened.

In: the record of what was found and what was looked at, and from the door what could not be stored.
Out: mail and signed webhook calls to those of the force's rota, each on record, until somebody looks.
Never a word of a message, a name or a number of the public.
"""

from bot.handover.alarms.alarms import PATH_WORDS, Alarms, Tested, state
from bot.handover.alarms.paths import SIGNATURE, State, signature
from bot.handover.alarms.reading import path_records, recent
from bot.handover.alarms.rota import PATHS, PathName, Rota, read_rota

__all__ = [
    "PATHS",
    "PATH_WORDS",
    "SIGNATURE",
    "Alarms",
    "PathName",
    "Rota",
    "State",
    "Tested",
    "path_records",
    "read_rota",
    "recent",
    "signature",
    "state",
]
