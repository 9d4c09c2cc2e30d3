// What is seen, for other programs: addresses of files and tiles, and a few lines of Python.
import {DIFFERENCE, operandQuery} from "./difference.js";

const TRUTH_PARTS = 4; // pixels of 2.5 m along an edge of a measured one

// How many pixels of a side stand along an edge of a measured one.
export function partsOf({operands}, models) {
  return Math.max(...operands.map(({layer, model}) => {
    if (layer.kind === "truth") return TRUTH_PARTS;
    if (!layer.models.length) return 1;
    return models.find(({id}) => id === model)?.factor ?? 1;
  }));
}

// The query of a side's GeoTIFF; the same `grid` for both sides makes them overlay.
export function fileQuery(view, side, models) {
  const {layer, model, operands, datetime, bands, index} = view[side];
  const parts = ["left", "right"].map((each) => partsOf(view[each], models));
  const made = layer.kind === DIFFERENCE
    ? {...operandQuery(operands), ...(index ? {index} : {bands})}
    : {model: layer.models.length ? model : undefined};
  return {bbox: view.bbox.join(","), datetime, ...made, grid: Math.max(...parts)};
}

export function filePath(view, side) {
  return ["collections", view.collection.id, "layers", view[side].layer.id, "export.tif"];
}

// Templates for QGIS: PNG, because not every build of it reads WebP.
export function xyzOf({template}) {
  return `${template}&format=png`;
}

export function wmtsOf(api, view) {
  return api.url(["collections", view.collection.id, "WMTSCapabilities.xml"]);
}

// Both sides as xarray, on one grid. Needs httpx, rioxarray.
export function pythonOf(api, view, models) {
  const base = api.url(["collections", view.collection.id, "layers"]);
  const sides = ["left", "right"].map((side) => {
    const query = fileQuery(view, side, models);
    const pairs = Object.entries(query).filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${literal(name)}: ${literal(value)}`);
    return `    ${literal(side)}: (${literal(view[side].layer.id)}, {${pairs.join(", ")}}),`;
  });
  return [
    "import io", "", "import httpx", "import rioxarray", "",
    `LAYERS = ${literal(base)}`, "SIDES = {", ...sides, "}", "", "",
    "def read(layer, query):",
    '    """One side as xarray (band, y, x), reflectance; NaN where there is none."""',
    '    answer = httpx.get(f"{LAYERS}/{layer}/export.tif", params=query, timeout=60)',
    "    answer.raise_for_status()",
    "    with rioxarray.open_rasterio(io.BytesIO(answer.content), mask_and_scale=True) as found:",
    "        return found.load()", "", "",
    "left, right = (read(*SIDES[name]) for name in SIDES)",
    'print(left.attrs["TIFFTAG_IMAGEDESCRIPTION"])',
    'print(right.attrs["TIFFTAG_IMAGEDESCRIPTION"])',
    "print(left.shape, right.shape)", "",
  ].join("\n");
}

// JSON's texts and numbers are Python's, too.
function literal(value) {
  return JSON.stringify(value);
}
