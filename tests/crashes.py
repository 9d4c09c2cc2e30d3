"""Processes that are killed at a chosen step, or a chosen moment, of their work on a cube.

A step is a call of the operating system that changes the folder: a file renamed into place, a
file or folder removed, bytes made durable. The child counts them and kills itself, with the
signal that nothing can catch, before or after the k-th.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from datacube import Product
from datacube.vacuum import vacuum
from tests.scenes import scene
from tests.stores import (
    PRODUCT,
    Windows,
    open_tiny,
    series_spec,
    tiny_block,
    tiny_cube,
    tiny_pixels,
)

Work = Callable[[Path], None]
CHANGES = ("replace", "unlink", "rmdir")  # after each of these the folder is another one
STEPS = (*CHANGES, "fsync", "mkdir")
LATER_S = 1e9  # a clock reading far after everything here was written


@dataclass(frozen=True)
class Doom:
    """Where the child dies: before or after the `step`-th call (from 1) of one of `calls`."""

    step: int
    after: bool = False
    calls: tuple[str, ...] = CHANGES


def child(work: Work, root: Path, doom: Doom | None = None) -> int:
    """Run `work` in a process of its own, forked from one that has no threads; its exit code."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.crashes"])
    process = context.Process(target=_doomed, args=(work, root, doom))
    process.start()
    process.join(60)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"{work} did not end")
    return process.exitcode


def _doomed(work: Work, root: Path, doom: Doom | None) -> None:
    if doom:
        count = [0]
        for name in doom.calls:
            setattr(os, name, _counting(getattr(os, name), doom, count))
    work(root)


def _counting(call: Callable[..., Any], doom: Doom, count: list[int]) -> Callable[..., Any]:
    def counted(*args: Any, **kwargs: Any) -> Any:
        count[0] += 1
        mine = count[0] == doom.step
        if mine and not doom.after:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return call(*args, **kwargs)
        finally:
            if mine:
                os.kill(os.getpid(), signal.SIGKILL)

    return counted


def create(root: Path) -> None:
    """Make the cube."""
    tiny_cube(root)


def append_first(root: Path) -> None:
    """The first scene."""
    open_tiny(root).append(scene(1), tiny_pixels(1))


def append(root: Path) -> None:
    """A second scene."""
    open_tiny(root).append(scene(2), tiny_pixels(2))


def append_pieces(root: Path) -> None:
    """A second scene, from a source, to a slot that is claimed first."""
    open_tiny(root).append(scene(2), Windows(tiny_pixels(2)))


def replace(root: Path) -> None:
    """Other pixels for the first scene."""
    open_tiny(root).append(scene(1), tiny_pixels(11), replace=True)


def declare(root: Path) -> None:
    """A product."""
    Product.ensure(open_tiny(root), PRODUCT)


def write_block(root: Path) -> None:
    """One block of the product, for the first scene."""
    product = Product.open(open_tiny(root), PRODUCT.path)
    slot = product.cube.scenes[0].slot
    product.write_block(slot, (1, 0), tiny_block(product, (1, 0), 5))


def write_series_block(root: Path) -> None:
    """One block of a product of all dates there are."""
    cube = open_tiny(root)
    product = Product.ensure(cube, series_spec(cube))
    product.write_block(cube.scenes[0].slot, (0, 0), tiny_block(product, (0, 0), 7))


def clean(root: Path) -> None:
    """Vacuum all that may go."""
    vacuum(open_tiny(root), older_than=timedelta(0), now=LATER_S * 10)
