"""One folder for each platform: verify, parse, send, and what it can do.

In: the platform's requests. Out: `Incoming`, `Echo` and `Receipt`, and calls to the platform. A
platform's JSON goes no further than its folder. Adding a channel touches nothing else: it is listed
in `bot/app.py`.
"""
