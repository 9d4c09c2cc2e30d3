// A field with a list of what it finds: the pattern "editable combobox with list autocomplete" of
// the ARIA authoring practices. The focus stays in the field; arrows move through the list, Enter
// takes what is marked, or asks for what is typed, Escape empties the field.
import {element} from "./dom.js";

export class SearchBox {
  // hooks: onText(text) while it is typed, onAsk(text) when it is complete, onChoose(item) of the
  // items shown: {title, kind, ...}
  constructor(strings, hooks) {
    Object.assign(this, {strings, ...hooks, items: [], active: -1});
    this.list = element("ul", {id: "search-list", role: "listbox", "aria-label": strings.search_results});
    this.input = element("input", {
      type: "text", role: "combobox", id: "search-text", "aria-autocomplete": "list", "aria-expanded": "false",
      "aria-controls": "search-list", "aria-label": strings.search_label, placeholder: strings.search_placeholder,
      autocomplete: "off", spellcheck: "false", maxlength: "100", enterkeyhint: "search"});
    this.form = element("form", {className: "search-form", role: "search"});
    this.form.append(this.input, element("button", {type: "submit", className: "action main"}, strings.search_go));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.active >= 0) this.onChoose(this.items[this.active]);
      else this.onAsk(this.input.value);
    });
    this.input.addEventListener("input", () => this.onText(this.input.value));
    this.input.addEventListener("keydown", (event) => this.press(event));
    this.show([]);
  }

  show(items) {
    this.items = items;
    this.list.replaceChildren(...items.map((item, index) => this.option(item, index)));
    this.list.hidden = !items.length;
    this.input.setAttribute("aria-expanded", String(items.length > 0));
    this.mark(-1);
  }

  close() {
    this.show([]);
  }

  option(item, index) {
    const option = element("li", {id: `search-${index}`, role: "option", "aria-selected": "false"});
    option.append(element("span", {className: "found"}, item.title), element("span", {className: "small"}, item.kind));
    option.addEventListener("pointerdown", (event) => event.preventDefault()); // the field keeps the focus
    option.addEventListener("click", () => this.onChoose(item));
    return option;
  }

  mark(active) {
    this.active = active;
    [...this.list.children].forEach((option, index) =>
      option.setAttribute("aria-selected", String(index === active)));
    if (active < 0) return this.input.removeAttribute("aria-activedescendant");
    this.input.setAttribute("aria-activedescendant", `search-${active}`);
    return this.list.children[active].scrollIntoView({block: "nearest"});
  }

  press(event) {
    const {items: {length}, active} = this;
    const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (step && length) {
      // From the field onto the list and, over its end, back into the field.
      this.mark(((active + 1 + step + length + 1) % (length + 1)) - 1);
      event.preventDefault();
    } else if (event.key === "Escape" && this.input.value) {
      this.input.value = "";
      this.onText("");
      event.stopPropagation(); // and only then closes what it stands in
    }
  }
}
