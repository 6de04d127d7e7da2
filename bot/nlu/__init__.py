"""What turns a message into an intent, inside the Rasa environment only.

Text comes in; intents, a ranking and how sure we are go out. The logic is in plain modules that do
not import Rasa (`normalise`, `sentences`, `words`, `classifier`, `turns`, `payloads`); thin shells
plug it into Rasa (`components`, `importer`, `tracker_store`, `gateway_channel`). Nothing here
imports another room of ours.
"""
