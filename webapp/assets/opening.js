// What the page opens on, from the catalog alone, by the rules of webapp/catalog.py. Python says it
// too, some hundred milliseconds later, when all controls have been drawn: tiles need not wait.

// collections: documents; preferred: id of the one to open on; looks: [{bands, rescale}], the first
// that a collection has the bands of is taken. The parameter `shown`, or null: nothing to show.
export function openingOf(collections, {preferred, newcomer, looks}) {
  const showable = collections.filter(({scenes, layers}) => scenes.length && layers.length);
  const collection = showable.find(({id}) => id === preferred) ?? showable[0];
  if (!collection) return null;
  const {scenes, layers} = collection;
  const scene = scenes.find(({datetime}) => datetime === collection.default_datetime) ?? scenes.at(-1);
  const names = new Set((collection.bands ?? []).map(({name}) => name));
  const look = looks.find(({bands}) => bands.split(",").every((name) => names.has(name)));
  const side = ({id, models = []}) => ({layer: id, model: models[0] ?? "", date: scene.datetime,
    bands: look?.bands ?? "", rescale: look?.rescale ?? "", index: "", colormap: ""});
  const [left, right] = openingLayers(layers, newcomer ? scene.layers : []).map(side);
  return {collection: collection.id, smooth: false, lock: ["date", "look"], left, right};
}

// The measurement beside super-resolved; where `there` names a truth, super-resolved beside that.
function openingLayers(layers, there) {
  const first = layers.find(({kind}) => kind === "measured") ?? layers[0];
  const second = layers.find(({kind}) => kind === "inferred") ?? first;
  const truth = layers.find(({kind}) => kind === "truth");
  return truth && there.includes(truth.id) ? [second, truth] : [first, second];
}
