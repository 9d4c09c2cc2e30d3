// Elements from text: every word from the server goes through textContent.

export function element(name, attributes = {}, text = undefined) {
  const made = document.createElement(name);
  const {className, ...others} = attributes;
  if (className) made.className = className;
  for (const [key, value] of Object.entries(others)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Call `action` once, `wait_ms` after the last request to.
export function debounced(action, waitMs) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, waitMs);
  };
}

export function fill(template, values) {
  return template.replace(/\{(\w+)\}/g, (whole, key) => String(values[key] ?? whole));
}
