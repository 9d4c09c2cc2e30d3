"""A planned scene's pixels on a cube's grid, window by window."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from datacube.bands import CLASSES
from datacube.grid import Grid
from datacube.scene import ScenePixels
from datacube.sources.plan import BandSource, ReadNumbers
from datacube.sources.radiometry import Calibration, harmonise
from datacube.sources.warping import Method, choose_method, warped
from datacube.window import Window

HIGHEST_CLASS = 11


class SceneReader:
    """Pixels of one scene on `grid`: `bands` in this order, classes if `with_scl`.

    Files stay open between windows, for each thread its own; `close` ends that. A pickled
    reader opens them anew.
    """

    def __init__(
        self,
        sources: Mapping[str, BandSource],
        bands: tuple[str, ...],
        grid: Grid,
        *,
        with_scl: bool,
    ) -> None:
        self.sources = dict(sources)
        self.bands = bands
        self.grid = grid
        self.with_scl = with_scl
        self.methods: dict[str, Method] = {
            name: choose_method(source.grid, grid, classes=name == CLASSES)
            for name, source in self.sources.items()
            if name in bands or (name == CLASSES and with_scl)
        }
        self._handles = _Handles()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handles": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._handles = _Handles()

    def close(self) -> None:
        """Close every file."""
        self._handles.close()

    def read(self, window: Window) -> ScenePixels:
        """The pixels of a window of the grid; no data where the scene does not reach."""
        dn = np.stack([self.band(name, window) for name in self.bands])
        return ScenePixels(dn, self.classes(window) if self.with_scl else None)

    def band(self, name: str, window: Window) -> NDArray[np.uint16]:
        """One band (y, x) in the cube's encoding."""
        source = self.sources[name]
        raw = self._handles.reader(name, source)
        read = partial(_harmonised, raw, source.calibration)
        found: NDArray[np.uint16] = self._warped(read, name, window)
        return found

    def classes(self, window: Window) -> NDArray[np.uint8]:
        """The scene classification (y, x)."""
        source = self.sources[CLASSES]
        raw = self._handles.reader(CLASSES, source)
        read = partial(_class_codes, raw, source.calibration)
        found: NDArray[np.uint8] = self._warped(read, CLASSES, window)
        return found

    def _warped(self, read: ReadNumbers, name: str, window: Window) -> NDArray[Any]:
        target = self.grid.cropped(window)
        return warped(read, self.sources[name].grid, target, self.methods[name])


@dataclass(frozen=True, eq=False)
class ArrayBand:
    """A band that is in memory already, such as classes that were worked out."""

    values: NDArray[Any]
    grid: Grid
    calibration: Calibration = field(default_factory=Calibration)

    @contextmanager
    def open(self) -> Iterator[ReadNumbers]:
        """Give windows of the array."""
        yield self._read

    def _read(self, window: Window) -> NDArray[Any]:
        return self.values[window.slices]


class _Handles:
    """Open files by thread and band: a GDAL dataset serves one thread only."""

    def __init__(self) -> None:
        self._readers: dict[tuple[int, str], ReadNumbers] = {}
        self._stack = ExitStack()
        self._lock = threading.Lock()

    def reader(self, name: str, source: BandSource) -> ReadNumbers:
        key = (threading.get_ident(), name)
        with self._lock:
            if key not in self._readers:
                self._readers[key] = self._stack.enter_context(source.open())
            return self._readers[key]

    def close(self) -> None:
        with self._lock:
            self._readers.clear()
            self._stack.close()


def _harmonised(read: ReadNumbers, calibration: Calibration, window: Window) -> NDArray[np.uint16]:
    return harmonise(read(window), calibration)


def _class_codes(read: ReadNumbers, calibration: Calibration, window: Window) -> NDArray[np.uint8]:
    """Codes 0 to 11; what is no data, or no code, is 0."""
    numbers = read(window)
    known = ~calibration.empty(numbers) & (numbers >= 0) & (numbers <= HIGHEST_CLASS)
    return np.where(known, numbers, 0).astype(np.uint8)
