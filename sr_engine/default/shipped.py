"""The default models that come with srcube, from their files of weights."""

from pathlib import Path

from sr_engine.card import ModelCard
from sr_engine.default.model import DefaultModel
from sr_engine.default.network import NetworkSettings
from sr_engine.default.places import PLACES
from sr_engine.default.record import RECORD_SUFFIX, WeightsRecord, read_record
from sr_engine.training.config import build

WEIGHTS = Path(__file__).parent / "weights"


def default_model(factor: int, folder: Path = WEIGHTS) -> DefaultModel:
    """The default model at a magnification of 2 or 4, from the files in `folder`.

    Raises Damaged for a record that cannot be read; weights are read when they are first needed.
    """
    stem = folder / f"default-x{factor}"
    record = read_record(stem.with_suffix(RECORD_SUFFIX))
    settings = build(NetworkSettings, record.config["network"])
    return DefaultModel(_card(record, settings), record, settings, stem)


def _card(record: WeightsRecord, settings: NetworkSettings) -> ModelCard:
    factor = settings.factor
    trained_on = sorted({place.id for place in PLACES if place.role == "train"})
    return ModelCard(
        id=record.id,
        title=f"Default x{factor}",
        description="Deconvolution of the band's optics and a small residual network, the same for "
        "every band, projected so that the result, blurred and sampled again, gives the "
        "measurement back within its noise.",
        factor=factor,
        halo_px=settings.halo_px,
        psf="Gaussian of the band's MTF at Nyquist, then the 10 m pixel",
        training_data=", ".join(trained_on),
        limits=f"{10 / factor:g} m is the spacing of its grid, not its resolution: things smaller "
        "than about 8 m are guessed from what such things look like elsewhere. Made for clear "
        "land at level 2A; learnt from few places.",
        weights_sha256=record.weights_sha256,
        settings=dict(record.config),
        metrics=record.scores,
    )
