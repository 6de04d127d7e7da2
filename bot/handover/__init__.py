"""The moderator queue: who owns a conversation, who may take it, what waits and in which order.

In: conversations to be handed over, and what staff do with them. Out: changed rows, audited. This
room knows no words that a person reads and sends nothing: `conversations` does.
"""
