"""Measure PSNR of the default models at each test place: `python -m tests.tools.places DATA`.

DATA is the folder of real images (`srcube bench sr --data`). Writes
`notebooks/benchmarks/places.json`, from which the README's table is made; some minutes of one core.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from sr_engine.default.evaluation import judge, read_samples
from sr_engine.default.shipped import default_model
from sr_engine.registry import find_patch_model

TARGET = Path(__file__).resolve().parents[2] / "notebooks/benchmarks/places.json"
COMPARED = ("bicubic", "wiener", "default")


def measured(factor: int, data: Path) -> dict[str, Any]:
    """PSNR in dB of what is compared, by place, and which weights it is of."""
    samples = read_samples("test", factor, data)
    places: dict[str, dict[str, Any]] = {}
    for name in COMPARED:
        for verdict in judge(find_patch_model(f"{name}-x{factor}"), samples):
            row = places.setdefault(verdict.place, {"kind": verdict.kind})
            row[name] = round(verdict.psnr_db, 3)
    return {"weights_sha256": default_model(factor).card.weights_sha256, "psnr_db": places}


def main() -> None:
    """Measure at both factors and write the record."""
    if len(sys.argv) != 2:
        sys.exit("places: need the folder of real images: python -m tests.tools.places DATA")
    torch.set_num_threads(1)
    found = {f"x{factor}": measured(factor, Path(sys.argv[1])) for factor in (2, 4)}
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(f"places: {TARGET.name}")


if __name__ == "__main__":
    main()
