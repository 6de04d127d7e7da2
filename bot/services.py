"""What runs in Rasa's environment: the assistant, its action server, the training. One place says how.

    python -m bot.services train            trains the model of the present sources, if there is none
    python -m bot.services assistant        one replica of Rasa, with a model that is what we built
    python -m bot.services actions          Rasa's action server
    python -m bot.services check assistant  exit code 0 when it answers (also: actions, or an address)

The containers, the systemd units, the demonstration and the tests start these same commands. Only
the standard library is imported: the file runs in both environments (docs/decisions/0001).

Settings (environment, or a file of that name in the folder of secrets): FRONTCOUNTER_ASSISTANT_SECRET,
FRONTCOUNTER_REDIS_URL, FRONTCOUNTER_ACTIONS_URL, FRONTCOUNTER_FORCE, FRONTCOUNTER_MODELS,
FRONTCOUNTER_ASSISTANT_HOST and _PORT, FRONTCOUNTER_ACTIONS_HOST and _PORT.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import importlib
import json
import logging
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL_SOURCES = (
    "config.yml",
    "domain.yml",
    "data/faq",
    "data/nlu",
    "data/rules",
    "data/risk/words.yml",
    "bot/nlu",
)
KEPT_MODELS = 3
SECRETS = "/run/secrets"
LOGGING = "deploy/logging.yml"
_CHECK_SECONDS = 4.0


class ServiceError(Exception):
    """A service cannot start; the text is a sentence for whoever runs it."""


# ---- settings ------------------------------------------------------------------------------------


def secrets_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where secrets lie as files, if there is such a folder.

    Raises:
        ServiceError: the folder that FRONTCOUNTER_SECRETS_DIR names is not there, or not for us to read.
    """
    named = environment.get("FRONTCOUNTER_SECRETS_DIR")
    folder = Path(named or SECRETS)
    try:
        is_there = folder.is_dir()
        is_open = is_there and os.access(folder, os.R_OK | os.X_OK)
    except PermissionError:
        is_there, is_open = True, False
    if is_there and not is_open:
        raise ServiceError(f"The folder of secrets {folder} cannot be read. Let this service's user read it.")
    if named and not is_there:
        raise ServiceError(
            f"FRONTCOUNTER_SECRETS_DIR: there is no folder {folder}. Make it, or name another."
        )
    return folder if is_there else None


def setting(name: str, default: str = "", environment: Mapping[str, str] = os.environ) -> str:
    """A setting of ours: the variable, else the file of that name (in any case), else the default.

    Raises:
        ServiceError: the file is there and cannot be read.
    """
    variable = f"FRONTCOUNTER_{name}"
    if environment.get(variable):
        return environment[variable]
    folder = secrets_folder(environment)
    if folder is not None:
        for file in folder.iterdir():
            if file.name.upper() == variable and file.is_file():
                try:
                    return file.read_text("utf-8").strip()
                except OSError as error:
                    raise ServiceError(
                        f"The file of {variable} cannot be read. Let this service's user read it."
                    ) from error
    return default


def rasa_environment(**extra: str) -> dict[str, str]:
    """The environment of Rasa's processes: no telemetry, few words, one worker, our settings."""
    return {
        **os.environ,
        "RASA_TELEMETRY_ENABLED": "false",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "SANIC_WORKERS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPATH": str(ROOT),
        **extra,
    }


# ---- the commands --------------------------------------------------------------------------------


def assistant_command(python: str, model: str, *, endpoints: str, host: str, port: int) -> list[str]:
    """One replica of Rasa. Its own HTTP interface stays off: only our channel answers."""
    return [
        python, "-m", "rasa", "run", "--model", model, "--endpoints", endpoints,
        "--credentials", "credentials.yml", "--interface", host, "--port", str(port),
    ]  # fmt: skip


def actions_command(python: str, port: int) -> list[str]:
    """Rasa's action server. The address to listen on is SANIC_HOST; without it, it is every one."""
    return [python, "-m", "rasa_sdk", "--actions", "actions", "--port", str(port)]


def train_command(python: str, name: str, out: str) -> list[str]:
    """Rasa's training, into a folder of its own.

    The data are checked by `frontcounter check` and the tests: Rasa's own check reads all of it once more.
    """
    return [python, "-m", "rasa", "train", "--skip-validation", "--fixed-model-name", name, "--out", out]


# ---- models --------------------------------------------------------------------------------------


def model_sources_hash(root: Path = ROOT) -> str:
    """A short hash over everything that a model is trained from."""
    digest = hashlib.sha256()
    for name in MODEL_SOURCES:
        path = root / name
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        for file in files:
            if "__pycache__" in file.parts:
                continue
            digest.update(str(file.relative_to(root)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def model_path(models: Path) -> Path:
    """Where the model of the present sources belongs."""
    return models / f"frontcounter-{model_sources_hash()}.tar.gz"


def checksum_path(model: Path) -> Path:
    """The file beside a model that holds its sha256, as `sha256sum` writes and checks it."""
    return model.with_name(model.name + ".sha256")


def sha256_of(file: Path) -> str:
    """The sha256 of a file, in hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def is_ours(model: Path) -> bool:
    """Whether a model is there and is, byte for byte, what the training wrote."""
    try:
        noted = checksum_path(model).read_text("utf-8").split()
        return bool(noted) and noted[0] == sha256_of(model)
    except OSError:
        return False


@contextlib.contextmanager
def only_one(models: Path) -> Iterator[None]:
    """Held by one training at a time, so that two never mix their files."""
    models.mkdir(parents=True, exist_ok=True)
    with (models / ".training").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def keep_model(built: Path, model: Path) -> None:
    """Put a trained model in its place with its checksum; the newest three stay."""
    part = model.with_name(model.name + ".part")
    shutil.move(built, part)
    note = checksum_path(model)
    waiting = note.with_name(note.name + ".part")
    waiting.write_text(f"{sha256_of(part)}  {model.name}\n", encoding="utf-8")
    # The gateway reads it too, for backups, and may run as somebody else.
    part.chmod(0o644)
    waiting.rename(note)
    part.rename(model)
    old = sorted(model.parent.glob("frontcounter-*.tar.gz"), key=lambda p: p.stat().st_mtime)[:-KEPT_MODELS]
    for one in old:
        one.unlink(missing_ok=True)
        checksum_path(one).unlink(missing_ok=True)


def train(models: Path, python: str = sys.executable) -> tuple[Path, bool]:
    """The model of the present sources, and whether it had to be trained.

    Raises:
        ServiceError: the training failed, or its result cannot be kept.
    """
    model = model_path(models)
    try:
        with only_one(models), tempfile.TemporaryDirectory(prefix="frontcounter-train-") as folder:
            if is_ours(model):
                return model, False
            environment = rasa_environment(
                # credentials.yml names it; nothing listens while a model is trained.
                FRONTCOUNTER_ASSISTANT_SECRET=setting("ASSISTANT_SECRET") or "only-for-the-training",
            )
            done = subprocess.run(
                train_command(python, model.name, folder),
                cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
            built = Path(folder) / model.name
            if done.returncode != 0 or not built.is_file():
                raise ServiceError("The model could not be trained. What Rasa said stands above.")
            keep_model(built, model)
    except OSError as error:
        raise ServiceError(f"The model could not be written to {models}: {error.strerror}.") from error
    return model, True


# ---- entry points --------------------------------------------------------------------------------


def _models() -> Path:
    return Path(setting("MODELS", str(ROOT / "models")))


def _run_train() -> int:
    model, trained = train(_models())
    print(f"{model.name} {'was trained' if trained else 'was there already'}.", flush=True)
    return 0


def _become(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Go on as `python -m module …`: signals and the exit code are the module's own.

    In this process, so that what its libraries warn each other of while they are imported stays out
    of the log, where every line is JSON (`deploy/logging.yml`).
    """
    warnings.showwarning = lambda *_: None
    # Rasa and its SDK put coloured lines, with all that an error says, over whatever was set up.
    coloured = importlib.import_module("coloredlogs")
    coloured.install = lambda *_, **__: None  # type: ignore[attr-defined]
    logging.raiseExceptions = False
    os.chdir(ROOT)
    os.environ.update(environment)
    module = command[2]
    sys.argv = [module, *command[3:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


def _run_assistant() -> int:
    model = model_path(_models())
    if not is_ours(model):
        raise ServiceError(
            f"{model} is missing, or is not what the training wrote. Run `python -m bot.services train`."
        )
    redis = setting("REDIS_URL")
    command = assistant_command(
        sys.executable, str(model),
        endpoints="endpoints.production.yml" if redis else "endpoints.yml",
        host=setting("ASSISTANT_HOST", "127.0.0.1"), port=int(setting("ASSISTANT_PORT", "5005")),
    )  # fmt: skip
    environment = rasa_environment(
        LOG_LEVEL="WARNING",
        SQLALCHEMY_SILENCE_UBER_WARNING="1",
        FORCE_JSON_LOGGING="1",
        FRONTCOUNTER_ASSISTANT_SECRET=_needed("ASSISTANT_SECRET"),
        FRONTCOUNTER_REDIS_URL=redis,
        FRONTCOUNTER_ACTIONS_URL=setting("ACTIONS_URL", "http://127.0.0.1:5055/webhook"),
    )
    return _become([*command, "--quiet", "--logging-config-file", LOGGING], environment)


def _run_actions() -> int:
    command = actions_command(sys.executable, int(setting("ACTIONS_PORT", "5055")))
    environment = rasa_environment(
        LOG_LEVEL="WARNING",
        SQLALCHEMY_SILENCE_UBER_WARNING="1",
        FRONTCOUNTER_FORCE=setting("FORCE", str(ROOT / "force" / "northumbria")),
        SANIC_HOST=setting("ACTIONS_HOST", "127.0.0.1"),
    )
    return _become([*command, "--quiet", "--logging-config_file", LOGGING], environment)


def _needed(name: str) -> str:
    value = setting(name)
    if not value:
        raise ServiceError(f"Set FRONTCOUNTER_{name}.")
    return value


def check(what: str) -> bool:
    """Whether a service of this container answers as it should.

    Raises:
        ServiceError: there is no such service.
    """
    headers = {}
    if what == "assistant":
        what = f"http://127.0.0.1:{setting('ASSISTANT_PORT', '5005')}/webhooks/gateway/status"
        headers["X-Front-Counter-Secret"] = setting("ASSISTANT_SECRET")
    elif what == "actions":
        what = f"http://127.0.0.1:{setting('ACTIONS_PORT', '5055')}/health"
    if not what.startswith("http://"):
        raise ServiceError("Say what to check: assistant, actions or an address such as http://…")
    request = urllib.request.Request(what, headers=headers)  # noqa: S310  http only, see above
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=_CHECK_SECONDS) as answer:
            body = json.loads(answer.read() or b"{}")
    except (urllib.error.URLError, OSError, ValueError):
        return False
    return bool(answer.status == 200 and body.get("ready", True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one service. Returns the exit code, where it does not become the service itself."""
    parser = argparse.ArgumentParser(prog="python -m bot.services", description=__doc__)
    services = parser.add_subparsers(dest="service", required=True)
    for name in ("train", "assistant", "actions"):
        services.add_parser(name)
    services.add_parser("check").add_argument("what")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.service == "check":
            return 0 if check(chosen.what) else 1
        return {"train": _run_train, "assistant": _run_assistant, "actions": _run_actions}[chosen.service]()
    except ServiceError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
