// Super-resolving a view: ask what it would cost, start the job, follow its events, cancel it.
// One run at a time; a wish that arrives meanwhile is remembered and looked at afterwards.

const ENDED = ["successful", "failed", "dismissed"];
const RECONNECT_MS = 1500;
const OVER_LIMIT = 413;
const SHRINK_TRIES = 3;

export class SuperResolver {
  // hooks: onPlan(plan), onJob(job), onBlock(bbox), onProblem(problem)
  constructor(api, hooks) {
    Object.assign(this, {api, ...hooks, running: null, next: null, planning: 0});
  }

  query({collection, datetime, model, products = []}, bbox) {
    return {collection, datetime, model, products, bbox};
  }

  async cost({collection, datetime, model, products = []}, bbox) {
    const path = ["collections", collection, "layers", "sr", "plan"];
    const query = {datetime, model, products: products.join(","), bbox: bbox.join(",")};
    return this.api.json(path, {query});
  }

  // What all targets together would cost in `bbox`; told through onPlan, null when none is wanted.
  async plan(targets, bbox) {
    const turn = ++this.planning;
    const sum = {total: 0, cached: 0, estimated_seconds: 0, limit_blocks: 0, over: false,
                 problem: null, saliency: {total: 0, cached: 0, estimated_seconds: 0}};
    try {
      for (const target of bbox ? targets : []) {
        const plan = await this.cost(target, bbox);
        add(sum, plan);
        add(sum.saliency, plan.products.saliency ?? {});
        sum.limit_blocks = plan.limit_blocks;
        sum.over ||= plan.total > plan.limit_blocks;
      }
    } catch (error) {
      sum.problem = error.message;
    }
    if (turn === this.planning) this.onPlan(targets.length && bbox ? sum : null);
  }

  // wish: {targets, bbox, quiet, shrink}. A quiet wish is one nobody pressed a button for: where it is
  // over the limit nothing happens and nothing is complained about.
  async start(wish) {
    if (this.running) {
      this.next = wish;
      return;
    }
    this.running = {cancelled: false, jobId: null};
    try {
      for (const target of wish.targets) {
        if (!this.running.cancelled) await this.run(target, wish);
      }
    } catch (error) {
      if (!wish.quiet || error.code === "Network") this.onProblem(error);
      this.onJob({status: wish.quiet ? "idle" : "failed", message: error.message});
    } finally {
      this.running = null;
      const next = this.next;
      this.next = null;
      if (next) await this.start(next);
    }
  }

  // The wish's box, made smaller until it is within the limit where the wish allows that; null
  // where there is nothing to do.
  async affordable(target, {bbox, shrink}) {
    for (let box = bbox, tries = shrink ? SHRINK_TRIES : 1; tries > 0; box = middle(box), tries--) {
      try {
        const plan = await this.cost(target, box);
        if (plan.total <= plan.limit_blocks) return plan.cached < plan.total ? box : null;
      } catch (error) {
        if (error.status !== OVER_LIMIT) throw error;
      }
    }
    return null;
  }

  async run(target, wish) {
    const bbox = wish.quiet ? await this.affordable(target, wish) : wish.bbox;
    if (!bbox) return;
    const mine = this.running;
    if (mine.cancelled) return;
    const inputs = this.query(target, bbox);
    const path = ["processes", "super-resolve", "execution"];
    const job = await this.api.json(path, {body: {inputs}});
    mine.jobId = job.jobID;
    this.onJob(job);
    if (mine.cancelled) await this.dismiss(job.jobID); // cancelled while it was being accepted
    const last = ENDED.includes(job.status) ? job : await this.follow(job);
    mine.jobId = null;
    this.onJob(last);
    if (last.status === "failed") this.onProblem({message: last.message, code: "JobFailed"});
  }

  // Resolves with the job's last status document.
  follow(job) {
    return new Promise((resolve) => {
      let latest = job;
      const events = new EventSource(this.api.url(["jobs", job.jobID, "events"]));
      const end = (status) => {
        events.close();
        resolve(status);
      };
      events.addEventListener("block", (event) => {
        const {bbox, done, total} = JSON.parse(event.data);
        latest = {...latest, status: "running", blocks: {...latest.blocks, done, total},
                  progress: total ? (100 * done) / total : 0};
        this.onJob(latest);
        this.onBlock(bbox);
      });
      events.addEventListener("status", (event) => {
        latest = JSON.parse(event.data);
        if (ENDED.includes(latest.status)) end(latest);
        else this.onJob(latest);
      });
      // The stream also errs when the server closes it; ask before believing anything was lost.
      events.onerror = async () => {
        const status = await this.api.json(["jobs", job.jobID]).catch((error) => error);
        if (ENDED.includes(status.status)) end(status);
        else if (status.code === "NotFound") { // one that was over before it was cancelled is forgotten
          end({...latest, status: this.running?.cancelled ? "dismissed" : "failed", message: status.message});
        }
        else if (events.readyState === EventSource.CLOSED) {
          setTimeout(() => this.follow(latest).then(resolve), RECONNECT_MS);
        }
      };
    });
  }

  async cancel() {
    this.next = null;
    if (!this.running) return;
    this.running.cancelled = true;
    if (this.running.jobId) await this.dismiss(this.running.jobId);
  }

  async dismiss(jobId) {
    try {
      await this.api.fetch(this.api.url(["jobs", jobId]), {method: "DELETE"});
    } catch (error) {
      this.onProblem(error);
    }
  }
}

// The middle half of a [west, south, east, north] box, in each direction.
function middle([west, south, east, north]) {
  const [x, y] = [(east - west) / 4, (north - south) / 4];
  return [west + x, south + y, east - x, north - y];
}

function add(sum, plan) {
  for (const key of ["total", "cached", "estimated_seconds"]) sum[key] += plan[key] ?? 0;
}

// Whether a plan has blocks to compute that a layer is drawn from.
export function lacks({total, cached, saliency}, layer) {
  const part = layer === "saliency" ? saliency
    : {total: total - saliency.total, cached: cached - saliency.cached};
  return !(part.total > 0 && part.cached >= part.total);
}

// What a model is to bring along at a date: layers of it that a side shows and those that were
// ticked, where it makes them. `shown` has both sides as {layer, model, date}.
export function alongOf({layers}, shown, {model, date}, ticked) {
  const seen = [shown.left, shown.right].filter((side) => side.model === model && side.date === date);
  const wanted = new Set([...ticked, ...seen.map(({layer}) => layer)]);
  return layers.filter(({id, models}) => id !== "sr" && models.includes(model) && wanted.has(id))
               .map(({id}) => id);
}
