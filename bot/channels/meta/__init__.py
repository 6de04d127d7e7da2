"""What Messenger and Instagram share: the Graph API, its webhooks, and who holds a chat there.

In: webhooks of Meta's. Out: messages by the Send API. Nothing of Meta's own shapes, and no token, leaves
this folder. It is no channel by itself: `bot/channels/messenger` and `bot/channels/instagram` say what
differs (`traits.py`). See README.md here.
"""
