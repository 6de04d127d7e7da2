"""Who works here: staff, their passwords, their signed-in browsers, and what each role may do.

In: a user name and a password, or the token of a cookie. Out: a `Session` and the `Actor` that acts
in its name. Knows no page and no HTTP; every sign-in, failure, lock and sign-out is audited.
"""

from bot.accounts.passwords import new_password
from bot.accounts.roles import ANSWERS, PARTS, ROLES
from bot.accounts.sessions import Session, Sessions, SignInRefusedError, actor_of
from bot.accounts.staff import create_staff, demo_accounts, set_active, set_password

__all__ = [
    "ANSWERS",
    "PARTS",
    "ROLES",
    "Session",
    "Sessions",
    "SignInRefusedError",
    "actor_of",
    "create_staff",
    "demo_accounts",
    "new_password",
    "set_active",
    "set_password",
]
