"""What the page's document names in its head, so that a browser fetches it at once.

Without that each is found only when what needs it has run: Panel's scripts, then a websocket's
answer, then the widgets' bundle, then one layer of modules after the other, then the catalog.
"""

from panel_material_ui.template.base import Page

from webapp.swipe_map import ASSETS

# Panel has every module fetched as text, rewritten and imported a second time from memory, for
# browsers without import maps. All those that can draw the page have them: theirs is the import.
# Nothing of ours needs the maps that Panel adds: its widgets come in one file.
NATIVE = "<script>window.esmsInitOptions = {shimMode: false};</script>"
NO_MAPS = "<script>importShim.addImportMap = () => {};</script>"
DOCUMENTS = ("collections", "models", "indices")  # of the HTTP interface, that the map begins with


def template_with_hints(assets_url: str, api_url: str) -> str:
    """The template of the page; both addresses as the browser sees them."""
    modules = [assets_url + name for name in module_names()]
    modules.append(str(Page._render_esm(server=True)))  # noqa: SLF001 (no public way to know it)
    sheets = [assets_url + path.relative_to(ASSETS).as_posix() for path in ASSETS.rglob("*.css")]
    links = [f'<link rel="modulepreload" href="{address}">' for address in modules]
    links += [f'<link rel="preload" as="style" href="{address}">' for address in sorted(sheets)]
    links += [
        f'<link rel="preload" as="fetch" crossorigin="anonymous" href="{api_url}{name}">'
        for name in DOCUMENTS
    ]
    hints = "\n    ".join(links)
    return (
        "{% extends base %}\n"
        f"{{% block preamble %}}\n{{{{ super() }}}}\n    {NATIVE}\n{{% endblock %}}\n"
        f"{{% block postamble %}}\n{{{{ super() }}}}\n    {NO_MAPS}\n    {hints}\n"
        "{% endblock %}\n"
    )


def module_names() -> list[str]:
    """All of the explorer's modules, with the one that the others begin from first."""
    names = [path.relative_to(ASSETS).as_posix() for path in ASSETS.rglob("*.js")]
    return sorted(set(names) - {"loader.js"}, key=lambda name: (name != "mount.js", name))
