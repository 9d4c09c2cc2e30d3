// Where the explorer begins: its style sheets, its tools, and the element that Panel gives it.
import {analyseTool} from "./analyse.js";
import {element} from "./dom.js";
import {Explorer} from "./explorer.js";
import {exportTool} from "./export.js";
import {helpTool} from "./help.js";
import {ingestTool} from "./ingest.js";
import {measureTool} from "./measure.js";
import {overlaysTool} from "./overlays.js";
import {searchTool} from "./search.js";
import {storiesTool} from "./stories.js";
import {trustTool} from "./trust.js";

// Each makes one tool of the dock, given the explorer; in the order of their buttons.
const TOOLS = [
  helpTool,
  searchTool,
  storiesTool,
  analyseTool,
  measureTool,
  trustTool,
  exportTool,
  overlaysTool,
  ingestTool,
];
const SHEETS = [
  "leaflet/leaflet.css",
  "explorer.css",
  "compare.css",
  "help.css",
  "search.css",
  "stories.css",
  "analyse.css",
  "trust.css",
  "export.css",
  "overlays.css",
  "ingest.css",
];

export async function mount({model, el, assets, idle}) {
  document.documentElement.lang = model.strings.language;
  document.title = model.strings.title;
  const root = element("div", {className: "srcube"});
  const frame = element("div", {className: "map"});
  el.style.cssText = "width: 100%; height: 100%;";
  await styles(el, assets);
  root.append(frame);
  el.append(root);
  const explorer = new Explorer(model, {root, frame, tools: TOOLS});
  model.on("remove", () => explorer.close());
  await explorer.open(idle);
}

// The map lives in a shadow root, which a style sheet of the document does not reach.
function styles(el, assets) {
  const sheets = SHEETS.map((name) =>
    element("link", {rel: "stylesheet", href: new URL(name, assets).href}));
  const loaded = sheets.map((link) => new Promise((resolve) => {
    link.onload = link.onerror = resolve;
  }));
  el.append(...sheets);
  return Promise.all(loaded);
}
