// The tools beside the map: a bar of buttons, and one dock that shows the tool which is open.
// On a wide screen the dock takes room from the map; on a phone it lies over its lower half.
import * as L from "./leaflet/leaflet.js";
import {element, fill} from "./dom.js";

// A tool: {id, icon, title, body, onOpen(), onClose(), onView(view), focus()}; all hooks may be
// missing. `icon` is one or two characters, `body` an element, `view` what Explorer.seen() tells;
// `focus` gives what takes the focus when the tool is opened, instead of the panel.
export class Dock {
  constructor(root, map, strings) {
    Object.assign(this, {map, strings, tools: new Map(), open: null});
    this.bar = element("div", {className: "tools", role: "toolbar", "aria-label": strings.tools,
                               "aria-orientation": "vertical"});
    this.panel = element("section", {className: "dock", tabindex: "-1"});
    this.panel.hidden = true;
    L.DomEvent.disableClickPropagation(this.bar);
    map.getContainer().append(this.bar);
    root.append(this.panel);
    this.panel.addEventListener("keydown", (event) => { if (event.key === "Escape") this.close(); });
  }

  add(tool) {
    const button = element("button", {type: "button", "data-tool": tool.id, title: tool.title, "aria-label": tool.title,
                                      "aria-pressed": "false"}, tool.icon);
    button.addEventListener("click", () => this.toggle(tool.id));
    this.bar.append(button);
    this.tools.set(tool.id, {...tool, tool, button});
  }

  toggle(id) {
    if (this.open === id) this.close();
    else this.show(id);
  }

  show(id) {
    const known = this.tools.get(id);
    if (!known || this.open === id) return;
    this.leave();
    this.open = id;
    const {button, title, body} = known;
    button.setAttribute("aria-pressed", "true");
    const shut = element("button", {type: "button", className: "close",
                                    "aria-label": fill(this.strings.tool_close, {tool: title})}, "×");
    shut.addEventListener("click", () => this.close());
    const head = element("header");
    head.append(element("h2", {}, title), shut);
    this.panel.setAttribute("aria-label", title);
    this.panel.replaceChildren(head, body);
    this.panel.hidden = false;
    known.tool.onOpen?.();
    (known.tool.focus?.() ?? this.panel).focus({preventScroll: true});
  }

  // Close what is open, and give the focus back to its button.
  close() {
    const button = this.tools.get(this.open)?.button;
    this.leave();
    button?.focus();
  }

  leave() {
    const known = this.tools.get(this.open);
    this.open = null;
    this.panel.hidden = true;
    known?.button.setAttribute("aria-pressed", "false");
    known?.tool.onClose?.();
  }

  // Tell every tool what is seen now.
  tell(view) {
    for (const {tool} of this.tools.values()) tool.onView?.(view);
  }
}
