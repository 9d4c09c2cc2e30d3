"""The gate: every check a change has to pass, the same by hand and in CI.

Each step runs even when an earlier one failed, so that one run shows all that is wrong.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.tools import suite
from tests.tools.wheel import ABOUT_THE_CHECKOUT, PACKAGES, run_tests_on_wheel

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Outcome:
    """How one step ended."""

    name: str
    passed: bool
    seconds: float


def command(*arguments: str) -> Callable[[], bool]:
    """Return a step that runs a tool of this environment in the checkout."""

    def step() -> bool:
        return (
            subprocess.run([BIN / arguments[0], *arguments[1:]], check=False, cwd=ROOT).returncode
            == 0
        )

    return step


def about_the_checkout() -> bool:
    """Run the tests that are about the checkout itself; all others run on the wheel."""
    return suite.passes(Path(sys.executable), ROOT, list(ABOUT_THE_CHECKOUT), os.environ)


STEPS: tuple[tuple[str, Callable[[], bool]], ...] = (
    ("ruff check", command("ruff", "check", ".")),
    ("ruff format", command("ruff", "format", "--check", ".")),
    ("mypy --strict", command("mypy")),
    ("import-linter", command("lint-imports")),
    # Of medium severity and above, pickles of torch (B614) among them; B104 and B608 are ruff's
    # S104 and S608, with the reason at each line.
    ("bandit", command("bandit", "-q", "-r", "-ll", "--skip", "B104,B608", *PACKAGES)),
    ("pip check", command("python", "-m", "pip", "check")),
    ("tests of the checkout", about_the_checkout),
    ("tests on the built wheel", run_tests_on_wheel),
)


def run(name: str, step: Callable[[], bool]) -> Outcome:
    """Run one step between a headline and its time."""
    print(f"\n=== {name}", flush=True)
    start = time.monotonic()
    try:
        passed = step()
    except subprocess.CalledProcessError as error:
        print(f"gate: {error}", flush=True)
        passed = False
    return Outcome(name, passed, time.monotonic() - start)


def main() -> int:
    """Run all steps, print a table of how they ended, and return 1 if any failed."""
    outcomes = [run(name, step) for name, step in STEPS]
    print("\n=== gate")
    for outcome in outcomes:
        verdict = "ok    " if outcome.passed else "FAILED"
        print(f"{verdict} {outcome.seconds:6.1f} s  {outcome.name}")
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
