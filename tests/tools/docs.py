"""Build the documentation, every warning an error: `make docs`.

Pages are written by hand, the interface comes from docstrings and type hints. Nothing of the
result loads anything from elsewhere.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "notebooks/docs/mkdocs.yml"
# What a browser fetches by itself; links that a person follows may lead anywhere.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=["']?(https?://[^"'\s>]+)"""
)


def build(out: Path) -> subprocess.CompletedProcess[str]:
    """Build into a folder; mkdocs ends with an error for any warning."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    return subprocess.run(
        [*command, "--config-file", str(CONFIG), "--site-dir", str(out)],
        check=False, capture_output=True, text=True,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"},
    )  # fmt: skip


def fetched_from_elsewhere(out: Path) -> set[str]:
    """Addresses outside that the built pages would load."""
    return {
        address
        for page in out.rglob("*.html")
        for address in FETCHED.findall(page.read_text("utf-8"))
    }


def main() -> int:
    """Build into `build/docs`, and say what is wrong."""
    out = ROOT / "build/docs"
    done = build(out)
    print(done.stdout + done.stderr, end="")
    if done.returncode == 0:
        print(f"docs: {(out / 'index.html').relative_to(ROOT)}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
