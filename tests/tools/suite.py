"""Run pytest once, and count a test that skips itself as failed.

What was not run was not shown to work; only a test that needs hardware which the gate's machine
may lack is excused, by the first words of its reason.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

EXCUSED = ("needs a GPU",)
LISTED = ("--durations=20", "--durations-min=10")  # where the time goes


def skipped(report: Path) -> list[str]:
    """Return the names of tests in a JUnit report that skipped themselves without an excuse."""
    cases = ElementTree.parse(report).iter("testcase")  # noqa: S314 - pytest wrote it just now
    return [
        f"{case.get('classname')}::{case.get('name')}: {skip.get('message')}"
        for case in cases
        for skip in case.iter("skipped")
        if not (skip.get("message") or "").startswith(EXCUSED)
    ]


def passes(python: Path, folder: Path, arguments: list[str], env: Mapping[str, str]) -> bool:
    """Tell whether the tests in a folder pass; no test found (pytest's exit 5) is a failure."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = [str(python), "-m", "pytest", f"--junitxml={report}", *LISTED, *arguments]
        passed = subprocess.run(command, check=False, cwd=folder, env=env).returncode == 0
        missing = skipped(report) if report.exists() else []
    for name in missing:
        print(f"gate: skipped, which counts as failed: {name}", flush=True)
    return passed and not missing
