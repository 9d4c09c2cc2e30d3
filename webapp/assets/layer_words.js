// The layers of a collection in the language of the page: the server says them in English only.

export function inOwnWords({layers}, strings) {
  for (const layer of layers) {
    layer.title = strings[`layer_${layer.id}`] ?? layer.title;
    const {legend} = layer;
    if (legend?.units) legend.units = strings[`units_${layer.id}`] ?? legend.units;
    for (const one of legend?.classes ?? []) one.title = strings[`trust_flag_${one.name}`] ?? one.title;
  }
}
