// What a side is drawn from: one layer, or the two of a difference, and how that is asked for and
// called.
import {fill} from "./dom.js";

export const DIFFERENCE = "difference"; // the layer's kind, and its id

// The layers that a side is drawn from, the first the one that is subtracted from:
// [{layer: document, model, datetime}]. One side is {layer, model, date, minuend, subtrahend, ...}.
export function operandsOf(collection, side) {
  const {layer, model, date, minuend, subtrahend} = side;
  const parts = layer === DIFFERENCE
    ? [[minuend, model, date], [subtrahend, side.subtrahend_model, side.subtrahend_date || date]]
    : [[layer, model, date]];
  return parts.map(([id, made, datetime]) => ({
    layer: collection?.layers.find((each) => each.id === id), model: made, datetime,
  })).filter((operand) => operand.layer);
}

// Whether every operand is there on its date.
export function areThere(operands, {scenes}) {
  return operands.length > 0 && operands.every(({layer, datetime}) =>
    scenes.find((scene) => scene.datetime === datetime)?.layers.includes(layer.id));
}

// The bands, of those asked for, that a model does not make.
export function lackingBands(operands, asked) {
  return asked.filter((band) => band && operands.some(({layer, model}) =>
    layer.bands && !layer.bands[model]?.includes(band)));
}

// What to ask of the difference beside the date and the look, for its tiles, figures and files.
export function operandQuery([minuend, subtrahend]) {
  const modelOf = ({layer, model}) => (layer.models.length ? model : undefined);
  return {
    minuend: minuend.layer.id, model: modelOf(minuend),
    subtrahend: subtrahend.layer.id, subtrahend_model: modelOf(subtrahend),
    // With the same date nothing is said, so that a film through the dates moves both.
    subtrahend_datetime: subtrahend.datetime === minuend.datetime ? undefined : subtrahend.datetime,
  };
}

// "NDVI: Super-resolved · Wiener minus Sentinel-2 (2024-06-21)"
export function differenceTitle([minuend, subtrahend], what, strings) {
  const [first, second] = [minuend, subtrahend].map(({layer, title}) =>
    (layer.models.length ? `${layer.title} · ${title}` : layer.title));
  const other = subtrahend.datetime === minuend.datetime ? "" : ` (${subtrahend.datetime.slice(0, 10)})`;
  return fill(strings.difference_title, {what, first, second}) + other;
}

// The range that shows as much on either side of no difference: "-high,high", or "" for none.
export function evenRange(low, high) {
  const most = Math.max(Math.abs(low), Math.abs(high));
  return most > 0 ? `${-most},${most}` : "";
}
