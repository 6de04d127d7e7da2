"""Comments on the force's posts: under those of its Facebook Page, and of its Instagram account.

In: the `changes` of a webhook that Messenger or Instagram takes, since Meta calls one address for both.
Out: public replies, private replies, and hiding. What may be said in public is not decided here: see
`bot/conversations/comment_words.py`. See README.md here, and docs/channels/comments.md for who sets it up.
"""

from bot.channels.comments.platform import Comments

__all__ = ["Comments"]
