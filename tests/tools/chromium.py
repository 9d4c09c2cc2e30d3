"""Make sure that a Chromium is there for the browser tests, or say how to get one.

A Debian package is installed where that is allowed (root, or sudo without a password); the
gate fails otherwise, because a browser test that is skipped proves nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")
PACKAGES = ("chromium", "fonts-dejavu-core")


def found() -> str | None:
    """Return the path of the first Chromium on the PATH, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


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


def install(prefix: list[str]) -> None:
    """Install the Debian packages; failure shows in what is found afterwards."""
    environment = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    subprocess.run([*environment, "update", "-qq"], check=False)
    options = ["install", "-y", "-qq", "--no-install-recommends"]
    subprocess.run([*environment, *options, *PACKAGES], check=False, stdin=subprocess.DEVNULL)


def main() -> int:
    """Find or install Chromium; return 1 with the way out where neither works."""
    prefix = privilege()
    if found() is None and prefix is not None:
        print("setup: installing Chromium (Debian package) for the browser tests", flush=True)
        install(prefix)
    path = found()
    if path is None:
        print(
            f"setup: the browser tests need one of {', '.join(NAMES)} on the PATH and none is "
            "there: run `sudo apt-get install chromium`, then `make test` again",
            flush=True,
        )
        return 1
    print(f"setup: browser tests use {path}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
