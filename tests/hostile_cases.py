"""The table of bad inputs as requests: for each row its number, what is sent, and the answer.

Where the table leaves a choice, what is here is ours: a tile beside the cube is 204, a layer is
part of an address (404, naming those there are), a search takes a point and a box across the
antimeridian, which have a meaning there.
"""

import json
from collections.abc import Iterator
from typing import Any

from tests.hostile import JOB, SR_TILES, TILES, Case, Chunked

STATISTICS = "/collections/field/layers/lr/statistics?bbox="
EXPORT = "/collections/field/layers/lr/export.tif?bbox="
PLAN = "/collections/field/layers/sr/plan?bbox="
CUBE = "/collections/field/cube?bbox="
BOXES = {
    "statistics": STATISTICS, "export": EXPORT, "plan": PLAN, "cube": CUBE,
    "trust": "/collections/field/layers/sr/trust?bbox=",
}  # fmt: skip
SEARCHES = {"stac-search": "/search?bbox=", "items": "/collections/field/items?bbox="}
WKT = {
    "position": ("/collections/field/position?coords=", "POINT({0}%20{1})"),
    "trajectory": ("/collections/field/trajectory?coords=", "LINESTRING(10%2045,{0}%20{1})"),
    "area": ("/collections/field/area?coords=", "POLYGON((10%2045,{0}%20{1},11%2046,10%2045))"),
    "zonal": ("/collections/field/zonal?parameter-name=lr.B04&coords=",
              "POLYGON((10%2045,{0}%20{1},11%2046,10%2045))"),
}  # fmt: skip
DATES = "2024-01-01/2024-02-01"
PLACE = f'"catalog": "alps", "datetime": "{DATES}"'
# Processes, and what their inputs hold beside the box.
ORDERS = {
    "super-resolve": '"collection": "field"',
    "fuse": '"collection": "field"',
    "evaluate": '"collection": "field"',
    "search": PLACE,
    "ingest": f'{PLACE}, "cube": "field"',
}
MANY = "field%2e" * 1280  # 10 kB


def order(process: str, box: str) -> tuple[str, str]:
    """Address and body of an execution in a box."""
    body = f'{{"inputs": {{{ORDERS[process]}, "bbox": [{box}]}}}}'
    return f"/processes/{process}/execution", body


def tile(row: int, name: str, query: str, status: int = 422, *says: str, code: str = "") -> Case:
    """The tile in the middle of the field, asked for with a query."""
    code = code or {422: "InvalidInput", 404: "NotFound"}[status]
    return Case(row, name, f"{TILES}/{{tile}}?{query}", status, code, says)


def tiles_that_are_none() -> Iterator[Case]:
    """Rows 1 to 3."""
    for name, z in (("z99", "99"), ("z-1", "-1"), ("za", "a"), ("z1e9", "1" + "0" * 9),
                    ("z1.5", "1.5"), ("znan", "nan"), ("z-empty", "%20")):  # fmt: skip
        yield Case(1, name, f"{TILES}/{z}/0/0", 422, "InvalidInput", ("z: ",))
    huge = "1" + "0" * 30
    for name, path in (
        ("x-1e30", f"15/{huge}/3"), ("y-1e30", f"15/3/{huge}"), ("x-1", "15/-1/3"),
        ("y-1", "15/3/-1"), ("y-beyond", "3/4/8"), ("x-beyond", "3/8/4"), ("x-1e30neg", f"3/-{huge}/4"),
        ("2x-beyond", "3/4/8@2x"), ("z0", "0/1/0"),
    ):  # fmt: skip
        yield Case(2, name, f"{TILES}/{path}", 404, "TileOutOfMatrix", ("matrix",), cpu_s=0.2)
    for name, path in (("x", "3/nan/4"), ("y", "3/4/1e3"), ("both", "3/x/y")):
        yield Case(2, f"none-{name}", f"{TILES}/{path}", 422, "InvalidInput")
    ends = "/collections/field/layers/lr/tiles/WorldCRS84Quad/24/0/0"
    yield Case(2, "z-beyond-set", ends, 404, "TileOutOfMatrix", ("ends at level",))
    for layer in (TILES, SR_TILES):
        yield Case(3, f"beside-{layer.split('/')[4]}", f"{layer}/15/3/4", 204)


def boxes_of_no_numbers() -> Iterator[Case]:
    """Row 4: boxes and coordinates that are not finite."""
    for word in ("nan", "inf", "-inf", "1e400"):
        for name, path in (BOXES | SEARCHES).items():
            for place, box in (("w", f"{word},45,11,46"), ("n", f"10,45,11,{word}")):
                yield Case(4, f"{name}-{word}-{place}", path + box, 422, "InvalidInput")
        for name, (path, text) in WKT.items():
            yield Case(4, f"{name}-{word}", path + text.format(word, "45.1"), 422, "InvalidInput")
    for word in ("NaN", "Infinity", "-Infinity", "1e400", "-1e400"):
        for process in ORDERS:
            path, body = order(process, f"10, {word}, 11, 46")
            yield Case(4, f"{process}-{word}", path, 422, "InvalidInput", method="POST", body=body)
        position = f'{{"inputs": {{"collection": "field", "position": [10, {word}]}}}}'
        yield Case(4, f"explain-{word}", "/processes/explain/execution", 422, "InvalidInput",
                   method="POST", body=position)  # fmt: skip
        yield Case(4, f"stac-{word}", "/search", 422, "InvalidInput", method="POST",
                   body=f'{{"bbox": [10, 45, {word}, 46]}}')  # fmt: skip


def boxes_that_are_none() -> Iterator[Case]:
    """Rows 5 and 6: boxes turned round, without area, across 180 degrees."""
    turned, empty, across = "10,46,11,45", "10.1,45.1,10.1,45.1", "170,45,-170,46"
    for name, path in (BOXES | SEARCHES).items():
        yield Case(5, f"{name}-turned", path + turned, 422, "InvalidInput")
    for name, path in BOXES.items():
        yield Case(5, f"{name}-empty", path + empty, 422, "InvalidInput")
        yield Case(5, f"{name}-beyond", path + "-999,45,11,46", 422, "InvalidInput")
        yield Case(5, f"{name}-three", path + "10,45,11", 422, "InvalidInput", ("west,south",))
        yield Case(6, name, path + across, 422, "AntimeridianUnsupported", ("two halves",))
    for name in ("area", "zonal"):
        path = WKT[name][0]
        for kind, ring in (("point", "10%2045,10%2045,10%2045,10%2045"),
                           ("line", "10%2045,11%2046,12%2047,10%2045")):  # fmt: skip
            yield Case(5, f"{name}-{kind}", f"{path}POLYGON(({ring}))", 422, "InvalidInput")
    for process in ORDERS:
        for name, box in (("turned", turned), ("empty", empty)):
            path, body = order(process, box)
            yield Case(5, f"{process}-{name}", path, 422, "InvalidInput", method="POST", body=body)
        path, body = order(process, across)
        yield Case(6, process, path, 422, "AntimeridianUnsupported", ("two halves",),
                   method="POST", body=body)  # fmt: skip
    ring = json.dumps([[[10, 45]] * 4])
    body = f'{{"inputs": {{"collection": "field", "polygon": {{"type": "Polygon", "coordinates": {ring}}}}}}}'
    yield Case(5, "polygon-empty", JOB, 422, "InvalidInput", method="POST", body=body)
    for name, path in SEARCHES.items():  # of two halves: the field lies in the one, not the other
        yield Case(6, f"{name}-split", path + "5,40,-170,50", 200, "", ('"numberMatched":1',))
        yield Case(6, f"{name}-split-elsewhere", path + across, 200, "", ('"numberMatched":0',))


def what_is_too_large() -> Iterator[Case]:
    """Rows 7 and 8."""
    over: dict[str, Any] = {"code": "ViewportTooLarge", "status": 413, "cpu_s": 0.05}
    yield Case(7, "export", EXPORT + "{box}&grid=8", says=("32000000",), **over)
    yield Case(7, "cube", CUBE + "{box}", says=("300000",), **over)
    yield Case(7, "area", "/collections/field/area?coords={polygon}", says=("300000",), **over)
    _, whole = order("super-resolve", "{box}")
    yield Case(7, "job", JOB, says=("12 blocks", "at most 4"), method="POST", body=whole, **over)
    for process in ("search", "ingest"):
        path, body = order(process, "0, 40, 20, 50")
        yield Case(7, process, path, says=("500",), method="POST", body=body, **over)
    far = "/collections/field/trajectory?coords=LINESTRING(5%2040,12%2050)"
    yield Case(7, "path", far, 422, "InvalidInput", ("4000",), cpu_s=0.05)
    yield Case(7, "statistics", STATISTICS + "-180,-90,180,90", 200)  # samples, however large
    yield Case(7, "plan", PLAN + "-10,30,20,60", 200, "", ('"total":12', '"limit_blocks":4'))
    for name in ("tilesize", "tile_size", "buffer", "padding", "scale", "width", "max_size"):
        for value in ("4096", "1e9"):
            yield tile(8, f"{name}-{value}", f"{name}={value}", 422, name, "known here")
        twice = f"{TILES}/{{tile}}@2x?{name}=1000000"
        yield Case(8, f"{name}-2x", twice, 422, "InvalidInput", (name,))
        json_ = f"/collections/field/layers/lr/WebMercatorQuad/tilejson.json?{name}=4096"
        yield Case(8, f"{name}-tilejson", json_, 422, "InvalidInput", (name,))
    for suffix in ("@3x", "@99999999x", "@-1x", "@2x@2x"):
        yield Case(8, suffix, f"{TILES}/{{tile}}{suffix}", 422, "InvalidInput")
    yield Case(8, "bins", STATISTICS + "{box}&histogram_bins=1000000000", 422, "InvalidInput",
               ("histogram_bins",))  # fmt: skip
    yield Case(8, "grid", EXPORT + "{box}&grid=1000000", 422, "InvalidInput", ("grid",))
    yield Case(8, "limit", "/search?limit=1000000000", 422, "InvalidInput", ("limit",))
    size = '{"inputs": {"collection": "field", "position": [10, 45], "size": 1000000}}'
    yield Case(8, "explain", "/processes/explain/execution", 422, "InvalidInput", ("64",),
               method="POST", body=size)  # fmt: skip


def names_that_nobody_has() -> Iterator[Case]:
    """Rows 9 to 12."""
    layers = "/collections/field/layers"
    yield Case(
        9, "tms", f"{layers}/lr/tiles/Nowhere/{{tile}}", 404, "NotFound", ("WebMercatorQuad",)
    )
    yield tile(9, "format", "format=bmp", 422, "webp", "png", "jpeg", "tif", "npy")
    yield tile(9, "resampling", "resampling=lanczos", 422, "nearest", "bilinear")
    yield tile(9, "colormap", "bands=B04&colormap=drab", 422, "/colorMaps")
    yield tile(9, "bands", "bands=B99", 422, "B02", "B03", "B04", "B08")
    yield tile(9, "two-bands", "bands=B04,B03", 422, "B02", "B03", "B04", "B08")
    yield tile(9, "index", "index=NOTHING", 422, "/indices")
    yield tile(9, "expression", "expression=B04-B99", 422, "B08")
    yield Case(
        9, "layer", f"{layers}/drab/tiles/WebMercatorQuad/{{tile}}", 404, "NotFound", ("lr", "scl")
    )
    yield Case(9, "model", f"{SR_TILES}/{{tile}}?model=drab", 404, "NotFound", ("wiener-x2",))
    yield Case(
        9, "maker", f"{TILES}/{{tile}}?model=wiener-x2", 422, "InvalidInput", ("not made by",)
    )
    yield Case(9, "parameter", "/collections/field/cube?bbox={box}&parameter-name=zz.B99", 422,
               "InvalidInput", ("lr.B04",))  # fmt: skip
    yield Case(9, "f", "/collections?f=pdf", 422, "InvalidInput", ("json", "html"))
    yield Case(9, "coverage", CUBE + "{box}&f=PDF", 422, "InvalidInput", ("CoverageJSON", "CSV"))
    yield Case(9, "crs", CUBE + "{box}&crs=EPSG:9999", 422, "InvalidInput", ("CRS84",))
    yield Case(9, "product", PLAN + "{box}&products=drab", 422, "InvalidInput", ("saliency",))
    yield Case(9, "geometry", "/collections/field/area?coords=POINT(10%2045)", 422, "InvalidInput",
               ("Polygon",))  # fmt: skip
    yield from _unknown()
    yield from _hostile_ids()
    for name in ("url", "algorithm", "algorithm_params", "color_formula", "nodata", "return_mask"):
        yield tile(12, name, f"{name}=https://evil.example/x", 422, name)
    for name, text in (("power", "9**9**9"), ("call", "__import__('os')"), ("long", "B04%2b" * 60),
                       ("deep", "(" * 90 + "B04" + ")" * 90), ("attribute", "B04.__class__"),
                       ("lambda", "(lambda:0)()"), ("no-band", "1%2b1")):  # fmt: skip
        yield tile(12, f"expression-{name}", f"expression={text}")
        yield Case(12, f"statistics-{name}", f"{STATISTICS}{{box}}&expression={text}", 422,
                   "InvalidInput")  # fmt: skip
    yield tile(12, "colormap-json", 'bands=B04&colormap={"0":[0,0,0,255]}', 422, "/colorMaps")
    yield Case(12, "search", "/search?query=%7B%7D", 422, "InvalidInput", ("query",))
    yield Case(12, "landing", "/?url=file:///etc/passwd", 422, "InvalidInput", ("url",))


def _unknown() -> Iterator[Case]:
    job = "0" * 32
    for name, path in (
        ("cube", "/collections/nowhere"), ("cube-tile", f"{TILES.replace('field', 'nowhere')}/3/4/4"),
        ("cube-items", "/collections/nowhere/items"), ("cube-zarr", "/collections/nowhere/zarr/zarr.json"),
        ("cube-position", "/collections/nowhere/position?coords=POINT(10%2045)"),
        ("cube-cube", CUBE.replace("field", "nowhere") + "{box}"),
        ("cube-plan", PLAN.replace("field", "nowhere") + "{box}"),
        ("cube-statistics", STATISTICS.replace("field", "nowhere") + "{box}"),
        ("cube-export", EXPORT.replace("field", "nowhere") + "{box}"),
        ("cube-stories", "/collections/nowhere/stories"), ("cube-tiles", "/collections/nowhere/tiles"),
        ("cube-wmts", "/collections/nowhere/WMTSCapabilities.xml"),
        ("item", "/collections/field/items/nothing"), ("model", "/models/nothing"),
        ("scene", f"{TILES}/{{tile}}?datetime=2020-02-02T00:00:00Z"),
        ("scene-export", EXPORT + "{box}&datetime=2020-02-02T00:00:00Z"),
        ("moment", CUBE + "{box}&datetime=2020-02-02"),
        ("job", f"/jobs/{job}"), ("job-results", f"/jobs/{job}/results"),
        ("job-events", f"/jobs/{job}/events"), ("process", "/processes/nothing"),
        ("overlay", "/overlays/nothing/tiles/WebMercatorQuad/0/0/0"), ("route", "/nothing/at/all"),
    ):  # fmt: skip
        yield Case(10, name, path, 404, "NotFound")
    yield Case(10, "job-dismiss", f"/jobs/{job}", 404, "NotFound", method="DELETE")
    elsewhere = '{"inputs": {"collection": "nowhere", "bbox": [10, 45, 11, 46]}}'
    for process in ("super-resolve", "evaluate"):
        yield Case(10, f"{process}-cube", f"/processes/{process}/execution", 404, "NotFound",
                   method="POST", body=elsewhere)  # fmt: skip
    yield Case(10, "execute", "/processes/nothing/execution", 404, "NotFound", method="POST",
               body='{"inputs": {"collection": "field", "bbox": [10, 45, 11, 46]}}')  # fmt: skip
    yield Case(10, "catalog", "/processes/search/execution", 404, "NotFound", method="POST",
               body=order("search", "10, 45, 10.1, 45.1")[1])  # fmt: skip


def _hostile_ids() -> Iterator[Case]:
    ids = {
        "dots": "..%2f..%2fetc", "encoded-dots": "%2e%2e%2f%2e%2e", "backslash": "..%5c..%5cx",
        "nul": "field%00", "10kB": MANY, "look-alike": "f%C4%B1eld", "wide": "%EF%BD%86ield",
        "bytes": "%ff%fe", "twice-encoded": "%252e%252e%252f", "newline": "field%0d%0ax:y",
        "tilde": "~root", "dotfile": ".srcube", "zarr": "field.zarr", "capital": "Field",
    }  # fmt: skip
    places = {
        "cube": "/collections/{}", "layer": "/collections/field/layers/{}/tiles",
        "item": "/collections/field/items/{}", "zarr": "/collections/field/zarr/{}/zarr.json",
        "job": "/jobs/{}", "model": "/models/{}", "process": "/processes/{}",
        "overlay": "/overlays/{}/tiles/WebMercatorQuad/0/0/0",
    }  # fmt: skip
    for name, text in ids.items():
        for place, path in places.items():
            long = place == "zarr" and name == "10kB"
            status, code = (422, "InvalidInput") if long else (404, "NotFound")
            yield Case(11, f"{place}-{name}", path.format(text), status, code)
    for place, path in (("cube", "/collections/../../etc/passwd"), ("root", "/../../etc/passwd"),
                        ("assets", "/explorer/assets/../../../etc/passwd"),
                        ("encoded", "/explorer/assets/%2e%2e/%2e%2e/__init__.py"),
                        ("slashes", "//etc/passwd")):  # fmt: skip
        yield Case(11, f"raw-{place}", path, 404)


def floods() -> Iterator[Case]:
    """Rows 13, 16, 17 and 19: too much of something, and strange hosts."""
    quick: dict[str, Any] = {"cpu_s": 0.05}
    query = "&".join(f"p{n}=1" for n in range(3500))
    yield Case(13, "3500-parameters", f"/collections?{query}", 422, "InvalidInput", **quick)
    query = "&".join(["f=json"] * 1000)
    yield Case(13, "1000-equal", f"/collections?{query}", 422, "InvalidInput", ("64",), **quick)
    query = "&".join(f"p{n}=1" for n in range(5000))
    yield Case(13, "5000-parameters", f"/collections?{query}", 431, "HeadTooLarge", **quick)
    yield Case(13, "100kB-query", f"/collections?f={'j' * 100_000}", 431, "HeadTooLarge", **quick)
    yield Case(13, "20kB-query", f"/collections?f={'j' * 20_000}", 422, "InvalidInput", **quick)
    yield Case(13, "64kB-header", "/", 431, "HeadTooLarge", headers=(("x", "y" * 64_000),), **quick)
    many = tuple((f"x{n}", "y") for n in range(20_000))
    yield Case(13, "20000-headers", "/", 431, "HeadTooLarge", headers=many, **quick)
    yield Case(13, "tile", f"{TILES}/{{tile}}?{'v=1&' * 2000}", 422, "InvalidInput", **quick)
    for name, host in (("evil", "evil.example"), ("user", "127.0.0.1:80@evil.example"),
                       ("empty", ""), ("blank", "a b"), ("port", "127.0.0.1:port"),
                       ("path", "127.0.0.1/x"), ("long", "a" * 5000), ("bytes", "\xff\xfe")):  # fmt: skip
        yield Case(16, name, "/collections", 400, "UnknownHost", headers=(("Host", host),))
    yield Case(16, "none", "/collections", 400, headers=(("Host", "-"),))
    two = (("Host", "127.0.0.1"), ("Host", "evil.example"))
    yield Case(16, "two", "/collections", 400, headers=two)
    large = (("Content-Length", str(2 * 1024**3)), ("Content-Type", "application/json"))
    chunked = (("Transfer-Encoding", "chunked"), ("Content-Type", "application/json"))
    for path in (JOB, "/search", "/processes/explain/execution"):
        name = path.split("/")[-2] or "stac"
        yield Case(17, f"{name}-2GiB", path, 413, "BodyTooLarge", ("1048576",), "POST", b"{",
                   large)  # fmt: skip
        yield Case(17, f"{name}-endless", path, 413, "BodyTooLarge", ("1048576",), "POST",
                   Chunked(4), chunked)  # fmt: skip
        for packing in ("gzip", "br", "deflate", "zstd"):
            packed = (("Content-Encoding", packing),)
            yield Case(17, f"{name}-{packing}", path, 415, "EncodedBody", (), "POST", b"\x1f\x8b" * 50,
                       packed)  # fmt: skip
    yield Case(17, "get-2GiB", "/collections", 413, "BodyTooLarge", headers=large)
    yield Case(17, "length", "/search", 400, method="POST", headers=(("Content-Length", "-1"),))
    ranges = (("Range", "bytes=" + ",".join(["0-0"] * 7_000)),)
    for name, path in (("asset", "/explorer/assets/explorer.js"), ("export", EXPORT + "{box}"),
                       ("chunk", "/collections/field/zarr/zarr.json")):  # fmt: skip
        yield Case(19, name, path, 200, headers=ranges)
    ten_thousand = (("Range", "bytes=" + ",".join(f"{n}-{n}" for n in range(10_000))),)
    yield Case(
        19, "10000", "/explorer/assets/explorer.js", 431, "HeadTooLarge", headers=ten_thousand
    )


def values_that_are_none() -> Iterator[Case]:
    """Rows 14 and 15: ranges and dates."""
    for name, text in (("nan", "nan,1"), ("nan-high", "0,nan"), ("inf", "0,inf"), ("-inf", "-inf,1"),
                       ("turned", "1,0"), ("empty", "1,1"), ("one", "1"), ("three", "0,1,2"),
                       ("word", "a,b"), ("1e400", "0,1e400"), ("none", "")):  # fmt: skip
        yield tile(14, name, f"rescale={text}", 422, "rescale")
    yield tile(14, "1000", "rescale=" + ",".join(["0", "1"] * 1000), 422, "rescale")
    yield tile(14, "twice", "rescale=0,1&" * 70, 422, "64")
    bad = {
        "common-year": "2023-02-29", "day": "2024-01-32", "month": "2024-13-01", "year-0": "0000-01-01",
        "zoneless": "2024-01-01T00:00:00", "word": "yesterday", "year-10000": "10000-01-01",
        "hour": "2024-01-01T25:00:00Z", "negative": "-2024-01-01", "end": "9999-12-31T23:59:59-01:00",
        "nul": "2024-01-01%00", "interval": "2024-01-01/2024-02-01",
    }  # fmt: skip
    for name, text in bad.items():
        yield tile(15, name, f"datetime={text}", 422)
        body = f'{{"inputs": {{"collection": "field", "bbox": [{{box}}], "datetime": "{text}"}}}}'
        yield Case(15, f"job-{name}", JOB, 422, "InvalidInput", method="POST",
                   body=body.replace("%00", "\\u0000"))  # fmt: skip
        yield Case(15, f"export-{name}", EXPORT + f"{{box}}&datetime={text}", 422, "InvalidInput")
        if name != "interval":
            for kind, path in (("search", "/search?datetime="), ("cube", CUBE + "{box}&datetime=")):
                yield Case(15, f"{kind}-{name}", path + text, 422, "InvalidInput")
                yield Case(15, f"{kind}-from-{name}", f"{path}{text}/..", 422, "InvalidInput")
    turned = "2024-02-01/2024-01-01"
    yield Case(15, "search-turned", f"/search?datetime={turned}", 422, "InvalidInput", ("earlier",))
    for name, text, count in (("million-days", "0001-01-01/2738-11-28", 1), ("all", "../..", 1),
                              ("before", "../2024-01-01T10:29:59Z", 0),
                              ("half-open", "2024-01-01T10:30:00Z/2024-01-02", 1)):  # fmt: skip
        yield Case(15, f"search-{name}", f"/search?datetime={text}", 200, "",
                   (f'"numberMatched":{count}',))  # fmt: skip
    path, body = order("search", "10, 45, 10.1, 45.1")
    for name, text in (("turned", turned), ("year-0", "0000-01-01/2024-01-01")):
        yield Case(15, f"process-search-{name}", path, 422, "InvalidInput", method="POST",
                   body=body.replace(DATES, text).replace("alps", "earth-search"))  # fmt: skip


def bodies_without_sense() -> Iterator[Case]:
    """Rows 18, 20, 45 and 46, as far as they come by HTTP."""
    bad: dict[str, str | bytes] = {
        "deep": "[" * 100_000, "deep-objects": '{"inputs":' * 100_000, "cut": "{", "null": "null",
        "list": "[]", "text": '"x"', "number": "7", "nan": '{"inputs": NaN}',
        "twice": '{"inputs": {}, "inputs": {}}', "not-utf-8": b"\xff{}", "trailing": "{} {}",
        "wrong-kind": '{"inputs": 7}', "nothing": "", "comment": "{} // x", "bom": b"\xef\xbb\xbf{",
        "surrogate": '{"inputs": {"collection": "\\ud800", "bbox": [1,2,3,4]}}',
        "unknown": '{"inputs": {}, "more": 1}',
    }  # fmt: skip
    for process in (*ORDERS, "explain"):
        path = f"/processes/{process}/execution"
        for name, body in bad.items():
            yield Case(18, f"{process}-{name}", path, 422, "InvalidInput", method="POST", body=body)
    for name, body in bad.items():
        yield Case(18, f"stac-{name}", "/search", 422, "InvalidInput", method="POST", body=body)
    inner = '{"inputs": {"collection": "nowhere", "collection": "field", "bbox": [{box}]}}'
    yield Case(18, "inner-twice", JOB, 422, "InvalidInput", ("stands twice",), "POST", inner)
    for name, box in (("text", '["10", 45, 11, 46]'), ("true", "[true, 45, 11, 46]"),
                      ("object", "{}"), ("nested", "[[10, 45, 11, 46]]"), ("null", "[null, 1, 2, 3]"),
                      ("digits", f"[{'9' * 5000}, 1, 2, 3]")):  # fmt: skip
        body = f'{{"inputs": {{"collection": "field", "bbox": {box}}}}}'
        yield Case(18, f"bbox-{name}", JOB, 422, "InvalidInput", method="POST", body=body)
    laughs = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>'
    for name, path in (("job", JOB), ("stac", "/search")):
        for kind in ("application/xml", "text/xml", "application/json"):
            yield Case(20, f"{name}-{kind.replace('/', '-')}", path, 422, "InvalidInput", (), "POST",
                       laughs, (("Content-Type", kind),))  # fmt: skip
    for name in ("..%2f..%2fweights.pt", "weights.pt", "%2ftmp%2fweights.pt"):
        yield Case(45, name, f"/models/{name}", 404, "NotFound")
        yield Case(45, f"tile-{name}", f"{SR_TILES}/{{tile}}?model={name}", 404, "NotFound")
    for row, data in ((45, b"PK\x03\x04"), (46, b"\xff" * 8 + b"{}")):
        yield Case(row, "post", "/models", 405, "MethodNotAllowed", method="POST", body=data)
        yield Case(
            row, "put", "/models/wiener-x2", 405, "MethodNotAllowed", method="PUT", body=data
        )


CASES: tuple[Case, ...] = (
    *tiles_that_are_none(), *boxes_of_no_numbers(), *boxes_that_are_none(), *what_is_too_large(),
    *names_that_nobody_has(), *values_that_are_none(), *floods(), *bodies_without_sense(),
)  # fmt: skip
