"""The public's pages beside the chat, and the accessibility of all pages."""
