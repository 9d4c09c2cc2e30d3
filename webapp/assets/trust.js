// "Trust": how far what is seen can be believed, in figures that were measured. Those of the view
// come from blocks that are computed; those of the model from places that it never learnt from.
import {element, fill} from "./dom.js";

const WAIT_MS = 350; // after the view has come to rest
const SIDES = ["right", "left"]; // of two models the right one is shown first
const KINDS = ["sharp", "simulated", "wald"]; // of truth that a calibration was judged against
const FLAGS = ["clean", "input_cloudy", "saturated", "no_data_near", "out_of_domain", "inconsistent",
               "interval_wider_than_gain"];
const MADE_FOR = "L2A";

export function trustTool(explorer) {
  const tool = new TrustTool(explorer);
  return {id: "trust", icon: "✓", title: explorer.strings.trust_title, body: tool.body,
          onOpen: () => tool.ask(), onView: () => tool.soon()};
}

class TrustTool {
  constructor(explorer) {
    Object.assign(this, {explorer, strings: explorer.strings, chosen: null, asked: 0, timer: 0});
    this.body = element("div", {className: "trust"});
    explorer.model.on("job", () => { if (explorer.model.job.status === "successful") this.soon(); });
  }

  get open() {
    return this.explorer.dock.open === "trust";
  }

  soon() {
    clearTimeout(this.timer);
    if (this.open) this.timer = setTimeout(() => this.ask(), WAIT_MS);
  }

  // The computed layers in view: one for each model and date, by what tells them apart.
  targets() {
    const view = this.explorer.seen();
    const found = new Map();
    for (const {layer, model, title, datetime} of SIDES.flatMap((side) => view?.[side].operands ?? [])) {
      if (layer.models.length) found.set(`${model} ${datetime}`, {model, datetime, title});
    }
    return {view, found};
  }

  async ask() {
    const {view, found} = this.targets();
    const turn = ++this.asked;
    if (!view?.bbox || !found.size) return this.tell(view?.bbox ? "trust_no_model" : "outside");
    if (!found.has(this.chosen)) [this.chosen] = found.keys();
    const {model, datetime} = found.get(this.chosen);
    const {api, busy, complain} = this.explorer;
    busy.set("trust", true);
    try {
      const query = {bbox: view.bbox.join(","), datetime, model};
      const path = ["collections", view.collection.id, "layers", "sr", "trust"];
      const told = await api.json(path, {query});
      if (turn === this.asked) this.show(told, found);
    } catch (error) {
      if (turn !== this.asked) return;
      this.body.replaceChildren(element("p", {className: "refused"}, error.message));
      if (error.code === "Network") complain.call(this.explorer, error);
    } finally {
      if (turn === this.asked) busy.set("trust", false);
    }
  }

  tell(key) {
    this.body.replaceChildren(element("p", {}, this.strings[key]), this.guidelines());
  }

  show(told, found) {
    const {strings} = this;
    this.body.replaceChildren(
      ...(found.size > 1 ? [this.choice(found)] : []),
      element("p", {className: "what"}, `${told.card.title}, ${told.datetime.slice(0, 10)}`),
      element("p", {className: "small computed", role: "status"}, computedText(told, strings)),
      ...consistency(told, strings), ...interval(told, strings), ...flags(told, strings),
      ...provenance(told, strings), ...card(told.card, strings), this.guidelines());
  }

  choice(found) {
    const box = element("label", {className: "choice"}, `${this.strings.trust_of} `);
    const select = element("select");
    for (const [key, {title, datetime}] of found) {
      const option = element("option", {value: key}, `${title}, ${datetime.slice(0, 10)}`);
      option.selected = key === this.chosen;
      select.append(option);
    }
    select.addEventListener("change", () => {
      this.chosen = select.value;
      this.ask();
    });
    box.append(select);
    return box;
  }

  guidelines() {
    const box = element("p", {className: "guidelines"});
    const link = element("a", {href: this.explorer.api.url(["guidelines"]), target: "_blank",
                               rel: "noopener"}, this.strings.trust_guidelines);
    box.append(link);
    return box;
  }
}

function computedText({blocks}, strings) {
  const key = blocks.computed === null ? "trust_too_many"
    : blocks.computed === 0 ? "trust_none" : "trust_computed";
  return fill(strings[key], blocks);
}

function consistency({consistency: found, blocks}, strings) {
  const head = element("h3", {}, strings.trust_consistency);
  if (!found) return blocks.computed ? [head, small(strings.trust_not_kept)] : [];
  return [head, bar(found.within_noise, "within"),
          element("p", {}, fill(strings.trust_within, {share: percent(found.within_noise),
            threshold: found.threshold, median: found.median.toFixed(2)})),
          small(strings.trust_consistency_limit)];
}

function interval({interval: found, calibration, posterior_sigma: sigma, provenance: made}, strings) {
  const parts = [element("h3", {}, strings.trust_interval)];
  if (found) {
    const widths = Object.entries(found.half_width).map(([band, half]) => [band, `± ${half.toFixed(4)}`]);
    parts.push(element("p", {}, strings.trust_half_width), table("widths", [], widths),
               small(fill(strings.trust_told, {share: percent(found.told)})));
  }
  if (!calibration) parts.push(element("p", {}, strings.trust_uncalibrated));
  if (sigma !== null && sigma !== undefined) {
    parts.push(small(fill(strings.trust_sigma, {sigma: sigma.toFixed(4)})));
  }
  if (calibration) parts.push(...coverage(calibration, strings));
  if (calibration && made && made.processing_level !== MADE_FOR) {
    parts.push(element("p", {className: "refused"},
      fill(strings.trust_other_level, {level: made.processing_level})));
  }
  return parts;
}

function coverage({figures, places, tested, pixels}, strings) {
  const rows = [[strings.trust_coverage_all, "coverage_90"],
                [strings.trust_coverage_in_domain, "coverage_90_in_domain"],
                [strings.trust_coverage_worst, "coverage_90_worst_stratum"],
                ...KINDS.map((kind) => [strings[`trust_coverage_${kind}`], `coverage_90_${kind}`])]
    .filter(([, key]) => figures?.[key] !== undefined)
    .map(([title, key]) => [title, percent(figures[key])]);
  return [element("p", {}, fill(strings.trust_coverage, {places: tested.length})),
          table("coverage", [], rows),
          small(fill(strings.trust_calibrated_at, {
            places: places.join(", "), pixels: pixels.toLocaleString(strings.language),
            tested: tested.join(", ")}))];
}

function flags({flags: found, flags_not_tested: untested, blocks}, strings) {
  const head = element("h3", {}, strings.trust_flags);
  if (!found) return blocks.computed ? [head, small(strings.trust_not_kept)] : [];
  const list = element("dl", {className: "shares"});
  for (const name of FLAGS) {
    const value = element("dd");
    const known = !untested.includes(name);
    value.append(known ? bar(found[name]) : "",
                 element("span", {}, known ? percent(found[name]) : strings.trust_untested));
    list.append(element("dt", {}, strings[`trust_flag_${name}`]), value);
  }
  return [head, list, small(strings.trust_flags_limit)];
}

function provenance({provenance: made, card: {key}}, strings) {
  if (!made) return [];
  const rows = [
    [strings.trust_model, key], [strings.trust_weights, made.weights_sha256],
    [strings.trust_software, [made.software, made.commit?.slice(0, 8)].filter(Boolean).join(", ")],
    [strings.trust_scene_level, made.processing_level], [strings.trust_psf, made.psf?.shape],
    ...made.inputs.map(({id, datetime, processing_baseline: baseline}) => [strings.trust_input,
      [id, datetime.slice(0, 10), fill(strings.trust_baseline, {
        baseline: baseline ?? strings.trust_unknown})].join(", ")]),
  ].filter(([, value]) => value);
  const list = element("dl", {className: "facts"});
  for (const [name, value] of rows) list.append(element("dt", {}, name), element("dd", {}, value));
  return [element("h3", {}, strings.trust_provenance), list];
}

function card({description, metrics, limits, training_data: learnt, licence}, strings) {
  const parts = [element("h3", {}, strings.trust_card), element("p", {}, description)];
  if (metrics.length) {
    const head = [strings.trust_figure, strings.trust_value, strings.trust_bicubic];
    parts.push(table("metrics", head, metrics.map((one) => [
      fill(strings.trust_test, {figure: one.figure, test: one.test, places: one.places}),
      String(one.value), one.bicubic === null ? "–" : String(one.bicubic)])));
  } else {
    parts.push(small(strings.trust_no_metrics));
  }
  if (limits) parts.push(element("p", {className: "limits"}, fill(strings.trust_limits, {limits})));
  parts.push(small(fill(strings.trust_learnt, {learnt, licence})));
  return parts;
}

function table(className, head, rows) {
  const made = element("table", {className});
  const line = (cells, name) => {
    const row = element("tr");
    cells.forEach((text, at) => row.append(element(at ? name : "th", at ? {} : {
      scope: name === "th" ? "col" : "row"}, text)));
    return row;
  };
  if (head.length) made.append(line(head, "th"));
  made.append(...rows.map((cells) => line(cells, "td")));
  return made;
}

function bar(share) {
  const box = element("span", {className: "share", "aria-hidden": "true"});
  const part = element("span");
  part.style.width = `${100 * share}%`;
  box.append(part);
  return box;
}

function small(text) {
  return element("p", {className: "small"}, text);
}

// Never "100 %" or "0 %" where that is only nearly so.
function percent(share) {
  if (share === null) return "–";
  const rounded = (100 * share).toFixed(1);
  if (rounded === "100.0" && share < 1) return "> 99.9 %";
  if (rounded === "0.0" && share > 0) return "< 0.1 %";
  return `${rounded} %`;
}
