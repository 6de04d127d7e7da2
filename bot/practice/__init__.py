"""Practice: made-up people on a database of its own, for whoever learns the desk or rehearses.

In: the force's practice.yml, and what a supervisor starts. Out: messages through the ordinary door,
so that screen, queue, clocks and guard work for real, and feedback read from the record. No part of it
exists on a gateway that serves the public: `frontcounter practice` alone puts it together.
"""

from bot.practice.database import CHANNEL, end_everything, must_be_practice, practice_settings, wipe
from bot.practice.feedback import Feedback, Point, read_feedback, who_practised
from bot.practice.player import Practice
from bot.practice.script import Script, faults, load_script

__all__ = [
    "CHANNEL",
    "Feedback",
    "Point",
    "Practice",
    "Script",
    "end_everything",
    "faults",
    "load_script",
    "must_be_practice",
    "practice_settings",
    "read_feedback",
    "who_practised",
    "wipe",
]
