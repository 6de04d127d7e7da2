"""Joined sites: the plain inbound webhook, and the signed calls back."""
