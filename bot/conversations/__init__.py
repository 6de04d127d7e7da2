"""Who said what, who owns the reply, and how a reply leaves: door, turns, outbox, clocks.

In: arrivals of the channels, and what staff do at the desk. Out: outbox rows that are sent in order.
Every message to the public passes the send rule here, whatever page or part asked for it.
"""
