"""Any sequence of events leaves the cube as a model in memory says."""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from datacube import Cube, CubeSpec, Product, ProductSpec, ScenePixels, Window, find_bands
from datacube.errors import Conflict
from datacube.store.storage import LocalStorage
from datacube.vacuum import vacuum
from datacube.verify import verify
from tests.scenes import scene, small_grid

SHAPE = (40, 23)  # chunks of 16 px: six for each band
BANDS = ("B04",)
SPEC = ProductSpec("sr/model-0", 2, BANDS)
DAYS = st.integers(1, 3)
SEEDS = st.integers(0, 2)


class Crash(BaseException):
    """The process is gone: nothing may catch it."""


class Crashing(LocalStorage):
    """A folder whose user dies before the k-th write or deletion."""

    left: int | None = None

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:  # noqa: ARG002
        """Write, or die; making bytes durable takes time and changes nothing here."""
        self._spend()
        super().write(key, data, durable=False)

    def remove(self, key: str) -> None:
        """Delete, or die."""
        self._spend()
        super().remove(key)

    def settle(self, keys: object) -> None:
        """Nothing dies of a power cut here."""

    def _spend(self) -> None:
        if Crashing.left is not None:
            Crashing.left -= 1
            if Crashing.left < 0:
                raise Crash


def made(seed: int) -> ScenePixels:
    """The pixels of a seed."""
    dn = np.random.default_rng(seed).integers(0, 5, (1, *SHAPE), dtype=np.uint16)
    return ScenePixels(dn * np.uint16(1000))


class CubeStates(RuleBasedStateMachine):
    """A cube, and beside it what it should hold: seeds of scenes, seeds of blocks."""

    def __init__(self) -> None:
        super().__init__()
        Crashing.left = None
        self.folder = Path(tempfile.mkdtemp())
        storage = Crashing(self.folder)
        spec = CubeSpec("S", small_grid(SHAPE), find_bands(BANDS), with_scl=False, chunk_px=16)
        self.cube = Product.ensure(Cube.create(storage, spec), SPEC).cube
        self.scenes: dict[int, int] = {}
        self.blocks: dict[int, int] = {}
        self.old: list[tuple[Cube, dict[int, int]]] = []

    def teardown(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder)

    @rule(day=DAYS, seed=SEEDS)
    def append(self, day: int, seed: int) -> None:
        """Append: new, the same again, or refused."""
        if self.scenes.get(day, seed) == seed:
            self.cube = self.cube.append(scene(day), made(seed))
            self.scenes[day] = seed
        else:
            with pytest.raises(Conflict):
                self.cube.append(scene(day), made(seed))

    @rule(day=DAYS, seed=SEEDS)
    def replace(self, day: int, seed: int) -> None:
        """Put other pixels, or the same, in the place of a scene."""
        self.cube = self.cube.append(scene(day), made(seed), replace=True)
        if self.scenes.get(day) != seed:
            self.blocks.pop(day, None)
        self.scenes[day] = seed

    @rule(day=DAYS, seed=SEEDS)
    def write_block(self, day: int, seed: int) -> None:
        """Keep the one block of a scene; the first that was kept stays."""
        if day not in self.scenes:
            return
        self.reopen()
        product = Product.open(self.cube, SPEC.path)
        slot = self.cube.scene_at(scene(day).datetime).slot
        product.write_block(slot, (0, 0), np.repeat(np.repeat(made(seed).dn, 2, 1), 2, 2))
        self.blocks.setdefault(day, seed)

    @rule(day=DAYS, seed=SEEDS, left=st.integers(0, 20))
    def crash_while_replacing(self, day: int, seed: int, left: int) -> None:
        """Die on the way: afterwards it happened, or it did not."""
        Crashing.left = left
        try:
            self.cube.append(scene(day), made(seed), replace=True)
        except Crash:
            pass
        finally:
            Crashing.left = None
        self.reopen()
        found = self.seed_of(self.cube, day)
        assert found in {seed, self.scenes.get(day)}
        if found is not None and found != self.scenes.get(day):
            self.blocks.pop(day, None)
            self.scenes[day] = found

    @rule(left=st.none() | st.integers(0, 8))
    def vacuum(self, left: int | None) -> None:
        """Remove all garbage, or die on the way; old generations may end in an error."""
        self.old.clear()
        Crashing.left = left
        try:
            vacuum(self.cube, older_than=timedelta(0), now=1e12)
        except Crash:
            pass
        finally:
            Crashing.left = None
        self.reopen()

    @rule()
    def reopen(self) -> None:
        """Open anew, and keep the old opening as a reader would."""
        self.old = [*self.old[-2:], (self.cube, dict(self.scenes))]
        self.cube = Cube.open(self.cube.storage)

    @invariant()
    def the_cube_is_what_the_model_says(self) -> None:
        """Scenes, their pixels and blocks; nothing is damaged."""
        newest = Cube.open(self.cube.storage)
        assert self.seeds(newest) == self.scenes
        product = Product.open(newest, SPEC.path)
        for one in newest.scenes:
            block = product.read_block(one.slot, (0, 0), level=1)
            seed = self.blocks.get(one.scene.datetime.day)
            assert (block is None) == (seed is None)
            if block is not None and seed is not None:
                np.testing.assert_array_equal(block, made(seed).dn)
        assert verify(newest).faults == []

    @invariant()
    def readers_of_older_versions_see_what_they_saw(self) -> None:
        """An opening stays at its generation."""
        for cube, scenes in self.old:
            assert self.seeds(cube) == scenes

    def seeds(self, cube: Cube) -> dict[int, int | None]:
        """Day and seed of each scene that one version of the cube holds."""
        days = [one.scene.datetime.day for one in cube.scenes]
        return {day: self.seed_of(cube, day) for day in days}

    @staticmethod
    def seed_of(cube: Cube, day: int) -> int | None:
        """Which seed a scene's pixels come from; None where there is no such scene."""
        for one in cube.scenes:
            if one.scene.datetime.day == day:
                dn = cube.window_dn(one.slot, BANDS, Window(0, 0, *SHAPE))
                return next(seed for seed in range(3) if np.array_equal(made(seed).dn, dn))
        return None


def test_any_sequence_of_events_agrees_with_the_model() -> None:
    run_state_machine_as_test(
        CubeStates, settings=settings(max_examples=50, stateful_step_count=30, deadline=None)
    )


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_long_sequences_of_events_agree_with_the_model() -> None:
    run_state_machine_as_test(
        CubeStates, settings=settings(max_examples=500, stateful_step_count=50, deadline=None)
    )
