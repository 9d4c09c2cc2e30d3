"""Resolve pyproject.toml into the lock files; run by `make lock` on Python 3.11.

pip resolves without installing, in a clean environment, and its report is frozen as plain
`name==version` lines. Local versions (`2.13.0+cpu`) are cut off, so that a lock installs from
any index; hashes are left out for the same reason, since each index has its own build of torch.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TORCH = "torch==2.13.0"
HEADER = "# Made by `make lock` on Python 3.11 from pyproject.toml; change that, not this file.\n"


def resolve(
    python: Path, requirements: list[str], constraints: dict[str, str] | None = None
) -> dict[str, str]:
    """Return name -> version of everything that pip would install for the requirements."""
    command = [str(python), "-m", "pip", "-qq", "install", "--dry-run", "--ignore-installed"]
    if constraints:
        pins = python.parent / "constraints.txt"
        pins.write_text(frozen(constraints))
        command += ["--constraint", str(pins)]
    command += ["--report", "-", *requirements]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    metadata = [item["metadata"] for item in json.loads(done.stdout)["install"]]
    return {canonical(m["name"]): m["version"].partition("+")[0] for m in metadata}


def canonical(name: str) -> str:
    """Return a distribution's name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def frozen(versions: dict[str, str]) -> str:
    """Return the text of a lock file."""
    return HEADER + "".join(f"{name}=={version}\n" for name, version in sorted(versions.items()))


def main() -> int:
    """Write requirements.lock and requirements-dev.lock; the second holds only the difference."""
    if sys.version_info[:2] != (3, 11):
        print(f"the lock is made for Python 3.11, this is {sys.version.split()[0]}")
        return 1
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        # Both together first: a tool may need an older version of what the project needs too.
        wanted = [TORCH, *project["dependencies"]]
        everything = resolve(python, [*wanted, *project["optional-dependencies"]["dev"]])
        runtime = resolve(python, wanted, everything)
    dev = {name: version for name, version in everything.items() if name not in runtime}
    (ROOT / "requirements.lock").write_text(frozen(runtime))
    (ROOT / "requirements-dev.lock").write_text(frozen(dev))
    print(f"locked {len(runtime)} packages, and {len(dev)} more for development")
    return 0


if __name__ == "__main__":
    sys.exit(main())
