"""Make sure that the programs are there which tests use, or say how to get them.

Chromium runs the page, PostgreSQL keeps the jobs of several servers, nginx stands before one.
Debian packages are
installed where that is allowed (root, or sudo without a password); the gate fails otherwise,
because a test that is skipped proves nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Debian's package would make a cluster of its own and start it; tests make theirs.
NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/srcube.conf")


def chromium() -> Path | None:
    """Return the path of the first Chromium on the PATH, or None."""
    return next((Path(path) for name in BROWSERS if (path := shutil.which(name))), None)


def nginx() -> Path | None:
    """Return the path of nginx, which Debian keeps where only root looks, or None."""
    path = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    return Path(path) if path else None


def postgres() -> Path | None:
    """Return the folder of PostgreSQL's programs, the newest where Debian has several, or None."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(found, key=lambda path: float(path.parent.parent.name))
    path = newest[-1] if newest else shutil.which("initdb")
    return Path(path).parent if path else None


@dataclass(frozen=True)
class Program:
    """What is needed, what it is for, how it is found, and the packages that bring it."""

    name: str
    purpose: str
    found: Callable[[], Path | None]
    packages: tuple[str, ...]


PROGRAMS = (
    Program("Chromium", "the browser tests", chromium, ("chromium", "fonts-dejavu-core")),
    Program("PostgreSQL", "the tests of several servers", postgres, ("postgresql",)),
    Program("nginx", "the test of the documented proxy", nginx, ("nginx-light", "openssl")),
)


def privilege() -> list[str] | None:
    """Return the command prefix that makes apt-get work here, or None where nothing does."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], check=False, capture_output=True).returncode:
        return None
    return [sudo, "-n"] if sudo else None


def install(prefix: list[str], packages: list[str]) -> None:
    """Install Debian packages; failure shows in what is found afterwards."""
    environment = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    subprocess.run([*environment, "update", "-qq"], check=False)
    options = ["install", "-y", "-qq", "--no-install-recommends"]
    if "postgresql" in packages:
        told = f"mkdir -p {NO_CLUSTER.parent} && echo create_main_cluster=false > {NO_CLUSTER}"
        subprocess.run([*prefix, "sh", "-c", told], check=False)
    subprocess.run([*environment, *options, *packages], check=False, stdin=subprocess.DEVNULL)
    if "postgresql" in packages:
        subprocess.run([*prefix, "rm", "-f", str(NO_CLUSTER)], check=False)


def main() -> int:
    """Find or install all programs; return 1 with the way out where one is not to be had."""
    missing = [program for program in PROGRAMS if program.found() is None]
    prefix = privilege()
    if missing and prefix is not None:
        names = " and ".join(program.name for program in missing)
        print(f"setup: installing {names} (Debian packages) for the tests", flush=True)
        install(prefix, [package for program in missing for package in program.packages])
    for program in PROGRAMS:
        path = program.found()
        if path is None:
            print(
                f"setup: {program.purpose} need {program.name} and none is there: run "
                f"`sudo apt-get install {' '.join(program.packages)}`, then `make test` again",
                flush=True,
            )
        else:
            print(f"setup: {program.purpose} use {path}", flush=True)
    return int(any(program.found() is None for program in PROGRAMS))


if __name__ == "__main__":
    sys.exit(main())
