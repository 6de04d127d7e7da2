"""Install everything Front Counter needs, from the locked lists, into this folder only.

Run by `make setup` with Python 3.11 and nothing but its standard library. Each step leaves a stamp
with the checksum of what it was made from, so a second run finishes at once. Whatever goes wrong ends
in one sentence that says what to do; the whole story is in `.tools/setup.log`.

Steps: `tools` (uv), `gateway` (.venv), `assistant` (.venv-assistant), `node` (Node.js, where the
machine has none), `pages` (npm packages), `assets` (styles and scripts of the pages).
"""

from __future__ import annotations

import sys

if sys.version_info[:2] != (3, 11):
    sys.exit(
        "Front Counter needs Python 3.11, and this is %d.%d: install it, or name it with "
        "`make setup PYTHON=/path/to/python3.11`." % sys.version_info[:2]
    )

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
LOG = TOOLS / "setup.log"
UV = TOOLS / "uv" / "bin" / "uv"
REQUIREMENTS = ROOT / "requirements"
ASSETS = ROOT / "bot" / "console" / "assets"
BUILT = ROOT / "bot" / "console" / "static" / "build"
STAMP_NAME = ".frontcounter-stamp"

# What a first installation takes on disk, in bytes: 2.8 GB of environments, plus room for the
# installer's downloads where they cannot be shared with its cache.
SPACE_NEEDED = 4_000_000_000
OLDEST_NODE = 20

# What the tools print when the trouble is not ours, and the sentence for the reader.
DISK_FULL = re.compile(r"No space left on device|os error 28|ENOSPC|Errno 28|Disk quota exceeded")
WRONG_HASH = re.compile(r"Hash mismatch|DO NOT MATCH THE HASHES|EINTEGRITY", re.IGNORECASE)
NO_DOWNLOAD = re.compile(
    r"dns error|error sending request|Failed to (fetch|download)|Connection (refused|reset|aborted)"
    r"|Name or service not known|Temporary failure in name resolution|timed out|ETIMEDOUT|ENOTFOUND"
    r"|EAI_AGAIN|ECONNREFUSED|ECONNRESET|No matching distribution|tunnel|certificate",
    re.IGNORECASE,
)


class SetupFailedError(Exception):
    """Something that the reader has to put right; the text is the whole sentence they see."""


def run(what: str, command: Iterable[str | Path], extra_env: dict[str, str] | None = None) -> None:
    """Run one command quietly, its output going to the log.

    Args:
        what: the step in words, to complete the sentence "… while <what>".
        command: program and arguments.
        extra_env: additions to the environment.

    Raises:
        SetupFailedError: the command failed; the message says why as far as its output tells.
    """
    words = [str(word) for word in command]
    # A Python found elsewhere or a foreign site folder must not leak into what is made here.
    env = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}}
    env |= {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"} | (extra_env or {})
    try:
        # The words are this file's own, never a person's input.
        done = subprocess.run(
            words,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise SetupFailedError(
            f"`{words[0]}` could not be started while {what}: {error.strerror}."
        ) from error
    with LOG.open("a", encoding="utf-8") as log:
        log.write(f"\n$ {' '.join(words)}\n{done.stdout}\n(exit {done.returncode})\n")
    if done.returncode == 0:
        return
    log_name = LOG.relative_to(ROOT)
    if DISK_FULL.search(done.stdout):
        raise SetupFailedError(
            f"The disk filled up while {what}: free about {SPACE_NEEDED // 10**9} GB and run "
            "`make setup` again."
        )
    if WRONG_HASH.search(done.stdout):
        raise SetupFailedError(
            f"A downloaded file did not match its locked checksum while {what}: nothing was kept, "
            f"see {log_name}."
        )
    if "ensurepip" in done.stdout:
        raise SetupFailedError(
            "This Python 3.11 has no `venv` module: install it (Debian: python3.11-venv) and run "
            "`make setup` again."
        )
    if NO_DOWNLOAD.search(done.stdout):
        raise SetupFailedError(
            f"A download failed while {what}: check the network and run `make setup` again "
            f"(details: {log_name})."
        )
    raise SetupFailedError(f"Setup stopped while {what}: the reason is at the end of {log_name}.")


def checksum(paths: Iterable[Path]) -> str:
    """Return one SHA-256 over the names and contents of the files."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def make_if_stale(title: str, folder: Path, sources: Iterable[Path], make: Callable[[], None]) -> None:
    """Run `make` unless the stamp in `folder` says that it was made from these same sources."""
    stamp = folder / STAMP_NAME
    wanted = checksum(sources)
    python = folder / "bin" / "python"
    # An environment whose Python was removed or moved has a link that leads nowhere.
    is_broken = python.is_symlink() and not python.exists()
    if not is_broken and stamp.is_file() and stamp.read_text(encoding="utf-8").strip() == wanted:
        return
    started = time.monotonic()
    print(f"  {title} …", end="", flush=True)
    try:
        stamp.unlink(missing_ok=True)
        make()
        folder.mkdir(parents=True, exist_ok=True)
        stamp.write_text(wanted + "\n", encoding="utf-8")
    except BaseException:
        print()
        raise
    print(f" {time.monotonic() - started:.0f} s", flush=True)


def works(python: Path) -> bool:
    """Tell whether an environment's Python still starts and is 3.11 (it may have been moved)."""
    probe = "import sys; sys.exit(sys.version_info[:2] != (3, 11))"
    try:
        return subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def install_tools() -> None:
    """Fetch uv into `.tools/uv`, with plain pip."""
    lock = REQUIREMENTS / "uv.txt"

    def make() -> None:
        folder = UV.parent.parent
        run("making a folder for the installer", [sys.executable, "-m", "venv", "--clear", folder])
        run(
            "fetching the installer",
            [UV.parent / "python", "-m", "pip", "install", "--quiet", "--no-deps",
             "--disable-pip-version-check", "--require-hashes", "-r", lock],
        )  # fmt: skip

    make_if_stale("the installer (uv)", UV.parent.parent, [lock], make)


def sync(folder: Path, lock: Path, what: str) -> None:
    """Make `folder` a Python environment that holds exactly what `lock` lists, byte-compiled.

    Byte-code matters: without it the first import of Rasa takes most of a minute.
    """
    python = folder / "bin" / "python"
    if not works(python):
        run(f"making {folder.name}", [UV, "venv", "--clear", "--python", sys.executable, folder])
    run(
        f"installing {what}",
        [UV, "pip", "sync", "--python", python, "--require-hashes", "--compile-bytecode",
         "--build-constraints", REQUIREMENTS / "build.txt", lock],
    )  # fmt: skip


def install_gateway() -> None:
    """Install the gateway with the tools of tests and checks, and the `frontcounter` command."""
    folder, lock = ROOT / ".venv", REQUIREMENTS / "dev.txt"

    def make() -> None:
        sync(folder, lock, "the gateway")
        # The application is run from its folder, not installed, so that what runs is what is read.
        command = folder / "bin" / "frontcounter"
        command.write_text(
            f"#!{folder / 'bin' / 'python'}\n"
            "import runpy, sys\n"
            f"sys.path.insert(0, {str(ROOT)!r})\n"
            "runpy.run_module('bot.cli', run_name='__main__', alter_sys=True)\n",
            encoding="utf-8",
        )
        command.chmod(0o755)

    make_if_stale("the gateway (.venv)", folder, [lock, REQUIREMENTS / "build.txt"], make)


def install_assistant() -> None:
    """Install Rasa in its own environment."""
    folder, lock = ROOT / ".venv-assistant", REQUIREMENTS / "assistant.txt"
    make_if_stale(
        "the assistant (.venv-assistant)",
        folder,
        [lock, REQUIREMENTS / "build.txt"],
        lambda: sync(folder, lock, "the assistant"),
    )


def node_folder() -> Path:
    """Return the folder of a usable `node` and `npm`, fetching them into `.tools` if need be."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        asked = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
        found = re.match(r"v(\d+)\.", asked.stdout)
        if found and int(found.group(1)) >= OLDEST_NODE:
            return Path(node).parent
    folder = TOOLS / "node"
    lock = REQUIREMENTS / "node.txt"
    make_if_stale("Node.js", folder, [lock], lambda: sync(folder, lock, "Node.js"))
    return folder / "bin"


def node_env(folder: Path) -> dict[str, str]:
    """Return the environment additions that put this Node.js first."""
    return {"PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}


def install_node() -> None:
    """Fetch Node.js where the machine has none that will do."""
    node_folder()


def install_pages() -> None:
    """Install the npm packages that the pages are made from."""

    def make() -> None:
        node = node_folder()
        npm = shutil.which("npm", path=node_env(node)["PATH"]) or "npm"
        run(
            "installing the pages' packages",
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            node_env(node),
        )

    locks = [ROOT / "package.json", ROOT / "package-lock.json"]
    make_if_stale("the pages' packages (node_modules)", ROOT / "node_modules", locks, make)


def build_assets() -> None:
    """Compile the pages' styles and copy the scripts that they load."""
    sources = [ROOT / "package-lock.json", ROOT / "scripts" / "assets.mjs"]
    if ASSETS.is_dir():
        sources += sorted(path for path in ASSETS.rglob("*") if path.is_file())

    def make() -> None:
        node = node_folder()
        run(
            "building the pages' styles and scripts",
            [shutil.which("node", path=node_env(node)["PATH"]) or "node", "scripts/assets.mjs"],
            node_env(node),
        )

    make_if_stale("the pages' styles and scripts", BUILT, sources, make)


def check_space() -> None:
    """Refuse to begin a first installation that cannot fit."""
    free = shutil.disk_usage(ROOT).free
    if free < SPACE_NEEDED and not (ROOT / ".venv-assistant" / STAMP_NAME).is_file():
        raise SetupFailedError(
            f"The disk has {free / 10**9:.1f} GB free, and setup needs about "
            f"{SPACE_NEEDED // 10**9} GB: free some space and run `make setup` again."
        )


STEPS: dict[str, Callable[[], None]] = {
    "tools": install_tools,
    "gateway": install_gateway,
    "assistant": install_assistant,
    "node": install_node,
    "pages": install_pages,
    "assets": build_assets,
}


def main() -> int:
    """Run the steps named on the command line, or all of them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("steps", nargs="*", metavar="step", help=" | ".join(STEPS))
    names = parser.parse_args().steps or list(STEPS)
    if unknown := [name for name in names if name not in STEPS]:
        parser.error(f"no step is called {unknown[0]}")
    started = time.monotonic()
    try:
        TOOLS.mkdir(exist_ok=True)
        LOG.write_text("", encoding="utf-8")
        if "assistant" in names:
            check_space()
        for name in names:
            STEPS[name]()
    except SetupFailedError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Setup stopped: {error.strerror} ({error.filename}).", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Setup was stopped; `make setup` carries on from here.", file=sys.stderr)
        return 130
    if time.monotonic() - started > 1:
        print(f"Ready ({time.monotonic() - started:.0f} s).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
