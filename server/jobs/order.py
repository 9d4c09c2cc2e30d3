"""From a view to blocks: how many there are, which are missing, and where each one lies."""

from dataclasses import dataclass

from datacube import Cube, Product, Window
from datacube.product import Block
from datacube.store.layout import BLOCK_PX
from server.jobs.records import BlockTask
from sr_engine.blocks import BlockPlan, plan_blocks, product_path
from sr_engine.model import Model


@dataclass(frozen=True)
class Order:
    """A view to super-resolve: which scene, by which model, on which blocks.

    `plan` is None where there are more blocks than one job may ask for: they are counted, and
    not looked at one by one.
    """

    cube: Cube
    model: Model
    slot: int
    total: int
    plan: BlockPlan | None

    @property
    def missing(self) -> tuple[Block, ...]:
        """Blocks to compute, from the view's centre outwards."""
        return self.plan.missing if self.plan else ()

    def tasks(self, data: str, cube_id: str) -> tuple[BlockTask, ...]:
        """What has to be computed, for whoever opens the catalog at `data`."""
        card, path = self.model.card, product_path(self.cube, self.model)
        return tuple(
            BlockTask(
                data=data,
                cube_id=cube_id,
                uid=self.cube.root.commit.uid,
                slot=self.slot,
                model_id=card.id,
                model_key=card.key,
                path=path,
                block=block,
                bbox=block_bbox(self.cube, block),
            )
            for block in self.missing
        )


def make_order(cube: Cube, model: Model, slot: int, window: Window, *, most: int) -> Order:
    """Which blocks a view has and lacks; nothing is computed or refused yet."""
    total = count_blocks(window)
    if total > most:
        return Order(cube, model, slot, total, None)
    path = product_path(cube, model)
    there = path in cube.root.commit.products
    product = Product.open(cube, path) if there else None
    return Order(cube, model, slot, total, plan_blocks(product, slot, window))


def count_blocks(window: Window) -> int:
    """How many blocks a window touches."""
    down = -(-(window.row + window.height) // BLOCK_PX) - window.row // BLOCK_PX
    across = -(-(window.col + window.width) // BLOCK_PX) - window.col // BLOCK_PX
    return down * across


def block_bbox(cube: Cube, block: Block) -> tuple[float, float, float, float]:
    """West, south, east, north of a block in degrees, to a hundredth of a metre."""
    row, col = block
    window = Window(row * BLOCK_PX, col * BLOCK_PX, BLOCK_PX, BLOCK_PX).within(cube.grid.shape)
    west, south, east, north = cube.grid.cropped(window).lonlat_bounds()
    return round(west, 7), round(south, 7), round(east, 7), round(north, 7)
