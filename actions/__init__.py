"""Rasa's custom actions: small steps of the dialogue that need a clock, a memory or a decision.

They answer with data for the gateway ({"line": key}, {"hand_over": …}), never with words. They keep
nothing, call nothing, and import nothing of `bot`.
"""
