// "Use cases": places of the demo where super-resolution helps, does nothing, or misleads. A use
// case is shown by its link, as if somebody had sent it.
import {FIRST} from "./compare.js";
import {element, fill} from "./dom.js";
import {writeLink} from "./link.js";

const LOOK = {layer: "lr", model: "", date: "", bands: "", index: "", colormap: "", rescale: ""};

export function storiesTool(explorer) {
  const tool = new StoriesTool(explorer);
  return {id: "stories", icon: "★", title: explorer.strings.stories_title, body: tool.body,
          onOpen: () => tool.ask(), onView: () => tool.viewed()};
}

// Those of the server's use cases that there are words for.
export function knownStories(stories, strings) {
  return stories.filter(({id}) => strings[`stories_${id}_title`]);
}

// The fragment of the address that shows a use case; what is laid over the map stays.
export function storyLink(explorer, story, collection) {
  const [left, right] = [story.left, story.right].map((side) => ({...LOOK, ...side}));
  const lock = [left.date === right.date ? "date" : "", "look"].filter(Boolean);
  const shown = {collection, left, right, lock, smooth: false};
  return writeLink({shown, compare: {...FIRST, mode: story.mode}, place: story.place,
                    overlays: explorer.overlays.state});
}

class StoriesTool {
  constructor(explorer) {
    Object.assign(this, {explorer, strings: explorer.strings, asked: null, shown: null, turn: 0});
    this.body = element("div", {className: "stories"});
  }

  // What is known is of another collection than the one that is shown now.
  viewed() {
    if (this.explorer.dock.open === "stories" && this.asked !== this.explorer.collection?.id) this.ask();
  }

  async ask() {
    const {api, collection, busy} = this.explorer;
    if (!collection || this.asked === collection.id) return;
    const turn = ++this.turn;
    this.asked = collection.id;
    busy.set("stories", true);
    try {
      const {stories} = await api.json(["collections", collection.id, "stories"]);
      if (turn === this.turn) this.list(stories, collection.id);
    } catch (error) {
      if (turn !== this.turn) return;
      this.asked = null; // to be asked for again
      this.body.replaceChildren(element("p", {className: "refused", role: "alert"}, error.message));
    } finally {
      if (turn === this.turn) busy.set("stories", false);
    }
  }

  list(stories, collection) {
    const {strings} = this;
    const known = knownStories(stories, strings);
    if (!known.length) {
      this.body.replaceChildren(element("p", {}, strings.stories_none));
      return;
    }
    this.body.replaceChildren(element("p", {className: "small"}, strings.stories_what),
                              ...known.map((story) => this.card(story, collection)));
  }

  card(story, collection) {
    const {strings} = this;
    const title = strings[`stories_${story.id}_title`];
    const box = element("article", {"aria-label": title});
    const show = element("button", {type: "button", className: "action main",
                                    "aria-label": fill(strings.stories_show_of, {title})}, strings.stories_show);
    show.addEventListener("click", () => this.show(story, collection, box));
    const figures = element("a", {href: story.figures, target: "_blank", rel: "noopener",
                                  "aria-label": fill(strings.stories_figures_of, {title})},
                            strings.stories_figures);
    const row = element("p", {className: "row"});
    row.append(show, figures);
    box.append(element("h3", {}, title), element("p", {}, strings[`stories_${story.id}_text`]), row);
    return box;
  }

  show(story, collection, box) {
    const {explorer} = this;
    explorer.address.visit(storyLink(explorer, story, collection));
    this.shown?.removeAttribute("aria-current");
    this.shown = box;
    box.setAttribute("aria-current", "true");
    explorer.followSoon(); // what is not computed yet is, as on arrival
  }
}
