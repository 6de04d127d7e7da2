"""What must reach a person, found by fixed phrases: the net that needs nothing but itself.

In: the text of a message, and the person's earlier ones. Out: categories of risk with their
priority and the words that fired, the one question for an ambiguous message, and the safety words
of a category. Needs no database, Redis or Rasa, keeps no state and reads no file after loading.
"""

from bot.safety.content import Category, Example
from bot.safety.languages import Languages
from bot.safety.screen import Hit, SafetyWords, Screen, ScreenResult

__all__ = ["Category", "Example", "Hit", "Languages", "SafetyWords", "Screen", "ScreenResult"]
