// What has to be computed for what is seen: which models on which dates, what that would cost, and
// how far it is. The jobs themselves are a matter of jobs.js.
import {operandsOf} from "./difference.js";
import {fill} from "./dom.js";
import {SuperResolver, alongOf, lacks} from "./jobs.js";

const SIDES = ["left", "right"];

export class Work {
  constructor(explorer) {
    this.explorer = explorer;
    this.resolver = new SuperResolver(explorer.api, {
      onPlan: (plan) => this.planned(plan),
      onJob: (job) => this.tell(job),
      onBlock: (bbox) => this.blockArrived(bbox),
      onProblem: (problem) => explorer.complain(problem),
    });
  }

  // What would have to be computed for the two sides: one entry per model and date in use.
  targets(collection = this.explorer.collection) {
    const {shown, products: ticked} = this.explorer.model;
    const wanted = new Map();
    if (shown.collection !== collection?.id) return []; // another one is on its way
    for (const {layer, model, datetime} of [shown.right, shown.left].flatMap((side) => operandsOf(collection, side))) {
      if (layer.models.length) {
        const products = alongOf(collection, shown, {model, date: datetime}, ticked);
        wanted.set(`${model} ${datetime}`, {collection: collection.id, datetime, model, products});
      }
    }
    return [...wanted.values()];
  }

  // What made the picture at a point of the screen: the model of its side, else of the other one.
  explicable(point) {
    const {collection, compare, model: {shown}} = this.explorer;
    if (!collection) return null;
    const order = compare.sideAt(point) === "left" ? SIDES : [...SIDES].reverse();
    const made = order.flatMap((name) => operandsOf(collection, shown[name]))
      .find(({layer}) => layer.models.length);
    return made ? {collection: collection.id, datetime: made.datetime, model: made.model} : null;
  }

  async plan() {
    const {explorer} = this;
    if (explorer.collection) await this.resolver.plan(this.targets(), explorer.viewBox(false));
  }

  // `quiet`: nobody pressed a button, so say nothing where nothing can be done; `shrink`: rather
  // compute the middle of the view than nothing where all of it is over the limit.
  async resolve({visible, quiet, shrink = false}) {
    const {explorer, explorer: {busy, strings}} = this;
    if (!explorer.collection) return;
    const [targets, bbox] = [this.targets(), explorer.viewBox(visible)];
    if (bbox && targets.length) {
      busy.set("job", true);
      await this.resolver.start({targets, bbox, quiet, shrink});
      busy.set("job", this.resolver.running !== null);
    } else if (!quiet) {
      explorer.complain({message: targets.length ? strings.outside : strings.nothing_to_resolve});
    }
  }

  cancel() {
    return this.resolver.cancel();
  }

  planned(plan) {
    const {sides, model} = this.explorer;
    for (const side of Object.values(sides)) side.setPending(plan && lacks(plan, side.layer?.id));
    model.plan = plan ?? {};
  }

  blockArrived(bbox) {
    for (const side of Object.values(this.explorer.sides)) side.refresh(bbox);
  }

  tell(job) {
    const {furniture, strings, model} = this.explorer;
    const {done = 0, total = 0} = job.blocks ?? {};
    const {status, progress = 0, message = ""} = job;
    const active = status === "accepted" || status === "running";
    const told = status === "accepted" ? strings.job_accepted : fill(strings.job_running, {done, total});
    furniture.tell({job: active ? told : null, progress});
    model.job = {status, progress: Math.round(progress), message, done, total};
    if (!active) this.explorer.planSoon();
  }
}
