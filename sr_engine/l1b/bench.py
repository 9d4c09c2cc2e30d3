"""Figures of this package for `srcube bench sr`."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datacube.sources.raster import open_raster
from datacube.window import Window
from sr_engine.l1b.finish import TEST, rec_psnr_db, registration_rms_px
from sr_engine.l1b.flow_network import FlowNetwork
from sr_engine.l1b.measure import band_shifts
from sr_engine.l1b.rec_network import REFERENCE, operations_per_px
from sr_engine.l1b.register import aligned
from sr_engine.l1b.shipped import load_csr, load_joint
from sr_engine.l1b.views import BANDS, simulated

CROPS = "l1b/l1bsr_examples"


def l1b_figures(data: Path | None = None) -> dict[str, float]:
    """Error of registration, gain of REC over bicubic, and what is left on real crops.

    `data` is the folder of real data sets; what needs it is left out without it.
    """
    network = load_csr()
    pairs = list(simulated(TEST, truth=True))
    made, bicubic = rec_psnr_db(load_joint().rec, network, pairs)
    figures = {
        "csr_rms_px": registration_rms_px(network, pairs),
        "rec_self_supervised_gain_db": float((made - bicubic).mean()),
        "rec_gain_in_its_worst_band_db": float((made - bicubic).min()),
        "rec_reference_operations_per_px": operations_per_px(REFERENCE),
    }
    if data is not None and (data / CROPS).is_dir():
        before, translated, after = crop_residuals_px(network, data / CROPS)
        figures |= {
            "l1b_shift_reduction": before / after,
            "l1b_shift_before_px": before,
            "l1b_shift_translated_px": translated,
            "l1b_shift_after_px": after,
        }
    return figures


def reference_operations_per_px() -> float:
    """Operations of the reference REC per input pixel, for `rec_operations_ratio`."""
    return operations_per_px(REFERENCE)


def crop_residuals_px(network: FlowNetwork, folder: Path) -> tuple[float, float, float]:
    """Shift between bands of real crops, px rms over crops, bands and windows.

    As recorded, with the best single translation of each band taken out, and aligned by us;
    all measured by phase correlation.
    """
    rows = []
    for path in sorted(folder.glob("*.tif")):
        recorded = _crop(path)
        moved, _ = aligned(network, recorded, BANDS, "B03")
        own = recorded[BANDS.index("B03")]
        for index, name in enumerate(BANDS):
            if name == "B03":
                continue
            before, after = band_shifts(own, recorded[index]), band_shifts(own, moved[index])
            rows.append((before.rms_px, before.untranslated_rms_px, after.rms_px))
    before_px, translated_px, after_px = np.sqrt(np.mean(np.square(rows), axis=0))
    return float(before_px), float(translated_px), float(after_px)


def _crop(path: Path) -> NDArray[np.float32]:
    with open_raster(str(path)) as file:
        whole = Window(0, 0, *file.header.shape)
        planes = [file.read(whole, index=index + 1) for index in range(len(BANDS))]
    return np.stack(planes).astype(np.float32)
