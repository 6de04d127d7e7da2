"""Make the secrets that docker-compose.yml mounts: `python3 deploy/make_secrets.py [FOLDER]`.

What is there already is left alone, so running it again does no harm. Secrets that others give you
(the tokens of channels, the mail server's password) are made empty: write them in, then restart.
Python's standard library is all it needs.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "secrets"


def _word() -> str:
    return secrets.token_urlsafe(32)


def contents(have: Mapping[str, str]) -> dict[str, Callable[[], str]]:
    """What belongs into each file; `have` is what stands in those made before it."""
    return {
        "postgres_password": _word,
        "valkey_conf": lambda: f"requirepass {_word()}",
        "frontcounter_database_url": lambda: (
            f"postgresql+asyncpg://frontcounter:{have['postgres_password']}@database:5432/frontcounter"
        ),
        "frontcounter_redis_url": lambda: (
            f"redis://:{have['valkey_conf'].removeprefix('requirepass ')}@valkey:6379/0"
        ),
        "frontcounter_assistant_secret": _word,
        "frontcounter_secret_key": _word,
        "frontcounter_telegram_secret": _word,
        "frontcounter_alarm_webhook_secret": _word,
        "frontcounter_webchat_page_key": _word,
        "frontcounter_telegram_token": str,
        "frontcounter_messenger_token": str,
        "frontcounter_messenger_app_secret": str,
        "frontcounter_messenger_verify_token": _word,
        "frontcounter_instagram_token": str,
        "frontcounter_instagram_app_secret": str,
        "frontcounter_instagram_verify_token": _word,
        "frontcounter_whatsapp_token": str,
        "frontcounter_whatsapp_app_secret": str,
        "frontcounter_whatsapp_verify_token": _word,
        "frontcounter_site_secrets": str,
        "frontcounter_x_consumer_key": str,
        "frontcounter_x_consumer_secret": str,
        "frontcounter_x_access_token": str,
        "frontcounter_x_access_secret": str,
        "frontcounter_x_client_secret": str,
        "frontcounter_smtp_password": str,
    }


def main(arguments: list[str]) -> int:
    """Make what is missing; say what was made."""
    folder = Path(arguments[0]) if arguments else FOLDER
    # The folder is for its owner alone; a container sees the files without passing through it, and
    # runs as somebody who must be able to read them.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    have: dict[str, str] = {}
    for name, make in contents(have).items():
        file = folder / name
        if not file.exists():
            opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
            with os.fdopen(opened, "w", encoding="utf-8") as out:
                # Whatever the umask says: who reads it in a container is not who made it here.
                os.fchmod(opened, 0o444)
                out.write(make() + "\n")
            print(f"made {name}")
        have[name] = file.read_text("utf-8").strip()
    for name in ("tls_certificate", "tls_key"):
        if not (folder / name).exists():
            print(f"still missing: {folder / name} (PEM, from your certificate authority)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
