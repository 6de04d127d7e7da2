"""Where a platform's interface is: a token travels there, so plain HTTP only inside one's own network."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from bot.errors import SettingError

THIS_MACHINE = frozenset({"127.0.0.1", "localhost", "::1"})


def api_url(value: str, variable: str) -> str:
    """The address of a platform's interface, without a slash at its end.

    Raises:
        SettingError: the token would travel in the clear.
    """
    url = value.strip().rstrip("/")
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host and (parts.scheme == "https" or (parts.scheme == "http" and _is_inside(host))):
        return url
    raise SettingError(
        f"{variable} must begin with https://. Plain http:// is only for a server of your own network."
    )


def is_this_machine(url: str) -> bool:
    """Whether whatever answers there is a test's: an address that never leaves this machine."""
    return (urlsplit(url).hostname or "") in THIS_MACHINE


def _is_inside(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        # A name without a dot is one of this machine or of a container's network.
        return bool(host) and "." not in host
