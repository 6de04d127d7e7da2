"""The only reader of the environment: one frozen `Settings`, checked at start."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from bot.errors import SettingError
from bot.services import ServiceError, secrets_folder

ROOT = Path(__file__).resolve().parent.parent
_ORIGIN = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|[0-9a-f:]+:[0-9a-f:]*")
_ADDRESS = re.compile(r"https?://[^\s/]+(/\S*)?")
_FIELD = re.compile(r'field "(\w+)"')
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Settings(BaseSettings):
    """Everything that a force sets from outside. Variables are `FRONTCOUNTER_` and the name."""

    model_config = SettingsConfigDict(
        env_prefix="FRONTCOUNTER_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    database_url: str = f"sqlite+aiosqlite:///{ROOT / 'var' / 'frontcounter.db'}"
    redis_url: str = ""
    assistant_urls: Annotated[tuple[str, ...], NoDecode, Field(min_length=1)] = ("http://127.0.0.1:5005",)
    assistant_secret: str = ""
    assistant_timeout_seconds: float = Field(10.0, gt=0, le=60)
    force: Path = ROOT / "force" / "northumbria"
    data: Path = ROOT / "data"
    models: Path = ROOT / "models"
    static: Path = ROOT / "node_modules"
    public_host: str = "127.0.0.1"
    public_port: int = Field(8080, ge=1, le=65535)
    desk_host: str = "127.0.0.1"
    desk_port: int = Field(8081, ge=1, le=65535)
    secure_cookies: bool = False
    demo: bool = False
    practice_database_url: str = ""
    """The database of `frontcounter practice`, emptied at each start: never the one of the real record.

    Empty: a file beside the other small files (`var`), where a service may write.
    """
    practice_port: int = Field(8091, ge=1, le=65535)
    idle_lock_minutes: float = Field(15.0, gt=0)
    max_body_bytes: int = Field(1_000_000, ge=10_000)
    chat_per_person: int = Field(600, ge=1)
    """Web chat messages that one person may send in a minute. A message in danger is never refused."""
    chat_per_address: int = Field(12_000, ge=1)
    """The same for one internet address: more where a proxy or an office hides many behind one."""
    webchat_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Whose pages may hold the chat, such as https://www.force.example: nobody else's."""
    webchat_page_key: SecretStr = SecretStr("")
    """Signs what a page with the chat says of itself, for staff to read; 32 letters at least, or empty."""
    behind_proxy: bool = False
    """A proxy of ours stands before us and writes each caller's address into X-Real-IP.

    Without one this must stay off: anybody could write that header.
    """
    poll_seconds: float = Field(1.0, gt=0, le=10)
    lease_seconds: float = Field(30.0, gt=1)
    send_timeout_seconds: float = Field(8.0, gt=0, le=30)
    stop_seconds: float = Field(30.0, gt=0, le=300)
    """How long turns and sends under way may take to end; longer than a turn with a slow assistant."""
    stop_wait_seconds: float = Field(0.0, ge=0, le=60)
    """How long the listeners stay open once readiness says 503, for a load balancer that looks at it."""
    log_level: str = "INFO"

    public_url: str = ""
    """Where the public reaches us, such as https://chat.force.example: for webhooks and links."""
    secret_key: SecretStr = SecretStr("")
    """Encrypts what the database must not show in the clear (second-factor secrets)."""

    telegram_token: SecretStr = SecretStr("")
    telegram_mode: Literal["poll", "webhook"] = "poll"
    telegram_secret: SecretStr = SecretStr("")
    """Comes back in a header of each webhook call, so that nobody else can make one."""
    telegram_api_url: str = "https://api.telegram.org"

    messenger_token: SecretStr = SecretStr("")
    """The Page's access token."""
    messenger_app_secret: SecretStr = SecretStr("")
    """Signs every webhook of Meta's, and proves that our calls are ours."""
    messenger_verify_token: SecretStr = SecretStr("")
    """A word of ours that Meta sends back once, when the webhook is set up."""
    messenger_app_id: str = ""
    messenger_page_id: str = ""
    messenger_api_url: str = "https://graph.facebook.com/v23.0"
    messenger_human_agent: bool = False
    """Meta has granted "Human Agent": staff may answer for seven days, not for 24 hours."""
    messenger_take_thread: bool = True
    """Take a chat from another app of the Page's when staff answer in it. In danger that is always tried."""
    messenger_release_thread: bool = False
    """Give a chat back to the Page's default app when staff close it."""

    messenger_comments: bool = False
    """Take the comments on the Page's posts too (docs/channels/comments.md)."""
    instagram_comments: bool = False

    instagram_token: SecretStr = SecretStr("")
    """The access token of the Page that the Instagram account belongs to."""
    instagram_app_secret: SecretStr = SecretStr("")
    instagram_verify_token: SecretStr = SecretStr("")
    instagram_app_id: str = ""
    instagram_account_id: str = ""
    instagram_api_url: str = "https://graph.facebook.com/v23.0"
    instagram_human_agent: bool = False
    instagram_take_thread: bool = True
    instagram_release_thread: bool = False

    whatsapp_token: SecretStr = SecretStr("")
    """The access token of a system user who may use the WhatsApp Business Account."""
    whatsapp_app_secret: SecretStr = SecretStr("")
    whatsapp_verify_token: SecretStr = SecretStr("")
    whatsapp_account_id: str = ""
    """The id of the WhatsApp Business Account."""
    whatsapp_phone_number_ids: Annotated[tuple[str, ...], NoDecode] = ()
    """Meta's ids of the force's numbers, with commas between them: not the numbers themselves."""
    whatsapp_api_url: str = "https://graph.facebook.com/v23.0"
    whatsapp_per_second: float = Field(60.0, gt=0, le=1000)
    """How many messages each gateway sends in a second, at most: Meta takes 80 from one number."""

    x_consumer_key: SecretStr = SecretStr("")
    """The app's API key and secret; the secret signs webhooks, where the app has no client secret."""
    x_consumer_secret: SecretStr = SecretStr("")
    x_access_token: SecretStr = SecretStr("")
    """Of the force's own account, for this app (OAuth 1.0a). It begins with the account's number."""
    x_access_secret: SecretStr = SecretStr("")
    x_client_secret: SecretStr = SecretStr("")
    """The app's OAuth 2.0 client secret, if it has one: then that one signs webhooks."""
    x_mode: Literal["poll", "webhook"] = "poll"
    x_poll_seconds: float = Field(60.0, ge=1, le=3600)
    """The shortest time between two looks at X. Its own limits may make it longer."""
    x_silent_minutes: float = Field(20.0, gt=0, le=1440)
    """After so long without word from X the desk says that the channel is degraded."""
    x_api_url: str = "https://api.x.com"
    x_mentions: bool = False
    """Read the posts that mention the force's account too, in comment mode (docs/channels/x.md)."""

    sites_file: Path | None = None
    """A YAML file of joined sites, in the place of the force's sites.yml."""
    site_secrets: SecretStr = SecretStr("")
    """The keys of joined sites by name, as JSON; two of one site's while its key is changed."""
    site_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Hosts that replies for joined sites may go to: nowhere else."""
    site_hosts_inside: Annotated[tuple[str, ...], NoDecode] = ()
    """The same for hosts inside the force's own network: only these may have a private address."""

    smtp_host: str = ""
    smtp_port: int = Field(587, ge=1, le=65535)
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_from: str = ""
    smtp_tls: Literal["starttls", "tls", "none"] = "starttls"
    alarm_webhook_url: str = ""
    alarm_webhook_secret: SecretStr = SecretStr("")
    alarm_seconds: float = Field(60.0, gt=0, le=600)
    """How long a P1 may stand unopened before alarms leave by mail and webhook."""
    alarm_call_seconds: float = Field(20.0, gt=0, le=60)
    """The longest that one call of mail or webhook may take; a slow one is made again."""
    alarm_webhook_proxy: str = ""
    """The proxy through which the webhook leaves, such as http://proxy.force.example:3128."""
    alarm_contacts: dict[str, dict[str, str]] = {}
    """Addresses for the rota: {"key of a contact": {"mail": "…", "target": "…"}}, as JSON."""
    alarm_contacts_file: Path | None = None
    """A YAML file with the same, kept outside the repository."""
    desk_url: str = ""
    """Where staff reach the desk inside the force, such as https://desk.force.example: for links."""

    backup_key_file: Path | None = None
    """The public key that backups are made for (`frontcounter backup-key`). The private one stays away."""
    var: Path = ROOT / "var"
    """Small files that outlive a restart: which channels have gone live, for when the database is away."""

    @property
    def takes_comments(self) -> bool:
        """Whether comments under posts come in at all."""
        return self.messenger_comments or self.instagram_comments or self.x_mentions

    @field_validator("assistant_urls", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
        return value

    @field_validator("whatsapp_phone_number_ids", mode="before")
    @classmethod
    def _numbers(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("assistant_urls")
    @classmethod
    def _whole(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for place, one in enumerate(value, 1):
            if _ADDRESS.fullmatch(one) is None:
                # Not the address itself: a password may stand in it.
                raise ValueError(f"address {place} is not one such as http://127.0.0.1:5005")
        return value

    @field_validator("redis_url")
    @classmethod
    def _of_redis(cls, value: str) -> str:
        if not value or value.startswith(("redis://", "rediss://", "unix://")):
            return value
        raise ValueError("begin it with redis://, as in redis://:password@host:6379/0")

    @field_validator("webchat_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            return value
        return tuple(_origin(str(part)) for part in parts if str(part).strip())

    @field_validator("site_hosts", "site_hosts_inside", mode="before")
    @classmethod
    def _hosts(cls, value: object) -> object:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            return value
        hosts = tuple(str(part).strip().lower().rstrip(".") for part in parts if str(part).strip())
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(f"{host} is not a host such as forum.example: no https://, no port, no star")
        return hosts

    @field_validator("webchat_page_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < 32:
            raise ValueError("it needs 32 letters at least")
        return value

    @field_validator("database_url", "practice_database_url")
    @classmethod
    def _driver(cls, value: str, info: ValidationInfo) -> str:
        if value.startswith(("sqlite+aiosqlite:", "postgresql+asyncpg:")) or (
            not value and info.field_name == "practice_database_url"
        ):
            return value
        if value.startswith(("postgresql:", "postgres:")):
            return "postgresql+asyncpg:" + value.split(":", 1)[1]
        raise ValueError("use sqlite+aiosqlite:///file or postgresql+asyncpg://user@host/name")


def _origin(value: str) -> str:
    """One origin as browsers write it: no path, no star, and no port that goes without saying."""
    origin = value.strip().lower().removesuffix("/")
    found = _ORIGIN.fullmatch(origin)
    if found is None:
        raise ValueError(f"{value.strip()} is not an origin such as https://www.force.example")
    scheme, host, port = found.groups()
    if scheme == "http" and host not in _LOOPBACK:
        raise ValueError(f"{value.strip()} is not safe from others: it has to begin with https")
    usual = ":443" if scheme == "https" else ":80"
    return origin.removesuffix(usual) if port == usual else origin


def load_settings(**overrides: object) -> Settings:
    """Read the environment once.

    Raises:
        SettingError: one sentence naming the variable and what is wrong with it.
    """
    try:
        # A secret may lie in a file of its variable's name instead: nothing to see in `ps` or `inspect`.
        return Settings(_secrets_dir=secrets_folder(), **overrides)  # type: ignore[call-arg,arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "FRONTCOUNTER_" + "_".join(str(part) for part in first["loc"]).upper()
        why = first["msg"].removeprefix("Value error, ")
        raise SettingError(f"Change the setting {name}: {why}.") from error
    except SettingsError as error:
        found = _FIELD.search(str(error))
        name = f"FRONTCOUNTER_{found[1].upper()}" if found else "whose value should be JSON"
        if isinstance(error.__cause__, OSError):
            raise SettingError(
                f"The file of {name} cannot be read. Let this service's user read it."
            ) from error
        raise SettingError(
            f'Change the setting {name}: it is not JSON. Write {{"name": {{"key": "value"}}}}, with double quotes.'
        ) from error
    except ServiceError as error:
        raise SettingError(str(error)) from error
