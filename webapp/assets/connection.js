// Notices that the server cannot be reached, says so, asks until it can be again, and then has
// what was missed fetched. The page's own line to the server is watched beside its HTTP interface.
import {element} from "./dom.js";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 8000;
const CALM_MS = 20_000; // without a loss: the next one is asked about soon again

export class Connection {
  // hooks: onBack() when HTTP answers again; free() whether the page may be loaded anew at once
  constructor(api, root, strings, hooks) {
    Object.assign(this, {api, strings, ...hooks, lost: false, cut: false, waitMs: FIRST_WAIT_MS, since: 0});
    this.banner = element("div", {className: "banner", role: "alert"});
    this.banner.hidden = true;
    root.append(this.banner);
    api.onLost = () => this.lose();
    window.addEventListener("online", () => { if (this.lost) this.ask(); });
    for (const document of globalThis.Bokeh?.documents ?? []) {
      document.on_event("connection_lost", () => {
        this.cut = true;
        this.lose();
      });
    }
  }

  lose() {
    if (this.lost) return;
    this.lost = true;
    if (Date.now() - this.since > CALM_MS) this.waitMs = FIRST_WAIT_MS;
    this.tell(this.strings.connection_lost);
    this.later();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), this.waitMs);
    this.waitMs = Math.min(2 * this.waitMs, LONGEST_WAIT_MS);
  }

  async ask() {
    const answer = await fetch(this.api.url(["livez"]), {cache: "no-store"}).catch(() => null);
    if (!answer?.ok) return this.later();
    Object.assign(this, {lost: false, since: Date.now()});
    this.banner.hidden = true;
    if (this.cut) this.renew();
    else this.onBack();
  }

  // The page's session is gone with its line; the address holds all of its state.
  renew() {
    if (this.free()) return location.reload();
    const button = element("button", {type: "button"}, this.strings.connection_reload);
    button.addEventListener("click", () => location.reload());
    this.tell(this.strings.connection_back, button);
  }

  tell(...parts) {
    this.banner.replaceChildren(...parts);
    this.banner.hidden = false;
  }

  close() {
    clearTimeout(this.timer);
  }
}
