// The page's address: what it asks for when the page is opened or the address is changed, and what
// is written into it whenever something else is seen. What its fragment means, link.js knows.
import {embedded, readLink, writeLink} from "./link.js";

export class Address {
  constructor(explorer) {
    Object.assign(this, {explorer, arrival: null});
    this.reread = () => this.restore();
    window.addEventListener("hashchange", this.reread); // a link pasted over this page's address
  }

  // What it asks for, or null; of overlays, which are no matter of a collection, their own list
  // says which are gone.
  async asked() {
    const link = readLink(location.hash);
    if (link) link.gone = await this.explorer.overlays.restore(link.overlays);
    return link;
  }

  // Take that over. What exists of the rest Python knows, which answers by `shown`.
  take(link) {
    if (!link) return;
    const {explorer} = this;
    this.arrival = link.place;
    if (explorer.collection?.id === link.wanted.collection) this.arrive();
    explorer.compare.set(link.compare);
    const unread = [...link.wanted.unread, ...link.gone.map((id) => id.slice(0, 40))];
    explorer.model.wanted = {...link.wanted, unread, at: Date.now()};
  }

  // Go to the place that a link asked for, if one is still to be gone to.
  arrive() {
    if (!this.arrival) return;
    const {lat, lon, zoom} = this.arrival;
    this.arrival = null;
    this.explorer.map.setView([lat, lon], zoom, {animate: false});
  }

  async restore() {
    const turn = this.restoring = Symbol("restoring");
    const link = await this.asked();
    if (turn === this.restoring) this.take(link); // no other one has come meanwhile
  }

  // Show what a fragment says, as if somebody had sent it; the address may lag behind the map.
  visit(hash) {
    if (location.hash.slice(1) === hash) this.restore();
    else location.hash = hash;
  }

  write() {
    if (this.explorer.collection) history.replaceState(history.state, "", this.link());
  }

  // The address of all that is seen, for others and for a reload; `embed`: of the map alone.
  link({embed = embedded()} = {}) {
    const {explorer, explorer: {model: {shown}}} = this;
    const address = new URL(location.href);
    if (embed) address.searchParams.set("embed", "1");
    else address.searchParams.delete("embed");
    address.hash = writeLink({shown, compare: explorer.compare.state, place: explorer.place(),
                              overlays: explorer.overlays.state});
    return address.href;
  }

  close() {
    window.removeEventListener("hashchange", this.reread);
  }
}
