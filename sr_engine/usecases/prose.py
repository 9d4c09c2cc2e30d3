"""What the page of the use cases says around its tables; written from the figures beside it."""

TITLE = "Use cases: what super-resolution does to a task"

OPENING = """Made by `srcube experiment usecases`; the notebooks beside this page tell each story
with pictures. **Everything here is simulated**: windows of the demo's landscape (seed 7, drawn at
1.25 m), seen with Sentinel-2's blur, noise and dates. No model was trained, calibrated or tested
with it, but the trained ones learnt from ground that the same program drew: on real ground
expect less of them. A finer grid is not a finer resolution.

Rows are ways of enlarging one date (`nearest` is the measurement itself), fusion of eight dates,
and the truth at 5 and 2.5 m, which shows what the method can do at best. One simple method
serves all of them, at 2.5 m. `area error` is area drawn over area there minus one; `invented`
the share of what was drawn more than 20 m from any object; what is wrongly drawn nearer counts
against the nearest object. Warnings: the calibrated 90 % interval (of fusion a Gaussian
posterior, not calibrated), attribution (the influence of neighbours in linear models, the
input gradient of trained ones), and two controls that cost nothing, the detail added to bicubic
and the steepness of bicubic.

**In short.** Super-resolution pays where objects are one to four measured pixels large and
stand out: roofs, the river, small gaps in a wood, the course of a shore. Bicubic is as good for
lakes, large gaps, the area of fields and the growth within them. What half a pixel is wide and
hidden (the brook) nothing brings back. The calibrated interval warned of wrong water, and was
blunt elsewhere; attribution of the trained model foretold nothing; the flag
`interval_wider_than_gain` is set nearly everywhere and warns of nothing."""

_FIELDS = """## Fields

Boundaries by Canny's edges of NDVI (Gaussian of 5 m, Otsu's threshold), areas by a watershed of
the steepness of all bands, variability as NDVI less each field's mean, 15 m off its boundary.

- **Helps**: recall of boundaries 0.65 instead of 0.59, nearly the 0.66 of the truth's own pixels.
- **Bicubic is as good** for areas: more pixels show more that is not a boundary, and the truth at
  2.5 m does no better than the measurement.
- **Misleads**: nine tenths of the true spread within fields instead of eight, at the same
  correlation (0.86) and error: contrast, not knowledge.
- **Warned**: the interval (0.87 to 0.89) as well as the free controls."""

_SHORELINE = """## Shoreline and water

NDWI over Otsu's threshold; sizes are local widths: a brook of 4 m, a river of 30 m, a lake.

- **Helps**: of the river's area bicubic loses 43 %, the default model 16 %, the truth itself 7 %;
  half of the shore within 2.5 m instead of 5.6 m.
- **Bicubic is as good** for the lake: 3 % of its area missing instead of 1 %.
- **Nobody** sees the brook: at least 98 % of it is missing in all images but the truth.
- **Warned**: the interval leaves 3 to 5 % of the pixels open, with 84 to 91 % of all errors among
  them. That of fusion, not calibrated, holds 35 to 47 % of them."""

_SETTLEMENTS = """## Settlements

Roofs of bright material: red over Otsu's threshold within the settlement, by area. Roads: NDVI
under Otsu's threshold within 20 m of their mapped course in open country, by width.

- **Helps most**: bicubic finds a tenth of the roofs, x4 models of one date more than half (0.54
  and 0.56; the truth 0.62 by this method), fusion 0.45. Tracks under 5 m: F1 0.44 with the
  default model, 0.25 with bicubic.
- **As good**: roads of 10 m and more, 0.89 to 0.94 in every image.
- **Misleads**: halls over 400 m² come out 60 to 80 % too large in every image, bicubic's
  included; in all the models draw 6 to 27 % too much roof where bicubic draws 30 % too little,
  both wrong. The default model draws tracks 40 % too large.
- **Warned, bluntly**: the interval leaves 37 to 44 % of the settlement open; errors are four to
  five times as frequent there. As a ranking of pixels nothing warns (0.42 to 0.52): the errors
  are of the method, roof against yard, and no model knows of that."""

_CHANGE = """## Change after a storm

The storm of the demo's season fells patches of wood between 16 July and 30 August: the fall of
NDVI over Otsu's threshold, in woods known before. Fusion of the image after uses eight dates, most
of them from before.

- **Helps** below 400 m²: bicubic finds 14 % of the patches, the linear filter 33 %, fusion 34 %,
  the default model 44 %; the truth 95 %.
- **Bicubic is as good** above: all 45 patches are found in every image, and the area of those
  over 1600 m² is within 1 % with bicubic, 2 to 3 % too small with the default model.
- Fusion across the event does no harm here: dates of other ground get little weight.
- **Warned, too much**: the interval of a difference of two dates leaves a quarter to half of the
  wood open; at least 99 % of the errors are there, and 95 to 98 % of what it doubts is right. The
  steepness of bicubic ranks errors better (0.82) than the interval (0.57)."""

PROSE = {
    "fields": _FIELDS,
    "shoreline": _SHORELINE,
    "settlements": _SETTLEMENTS,
    "change": _CHANGE,
}

CLOSING = """## What this does not show

One landscape, one season, one way to do each task, all simulated, with a blur that the models
assume; the brackets of the first table repeat it with another (measured optics instead of a
Gaussian) and change little. Spreads over landscapes were not taken: a difference of 0.01 or 0.02
means nothing. Real ground has atmosphere, slopes, and things that nobody drew."""
