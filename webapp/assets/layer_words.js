// The layers of a collection in the language of the page, and what the demo says of itself: the
// server says them in English only.

const OF_THE_DEMO = ["title", "notice", "attribution"];

// demo: English => the language of the page
export function inOwnWords(collection, strings, demo) {
  for (const key of OF_THE_DEMO) {
    if (Object.hasOwn(demo, collection[key])) collection[key] = demo[collection[key]];
  }
  for (const layer of collection.layers) {
    layer.title = strings[`layer_${layer.id}`] ?? layer.title;
    const {legend} = layer;
    if (legend?.units) legend.units = strings[`units_${layer.id}`] ?? legend.units;
    for (const one of legend?.classes ?? []) one.title = strings[`trust_flag_${one.name}`] ?? one.title;
  }
}
