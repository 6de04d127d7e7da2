"""Who works here: staff, their passwords and second factors, their signed-in browsers, their roles.

In: a user name and a password, a code, a link that works once, or the token of a cookie. Out: a
`Session` and the `Actor` that acts in its name. Knows no page and no HTTP; every sign-in, failure,
lock, sign-out and change of an account is audited.
"""

from bot.accounts.administration import Administration, Member
from bot.accounts.links import Invitation, LinkRefusedError, address_of
from bot.accounts.passwords import new_password
from bot.accounts.roles import ANSWERS, PARTS, ROLES
from bot.accounts.second_factor import SecondFactor, SettingUp, Standing
from bot.accounts.sessions import Session, Sessions, SignInRefusedError, actor_of
from bot.accounts.staff import DEMO_STAFF, FieldRefusedError, create_staff, demo_accounts, set_password
from bot.accounts.vault import check_key

__all__ = [
    "ANSWERS",
    "DEMO_STAFF",
    "PARTS",
    "ROLES",
    "Administration",
    "FieldRefusedError",
    "Invitation",
    "LinkRefusedError",
    "Member",
    "SecondFactor",
    "Session",
    "Sessions",
    "SettingUp",
    "SignInRefusedError",
    "Standing",
    "actor_of",
    "address_of",
    "check_key",
    "create_staff",
    "demo_accounts",
    "new_password",
    "set_password",
]
