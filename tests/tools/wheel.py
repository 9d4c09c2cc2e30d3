"""Run the tests on the built wheel, away from the checkout.

What is only in the checkout (a forgotten asset, a module left out of the wheel) must be missed
here. A fresh environment gets the wheel itself; its dependencies are those of the environment
that runs this, joined by a `.pth` line: Python does not follow `.pth` files found through
another, so the editable install of the checkout is not seen. The tests run in a copy of all
tracked files but the four packages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from tests.tools import suite

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("datacube", "sr_engine", "server", "webapp")
VENV = ROOT / ".venv-wheel"
ABOUT_THE_CHECKOUT = ("tests/test_repository.py",)


def build(folder: Path) -> Path:
    """Build the wheel into a folder with the installed backend and return its path."""
    arguments = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir"]
    subprocess.run([*arguments, str(folder), str(ROOT)], check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("srcube-*.whl"))


def install(wheel: Path) -> Path:
    """Make a fresh environment that holds the wheel, and return its interpreter."""
    python = VENV / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
    quiet = ["-m", "pip", "-qq", "--disable-pip-version-check", "install", "--no-deps"]
    subprocess.run([str(python), *quiet, str(wheel)], check=True)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    joined = VENV / "lib" / version / "site-packages" / "dependencies.pth"
    joined.write_text(sysconfig.get_path("purelib") + "\n")
    sample = Path(sys.prefix) / "share" / "srcube"
    if sample.is_dir():
        shutil.copytree(sample, VENV / "share" / "srcube", dirs_exist_ok=True)
    return python


def tracked_files() -> list[Path]:
    """Return the files that git tracks or would track, relative to the root."""
    arguments = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True, cwd=ROOT)
    return [Path(name) for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def copy_without_packages(folder: Path) -> None:
    """Copy the checkout's files, without the packages that the wheel has to bring."""
    for path in tracked_files():
        if path.parts[0] not in PACKAGES:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, folder / path)


def run_tests_on_wheel() -> bool:
    """Build, install, copy, test; tests about the checkout itself are named and left out."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "elsewhere"
        wheel = build(Path(scratch))
        python = install(wheel)
        copy_without_packages(folder)
        print(f"gate: {wheel.name}; left out here: {', '.join(ABOUT_THE_CHECKOUT)}", flush=True)
        ignored = [f"--ignore={name}" for name in ABOUT_THE_CHECKOUT]
        environment = os.environ | {
            "TESTED_PREFIX": str(VENV),
            "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }
        environment.pop("PYTHONPATH", None)
        arguments = ["-p", "no:cacheprovider", *ignored]
        return suite.passes(python, folder, arguments, environment)
