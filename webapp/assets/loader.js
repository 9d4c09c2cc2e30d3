// What Panel runs in the page: fetch the explorer's own modules from this server and mount it.
// Kept this small because Panel sends it as text; everything else is cached by the browser.
export async function render({model, el}) {
  const assets = new URL(model.assets_url, document.baseURI);
  const {mount} = await import(new URL("explorer.js", assets).href);
  await mount({model, el, assets});
}
