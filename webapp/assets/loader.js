// What Panel runs in the page: fetch the explorer's own modules from this server and mount it.
// Kept this small because Panel sends it as text; everything else is cached by the browser.
export async function render({model, view, el}) {
  const assets = new URL(model.assets_url, document.baseURI);
  const {mount} = await import(new URL("mount.js", assets).href);
  // Not waited for: the document is idle only once every part of it has been rendered.
  mount({model, el, assets, idle: idle(view.model.document)});
}

// What the page tells before the document is idle is heard, but the answers to it are lost.
function idle(page) {
  return new Promise((resolve) => {
    if (page.is_idle) resolve();
    else page.idle.connect(() => resolve());
  });
}
