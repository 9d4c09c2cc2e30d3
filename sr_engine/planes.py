"""What models tell beside the reflectance: one value per fine pixel, kept in the cube with it."""

from datacube.store.layout import PlaneSpec

INFLUENCE = PlaneSpec("influence", "change of reflectance caused by neighbouring pixels", "1", 1e-5)
REACH = PlaneSpec("reach", "mean distance of the neighbours that caused it", "m", 0.01)
SIGMA = PlaneSpec(
    "sigma", "posterior standard deviation of reflectance, mean over bands", "1", 1e-5
)
PLANES = {plane.name: plane for plane in (INFLUENCE, REACH, SIGMA)}
