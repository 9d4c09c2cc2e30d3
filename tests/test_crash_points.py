"""Killed at any step of its work, a writer leaves the cube as it was, or as it was to be."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from datacube.errors import NotFound
from datacube.verify import verify
from tests import crashes
from tests.crashes import CHANGES, STEPS, Doom, Work, child
from tests.scenes import scene
from tests.stores import Seen, folder_in_memory, open_tiny, seen, tiny_pixels

# What is there before each work: it is done in this order on an empty folder.
WORKS: dict[str, tuple[tuple[Work, ...], Work]] = {
    "create": ((), crashes.create),
    "append": ((crashes.create,), crashes.append),
    "append pieces": ((crashes.create,), crashes.append_pieces),
    "replace": ((crashes.create, crashes.append_first), crashes.replace),
    "declare": ((crashes.create, crashes.append_first), crashes.declare),
    "block": ((crashes.create, crashes.append_first, crashes.declare), crashes.write_block),
    "vacuum": (
        (
            crashes.create,
            crashes.append_first,
            crashes.declare,
            crashes.write_block,
            crashes.replace,
            crashes.write_block,
        ),
        crashes.clean,
    ),
    "vacuum products": (
        (
            crashes.create,
            crashes.append_first,
            crashes.write_series_block,
            crashes.append,
            crashes.write_series_block,
        ),
        crashes.clean,
    ),
}


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """An empty folder."""
    with folder_in_memory(tmp_path) as folder:
        yield folder


def look(root: Path) -> Seen | None:
    try:
        return seen(open_tiny(root))
    except NotFound:
        return None


def before_and_after(work: str, root: Path) -> tuple[Seen | None, Seen | None]:
    """Make the folder `before` a work, and say what is seen there and after it."""
    earlier, last = WORKS[work]
    for one in earlier:
        one(root / "before")
    if earlier:
        shutil.copytree(root / "before", root / "after")
    last(root / "after")
    return look(root / "before"), look(root / "after")


def die_at(work: str, doom: Doom, root: Path) -> int:
    """Kill a copy of `before` as told; the exit code of the one that was to die."""
    shutil.rmtree(root / "now", ignore_errors=True)
    if (root / "before").exists():
        shutil.copytree(root / "before", root / "now")
    return child(WORKS[work][1], root / "now", doom)


def assert_old_or_new_at_every_step(
    work: str, root: Path, calls: tuple[str, ...], *, after: bool
) -> int:
    old, new = before_and_after(work, root)
    for step in range(1, 1000):
        code = die_at(work, Doom(step, after, calls), root)
        found = look(root / "now")
        if code == 0:
            assert found == new, "what was acknowledged is lost"
            return step - 1
        assert code == -signal.SIGKILL
        assert found in (old, new), f"torn at step {step}"
        if work != "create" or found is None:
            WORKS[work][1](root / "now")
        assert look(root / "now") == new, f"the retry after step {step} did not converge"
        report = verify(open_tiny(root / "now"))
        assert report.faults == [], f"after step {step} and retry"
        if report.lagging:  # what plain readers see may wait for the next writer
            repaired = open_tiny(root / "now").append(scene(9), tiny_pixels(9))
            assert verify(repaired).lagging == []
    raise AssertionError("never came to an end")


@pytest.mark.parametrize("work", WORKS)
def test_a_kill_before_any_change_leaves_old_or_new(work: str, root: Path) -> None:
    assert assert_old_or_new_at_every_step(work, root, CHANGES, after=False) >= 3


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("work", WORKS)
def test_a_kill_at_any_step_leaves_old_or_new(work: str, after: bool, root: Path) -> None:
    points = assert_old_or_new_at_every_step(work, root, STEPS, after=after)
    print(f"{work}, {'after' if after else 'before'}: {points} points")  # noqa: T201
    assert points >= 3
