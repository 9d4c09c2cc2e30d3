// Elements from text: every word from the server goes through textContent.

export function element(name, attributes = {}, text = undefined) {
  const made = document.createElement(name);
  const {className, ...others} = attributes;
  if (className) made.className = className;
  for (const [key, value] of Object.entries(others)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// What is under way, kept as `aria-busy` on an element: for those who do not see the map, and for
// whoever waits for it to be at rest.
export class Busy {
  constructor(element) {
    this.element = element;
    this.reasons = new Set();
  }

  set(reason, active) {
    if (active) this.reasons.add(reason);
    else this.reasons.delete(reason);
    this.element.setAttribute("aria-busy", String(this.reasons.size > 0));
  }
}

// Call `action` once, `waitMs` after the last request to; busy from the request to its end.
export function debounced(action, waitMs, busy) {
  const reason = Symbol("debounced");
  let latest = 0;
  return () => {
    clearTimeout(latest);
    busy.set(reason, true);
    const mine = setTimeout(async () => {
      try {
        await action();
      } finally {
        if (latest === mine) busy.set(reason, false);
      }
    }, waitMs);
    latest = mine;
  };
}

export function fill(template, values) {
  return template.replace(/\{(\w+)\}/g, (whole, key) => String(values[key] ?? whole));
}
