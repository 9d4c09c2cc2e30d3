"""From a view to blocks: how many there are, which are missing, and where each one lies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from datacube import Cube, Product, Window
from datacube.product import Block
from datacube.store.layout import BLOCK_PX
from server.jobs.area import Area, count_blocks
from server.jobs.records import IMAGE, BlockTask
from sr_engine.blocks import missing_blocks, product_path
from sr_engine.model import Model
from sr_engine.planes import SALIENCY

__all__ = ["Order", "Wish", "block_bbox", "count_blocks", "make_order"]


@dataclass(frozen=True)
class Wish:
    """What is to be had of one date of a cube by one model, and of which part of it.

    `variables` are planes to compute along; those that come with the image anyway do no harm.
    """

    cube: Cube
    model: Model
    slot: int
    area: Area
    variables: tuple[str, ...] = ()

    def parts(self) -> dict[str, tuple[str, ...]]:
        """What is computed by itself, and the variables that each part has to bring.

        The image brings its planes along; saliency costs several times as much.
        """
        along = tuple(name for name in self.variables if name != SALIENCY.name)
        extra = {SALIENCY.name: (SALIENCY.name,)} if SALIENCY.name in self.variables else {}
        return {IMAGE: ("reflectance", *along), **extra}


@dataclass(frozen=True)
class Order:
    """A wish, held against what there is.

    `each` is how many blocks the area touches, `total` counts them once for each part. `blocks`
    is None where that is more than one job may ask for: they are counted, and not looked at one
    by one. `missing` are by part, from the middle of the area outwards.
    """

    wish: Wish
    each: int
    blocks: tuple[Block, ...] | None = None
    missing: Mapping[str, tuple[Block, ...]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Blocks of all parts."""
        return self.each * len(self.wish.parts())

    @property
    def cached(self) -> int:
        """How many of them need no computing."""
        if self.blocks is None:
            return 0
        return self.total - sum(len(blocks) for blocks in self.missing.values())

    def lacking(self, part: str) -> int:
        """How many blocks of a part are to compute; all, where they were not looked at."""
        return self.each if self.blocks is None else len(self.missing[part])

    def tasks(self, data: str, cube_id: str) -> tuple[BlockTask, ...]:
        """What has to be computed, for whoever opens the catalog at `data`; images first."""
        cube, card = self.wish.cube, self.wish.model.card
        path = product_path(cube, self.wish.model)
        return tuple(
            BlockTask(
                data=data,
                cube_id=cube_id,
                uid=cube.root.commit.uid,
                slot=self.wish.slot,
                model_id=card.id,
                model_key=card.key,
                path=path,
                block=block,
                bbox=block_bbox(cube, block),
                part=part,
            )
            for part in self.wish.parts()
            for block in self.missing.get(part, ())
        )


def make_order(wish: Wish, *, most: int) -> Order:
    """Which blocks an area has and lacks; nothing is computed or refused yet."""
    order = Order(wish, wish.area.count())
    if order.total > most:
        return order
    path, cube = product_path(wish.cube, wish.model), wish.cube
    product = Product.open(cube, path) if path in cube.root.commit.products else None
    blocks = wish.area.blocks()

    def missing(variables: Sequence[str]) -> tuple[Block, ...]:
        return missing_blocks(product, wish.slot, blocks, variables)

    found = {part: missing(variables) for part, variables in wish.parts().items()}
    return Order(wish, len(blocks), blocks, found)


def block_bbox(cube: Cube, block: Block) -> tuple[float, float, float, float]:
    """West, south, east, north of a block in degrees, to a hundredth of a metre."""
    row, col = block
    window = Window(row * BLOCK_PX, col * BLOCK_PX, BLOCK_PX, BLOCK_PX).within(cube.grid.shape)
    west, south, east, north = cube.grid.cropped(window).lonlat_bounds()
    return round(west, 7), round(south, 7), round(east, 7), round(north, 7)
