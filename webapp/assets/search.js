// "Search": coordinates in any notation, collections and use cases of the catalog, and places by
// name, where the operator has registered a gazetteer. It is asked by this server, when the question
// is complete: the public ones want no answers while a name is typed.
import * as L from "./leaflet/leaflet.js";
import {boundsOf} from "./box.js";
import {readCoordinates} from "./coordinates.js";
import {element, fill} from "./dom.js";
import {lengthText, pathLength} from "./geodesy.js";
import {writeLink} from "./link.js";
import {SearchBox} from "./search_box.js";
import {knownStories, storyLink} from "./stories.js";

const NEAR_ZOOM = 16, CLOSEST_OF_PLACES = 17;
const MOST_COLLECTIONS = 12; // whose use cases are asked for

export function searchTool(explorer) {
  const tool = new SearchTool(explorer);
  return {id: "search", icon: "⌕", title: explorer.strings.search_title, body: tool.body,
          focus: () => tool.box.input, onOpen: () => tool.open(), onView: (view) => tool.viewed(view)};
}

class SearchTool {
  constructor(explorer) {
    Object.assign(this, {explorer, strings: explorer.strings, stories: [], gazetteer: null, turn: 0});
    this.body = element("div", {className: "search"});
    this.box = new SearchBox(this.strings, {
      onText: (text) => this.local(text), onAsk: (text) => this.ask(text), onChoose: (item) => this.choose(item)});
    this.status = element("p", {className: "small", role: "status"});
    this.credit = element("p", {className: "small"});
    this.body.append(this.box.form, this.status, this.box.list, this.credit);
  }

  // Learn once what there is to find beside the collections.
  async open() {
    if (this.gazetteer) return;
    const {api, busy, collections} = this.explorer;
    busy.set("search", true);
    try {
      this.gazetteer = await api.json(["gazetteer"]);
      this.say(this.gazetteer.registered ? "search_hint" : "search_no_gazetteer");
      const asked = [...collections.values()].filter(isShowable).slice(0, MOST_COLLECTIONS);
      const told = await Promise.all(asked.map(({id}) => api.json(["collections", id, "stories"])));
      this.stories = told.flatMap(({stories}, index) =>
        knownStories(stories, this.strings).map((story) => ({story, collection: asked[index]})));
    } catch (error) {
      this.explorer.complain(error);
    } finally {
      busy.set("search", false);
    }
  }

  // A mark belongs to the collection over which it was set, which may only be on its way.
  viewed(view) {
    if (view?.collection.id === this.markedIn) this.arrived = true;
    else if (this.arrived) this.unmark();
  }

  say(key, values = {}) {
    this.status.textContent = fill(this.strings[key], values);
  }

  // What is found without asking anybody, while a text is typed.
  local(text) {
    this.turn += 1;
    this.credit.textContent = "";
    const found = this.found(text);
    this.box.show(found);
    if (!text.trim()) {
      this.unmark();
      this.say(this.gazetteer?.registered ? "search_hint" : "search_no_gazetteer");
    } else if (found.length) this.say("search_count", {count: found.length});
    else this.say(this.gazetteer?.registered ? "search_enter" : "search_nothing", {name: text.trim()});
  }

  found(text) {
    const {strings, explorer} = this;
    const place = readCoordinates(text, strings.search_east);
    if (place) return [{...place, title: degreesText(place), kind: strings.search_coordinates}];
    const wanted = plain(text);
    if (!wanted) return [];
    const matching = [...explorer.collections.values()].filter((one) =>
      isShowable(one) && (plain(one.title).includes(wanted) || plain(one.id).includes(wanted)));
    const collections = matching.map((collection) =>
      ({collection, title: collection.title, kind: strings.search_collection}));
    const stories = this.stories.map(({story, collection}) => ({
      story, collection, title: strings[`stories_${story.id}_title`],
      kind: fill(strings.search_story, {collection: collection.title})}));
    return [...collections, ...stories.filter(({title}) => plain(title).includes(wanted))];
  }

  // The text is complete: take what it says by itself, or ask the gazetteer.
  async ask(text) {
    const found = this.found(text);
    if (found.length && (found[0].lat !== undefined || !this.gazetteer?.registered)) return this.choose(found[0]);
    if (!this.gazetteer?.registered || text.trim().length < 2) return this.local(text);
    const turn = ++this.turn;
    const {api, busy} = this.explorer;
    busy.set("search-places", true);
    this.say("search_asking");
    try {
      const {features, attribution} = await api.json(["places"], {query: {q: text.trim(), lang: this.strings.language}});
      if (turn !== this.turn) return;
      const places = features.map((feature) => itemOf(feature, this.strings));
      this.box.show([...found, ...places]);
      this.credit.textContent = attribution;
      if (places.length) this.say("search_count", {count: found.length + places.length});
      else this.say("search_nothing", {name: text.trim()});
    } catch (error) {
      if (turn !== this.turn) return;
      if (error.status === 503) this.say("search_silent");
      else this.status.textContent = error.message;
    } finally {
      busy.set("search-places", false);
    }
  }

  choose(item) {
    const {explorer} = this;
    this.box.close();
    if (item.story) this.openStory(item);
    else if (item.collection) this.openCollection(item.collection);
    else this.go(item);
    if (explorer.model.narrow && !this.far) explorer.dock.close(); // it lies over the map
  }

  openCollection(collection) {
    this.far = false;
    if (collection.id === this.explorer.collection?.id) this.explorer.home();
    else this.switchTo(collection, null);
    this.say("search_shown", {name: collection.title});
  }

  openStory({story, collection, title}) {
    const {explorer} = this;
    this.far = false;
    explorer.address.visit(storyLink(explorer, story, collection.id));
    explorer.followSoon(); // what is not computed yet is, as on arrival
    this.say("search_shown", {name: title});
  }

  // Go to a place: of this collection, else of another that has data there, else as far as the map
  // may be moved; what lies beyond is said.
  go(item) {
    const {explorer, explorer: {map, collection}} = this;
    const at = L.latLng(item.lat, item.lon);
    const others = [...explorer.collections.values()].filter(isShowable);
    const holder = [collection, ...others].find((one) => one && boundsOf(one.bbox).contains(at));
    this.far = !holder && !map.options.maxBounds?.contains(at);
    if (this.far) {
      const away = pathLength([map.getCenter(), at]);
      return this.say("search_far", {name: item.title, away: lengthText(away, this.strings.language)});
    }
    const zoom = this.zoomOf(item);
    if (holder && holder !== collection) {
      this.switchTo(holder, {lat: item.lat, lon: item.lon, zoom});
      this.say("search_switched", {name: item.title, collection: holder.title});
    } else {
      map.setView(at, zoom, {animate: false});
      this.say(holder ? "search_shown" : "search_outside", {name: item.title});
    }
    this.setMark(at, item.title, holder ?? collection);
    return undefined;
  }

  // As near as shows all of a place, or its pixels.
  zoomOf({bbox}) {
    const {map} = this.explorer;
    const most = Math.min(CLOSEST_OF_PLACES, map.getMaxZoom());
    if (!bbox) return Math.max(map.getZoom(), NEAR_ZOOM);
    const [west, south, east, north] = bbox;
    return Math.max(map.getMinZoom(), Math.min(most, map.getBoundsZoom([[south, west], [north, east]])));
  }

  // Show another collection as it is usually opened, by a link as if somebody had sent it.
  switchTo({id}, place) {
    const {explorer, explorer: {model: {shown}}} = this;
    const opened = {collection: id, left: {}, right: {}, lock: ["date", "look"], smooth: shown.smooth};
    const {compare: {state: compare}, overlays: {state: overlays}} = explorer;
    explorer.address.visit(writeLink({shown: opened, compare, place, overlays}));
  }

  setMark(at, title, {id}) {
    this.unmark();
    const label = element("span", {className: "place-name"}, title);
    const icon = element("div");
    icon.append(element("span", {className: "place-dot"}), label);
    this.mark = L.marker(at, {interactive: false, keyboard: false, alt: "",
                              icon: L.divIcon({className: "place-mark", html: icon, iconSize: [0, 0]})});
    this.mark.addTo(this.explorer.map);
    Object.assign(this, {markedIn: id, arrived: id === this.explorer.collection.id});
  }

  unmark() {
    this.mark?.remove();
    Object.assign(this, {mark: null, markedIn: null, arrived: false});
  }
}

function itemOf({geometry: {coordinates: [lon, lat]}, bbox, properties: {name, kind}}, strings) {
  return {lat, lon, bbox, title: name, kind: [strings.search_place, kind].filter(Boolean).join(" · ")};
}

function isShowable({scenes, layers}) {
  return scenes.length > 0 && layers.length > 0;
}

function degreesText({lat, lon}) {
  return `${Math.abs(lat).toFixed(5)}° ${lat < 0 ? "S" : "N"}, ${Math.abs(lon).toFixed(5)}° ${lon < 0 ? "W" : "E"}`;
}

// Lower case, without accents: "bozen" finds "Bözen".
function plain(text) {
  return text.trim().toLowerCase().normalize("NFD").replace(/\p{M}/gu, "");
}
