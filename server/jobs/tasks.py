"""How a block is computed wherever that is, and what an executor reports of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

from datacube import Catalog, Product, open_storage
from datacube.errors import Conflict, Damaged, OutOfSpace, SrcubeError, Unavailable
from datacube.store.reading import ChunkCache
from server.errors import log
from server.jobs.blocks import Lease
from server.jobs.records import BlockTask
from sr_engine.blocks import compute_block, missing_blocks, product_path, product_spec
from sr_engine.explain.companion import compute_saliency
from sr_engine.model import Model
from sr_engine.planes import SALIENCY
from sr_engine.registry import find_model
from sr_engine.threads import use_one_thread

CACHE_BYTES = 64_000_000  # of decoded chunks in each worker: neighbours share their rims
OUT_OF_MEMORY = "OutOfMemory: the block needs more memory than a worker may take"
NO_ROOM = "OutOfSpace: the server has no space left for the result; ask again when there is some"
NO_ANSWER = "Unavailable: the store did not answer"
DAMAGED = "ChunkCorrupt: stored data that the block needs are damaged"
OURS = "an error of ours; it has been logged"
FindModel = Callable[[str], Model]


@dataclass(frozen=True)
class Outcome:
    """How computing a block ended.

    `done`: it is in the cube, `seconds` is None if it had been there before. `failed`: trying
    again would not help. `again`: the store did not answer, it may the next time.
    """

    kind: Literal["done", "failed", "again"]
    seconds: float | None = None
    why: str = ""


@dataclass(frozen=True)
class Report:
    """What an executor says of a block: its outcome, or that it did not come to one.

    `lost`: what computed it died, which may be the block's own fault. `returned`: it was not
    computed for reasons that have nothing to do with it.
    """

    block_id: int
    outcome: Outcome | Literal["lost", "returned"]


class Executor(Protocol):
    """Computes blocks somewhere.

    One thread uses it; `wake` and `trouble` alone may be used from any.
    """

    @property
    def trouble(self) -> str:
        """Why no block can be computed just now, for the operator; empty where they can."""

    def warm_up(self) -> None:
        """Get ready, so that the first block need not wait."""

    def free(self) -> int:
        """How many more blocks can be started now."""

    def start(self, lease: Lease) -> None:
        """Begin a block."""

    def cancel(self, block_id: int) -> None:
        """End a block within two seconds, or make sure that nothing comes after it."""

    def wait(self, timeout_s: float) -> list[Report]:
        """What happened since; waits for the first of it, or until woken."""

    def wake(self) -> None:
        """Make `wait` return."""

    def stop(self, grace_s: float) -> list[Report]:
        """Let blocks in hand end within `grace_s`, then end everything; what they came to."""


def run_block(task: BlockTask, find: FindModel = find_model) -> Outcome:
    """Compute a block and keep it in the cube; never raises for what a block can be guilty of."""
    started = time.perf_counter()
    try:
        use_one_thread()
        computed = _computed(task, find(task.model_id))
    except SrcubeError as error:
        return _outcome_of(error)
    except MemoryError:
        return Outcome("failed", why=OUT_OF_MEMORY)
    except Exception as error:  # noqa: BLE001 (outermost handler: a model of anybody's runs here)
        if "alloc" in str(error).lower():  # torch's own way to say so
            return Outcome("failed", why=OUT_OF_MEMORY)
        log.exception("block %s failed", task.key)
        return Outcome("failed", why=OURS)
    return Outcome("done", time.perf_counter() - started if computed else None)


def _outcome_of(error: SrcubeError) -> Outcome:
    """What an error of ours means; where its text may name a place in the store, without it."""
    if isinstance(error, OutOfSpace):
        return Outcome("failed", why=NO_ROOM)
    if isinstance(error, Unavailable):
        return Outcome("again", why=NO_ANSWER)
    if isinstance(error, Damaged):
        return Outcome("failed", why=DAMAGED)
    return Outcome("failed", why=f"{error.code}: {error}")


def _computed(task: BlockTask, model: Model) -> bool:
    """Whether the block had to be computed; raises Conflict if what was asked for has changed."""
    cube = _catalog(task.data).open(task.cube_id)
    if cube.root.commit.uid != task.uid or task.slot not in cube.root.commit.live_slots:
        raise Conflict("the scene was replaced since this was asked for; ask again")
    if model.card.key != task.model_key:
        raise Conflict(f"{task.model_id} is another version where blocks are computed; ask again")
    if product_path(cube, model) != task.path:
        raise Conflict("the cube has other dates since this was asked for; ask again")
    saliency = task.part == SALIENCY.name
    spec = product_spec(cube, model, (SALIENCY,) if saliency else ())
    product = Product.ensure(cube, spec)
    beside = (plane.name for plane in spec.planes)
    wanted = (SALIENCY.name,) if saliency else ("reflectance", *beside)
    if not missing_blocks(product, task.slot, [task.block], wanted):
        return False
    compute = compute_saliency if saliency else compute_block
    compute(product, model, task.slot, task.block, source=cube)
    return True


@lru_cache(maxsize=4)
def _catalog(address: str) -> Catalog:
    return Catalog(open_storage(address), ChunkCache(CACHE_BYTES))
