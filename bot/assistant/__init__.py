"""Our side of Rasa: asks it what a message means, and holds the approved words it may name.

In: message text of one conversation. Out: `Understanding` and `Answer` objects, approved text. Only
this room knows Rasa's JSON.
"""

from bot.assistant.client import Assistant, Reading, Reply
from bot.assistant.content import Content, Faq, LiveContent, content_from_files

__all__ = ["Assistant", "Content", "Faq", "LiveContent", "Reading", "Reply", "content_from_files"]
