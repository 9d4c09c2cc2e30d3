"""The explorer as a part of the server's application.

Everything a browser needs comes from this process: Panel's own resources, the explorer's
modules, Leaflet. Nothing is asked of any other host.
"""

from pathlib import PurePosixPath

import panel as pn
from bokeh.embed.bundle import extension_dirs
from bokeh.settings import settings as bokeh_settings
from fastapi import FastAPI
from panel.io.fastapi import add_applications
from panel_material_ui.template.base import Page

from webapp.explorer import Explorer
from webapp.hints import template_with_hints
from webapp.sessions import let_go, notice_closed_pages
from webapp.static_files import KeptFiles, version_of
from webapp.style import HEADER, theme
from webapp.swipe_map import ASSETS
from webapp.warm import warm_at_start
from webapp.words import catalogue, language_of

UNUSED_S = 15.0  # a page may lose its connection for so long and go on


def mount_explorer(
    app: FastAPI, *, api_url: str, path: str = "/explorer", unused_s: float = UNUSED_S
) -> None:
    """Add the explorer to `app` at `path`; pages closed for `unused_s` are let go.

    `api_url` is the root of the HTTP interface as the browser sees it, "/" where it is the
    same application. From which pages a websocket may come is for the server's layers to say:
    bokeh-fastapi does not look at that.
    """
    notice_closed_pages()
    bokeh_settings.resources = "server"  # never a content network, whatever the environment says
    version = version_of(ASSETS)
    app.mount(f"{path}/assets/{version}", KeptFiles(ASSETS, named=True), name="explorer-assets")
    app.mount(f"{path}/assets", KeptFiles(ASSETS), name="explorer-assets-by-name")
    for name, folder in extension_dirs.items():  # before those of bokeh-fastapi, which keep nothing
        app.mount(f"/static/extensions/{name}", KeptFiles(folder), name=f"kept-{name}")
    app.mount("/static", KeptFiles(bokeh_settings.bokehjs_path()), name="kept-static")
    # Relative to the page's address, so that it also holds behind a proxy's path.
    assets_url = f"{PurePosixPath(path).name}/assets/{version}/"
    template = template_with_hints(assets_url, api_url)

    def page() -> Page:
        return build_page(api_url=api_url, assets_url=assets_url, template=template)

    add_applications(
        {path: page},
        app=app,
        title=catalogue()["title"],
        unused_session_lifetime_milliseconds=round(1000 * unused_s),
        check_unused_sessions_milliseconds=round(1000 * unused_s / 3),
    )
    warm_at_start(app, page)


def _language() -> str:
    """What the visitor asked for by `?lang=`, else what the browser prefers."""
    asked = pn.state.session_args.get("lang", [b""])[0].decode("ascii", "replace")
    headers = {name.lower(): str(value) for name, value in pn.state.headers.items()}
    return language_of(asked, headers.get("accept-language", ""))


def _embedded() -> bool:
    """Whether the map alone is asked for, by `?embed=1`: for a frame in another page."""
    return bool(pn.state.session_args.get("embed", [b""])[0] == b"1")


def build_page(*, api_url: str, assets_url: str, template: str) -> Page:
    """Make the page of one session."""
    words = catalogue(_language())
    explorer = Explorer(api_url=api_url, assets_url=assets_url, words=words)
    bare = _embedded()
    page = Page(
        title=words["title"],
        site_url="",
        main=[explorer.map],
        sidebar=[] if bare else explorer.sidebar(),
        sidebar_width=300,
        sidebar_resizable=False,  # its grip has no role that a screen reader could tell
        sidebar_variant="auto",
        theme_config=theme(words),
        template=template,
        sx={"& .header, & .MuiToolbar-root": {"display": "none"}} if bare else dict(HEADER),
    )
    let_go(page)
    explorer.map.dark = page.dark_theme
    page.link(explorer.map, dark_theme="dark")
    # On a phone the drawer lies over the map: closed until asked for.
    explorer.map.param.watch(lambda event: page.param.update(sidebar_open=not event.new), "narrow")
    return page
