// The tour: three steps that point at what matters, on the first visit and whenever "?" is asked.
import {element, fill} from "./dom.js";
import {embedded} from "./link.js";

const SEEN = "srcube-tour-seen"; // in the browser's own storage, so that the tour comes only once
const STEPS = [
  {key: "compare", target: ".swipe .grip"},
  {key: "why", target: ".why-button"},
  {key: "tools", target: ".tools"},
];

export function helpTool(explorer) {
  const {strings, root} = explorer;
  const body = element("div");
  const tour = new Tour(root, strings);
  const again = element("button", {type: "button", className: "action main"}, strings.help_tour);
  again.addEventListener("click", () => {
    explorer.dock.close();
    tour.start();
  });
  body.append(element("p", {}, strings.help_what), again, element("h3", {}, strings.help_keys),
              keys(strings), element("h3", {}, strings.help_language), languages(strings));
  if (firstVisit()) tour.start();
  return {id: "help", icon: "?", title: strings.help_title, body};
}

class Tour {
  constructor(root, strings) {
    Object.assign(this, {root, strings, step: 0});
    this.card = element("section", {className: "tour", "aria-label": strings.help_tour});
    this.card.hidden = true;
    this.card.addEventListener("keydown", (event) => { if (event.key === "Escape") this.end(); });
    root.append(this.card);
  }

  start() {
    this.show(0);
    this.card.querySelector(".action.main").focus({preventScroll: true});
  }

  show(step) {
    const {strings} = this;
    this.step = step;
    const last = step === STEPS.length - 1;
    const {key, target} = STEPS[step];
    const next = element("button", {type: "button", className: "action main"},
                         last ? strings.help_done : strings.help_next);
    next.addEventListener("click", () => {
      if (last) return this.end();
      this.show(step + 1);
      this.card.querySelector(".action.main").focus({preventScroll: true});
    });
    const buttons = element("div", {className: "buttons"});
    if (!last) {
      const skip = element("button", {type: "button", className: "action"}, strings.help_skip);
      skip.addEventListener("click", () => this.end());
      buttons.append(skip);
    }
    buttons.append(next);
    const count = fill(strings.help_step, {step: step + 1, steps: STEPS.length});
    const text = element("div", {role: "status"});
    text.append(element("p", {className: "small"}, count), element("h2", {}, strings[`help_${key}`]),
                element("p", {}, strings[`help_${key}_text`]));
    this.card.replaceChildren(text, buttons);
    this.card.hidden = false;
    this.point(target);
  }

  point(selector) {
    this.unpoint();
    this.pointed = this.root.querySelector(selector);
    this.pointed?.classList.add("pointed");
  }

  unpoint() {
    this.pointed?.classList.remove("pointed");
    this.pointed = null;
  }

  end() {
    this.unpoint();
    this.card.hidden = true;
    remember();
  }
}

// What the keys do: pairs of the key and a word on it.
function keys(strings) {
  const list = element("dl", {className: "keys"});
  for (const name of ["tab", "arrows", "zoom", "enter", "escape"]) {
    list.append(element("dt", {}, strings[`help_key_${name}`]),
                element("dd", {}, strings[`help_key_${name}_text`]));
  }
  return list;
}

function languages(strings) {
  const row = element("p");
  for (const [code, name] of [["en", "English"], ["de", "Deutsch"]]) {
    const link = element("a", {href: "#", lang: code, hreflang: code, className: "action"}, name);
    if (code === strings.language) link.setAttribute("aria-current", "true");
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const address = new URL(location.href); // with its fragment, so that the view stays
      address.searchParams.set("lang", code);
      location.assign(address);
      if (address.href === location.href) location.reload();
    });
    row.append(link);
  }
  return row;
}

// A browser that keeps nothing (private mode) sees the tour each time, which is no harm.
export function firstVisit() {
  if (embedded()) return false;
  try {
    return localStorage.getItem(SEEN) === null;
  } catch {
    return true;
  }
}

function remember() {
  try {
    localStorage.setItem(SEEN, "yes");
  } catch {
    return; // nothing can be kept here
  }
}
