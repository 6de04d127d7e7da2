"""A served gateway and a browser, as the web chat's tests have them; a desk, as the desk's have it."""

from __future__ import annotations

from tests.support.passwords import light_passwords
from tests.webchat.conftest import any_site, browser, open_page, site

__all__ = ["any_site", "browser", "light_passwords", "open_page", "site"]
