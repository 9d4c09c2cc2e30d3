"""`srcube bench all`: medians, spreads, peers, and benchmarks that cannot run here."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from datacube.benchmark import Figures
from datacube.errors import InvalidInput, Unavailable
from datacube.settings import Settings
from server import bench_all
from server.bench_all import Asked, Benchmark, chosen, markdown, measure_all, write_document
from tests.test_cli import srcube


def _tiles(values: Iterator[float]) -> Figures:
    ours = next(values)
    return {"tile_cpu_ms": ours, "tile_cpu_ms_cog": 20.0, "tiles_per_s": 90.0}


def test_runs_become_medians_and_ratios_of_each_run(tmp_path: Path) -> None:
    values = iter([4.0, 10.0, 5.0])
    said: list[str] = []
    given: list[Path | None] = []

    def other(settings: Settings) -> Figures:
        given.append(settings.bench_data)
        return {"gain_db": 1.23456789}

    benchmarks = {"tiles": lambda _settings: _tiles(values), "sr": other}
    document = measure_all(benchmarks, Settings(bench_data=tmp_path), 3, said.append)
    told = document["benchmarks"]["tiles"]["figures"]["tile_cpu_ms"]
    assert told == {"median": 5.0, "least": 4.0, "most": 10.0, "values": [4.0, 10.0, 5.0]}
    assert document["benchmarks"]["sr"]["figures"]["gain_db"]["median"] == 1.235
    assert given == [tmp_path] * 3
    assert document["benchmarks"]["sr"]["runs"] == 3
    (peer,) = document["peers"]  # only what both sides were measured for
    assert (peer["package"], peer["ours"], peer["theirs"]) == ("titiler.core", 5.0, 20.0)
    assert peer["times_better"]["values"] == [5.0, 2.0, 4.0]
    assert said[0] == "tiles ..."
    page, data = write_document(document, tmp_path / "out")
    assert json.loads(data.read_text()) == document
    text = page.read_text("utf-8")
    assert "| `tile_cpu_ms` | 5 | 4 | 10 |" in text
    assert "| 5 | 20 | 4 | 2 to 5 |" in text
    assert document["machine"]["processor"] in text


def test_what_cannot_run_is_told_and_the_rest_is_measured() -> None:
    def broken(_settings: Settings) -> Figures:
        raise Unavailable("no port is free")

    benchmarks = {"tiles": broken, "sr": lambda _settings: {"gain_db": 2.0}}
    document = measure_all(benchmarks, Settings(), 1, lambda _line: None)
    assert document["benchmarks"]["tiles"] == {"left_out": "no port is free"}
    text = markdown(document)
    assert "Left out: no port is free" in text
    assert "| `gain_db` | 2 | 2 | 2 |" in text
    assert "Beside peers" not in text
    with pytest.raises(InvalidInput, match="1 run or more"):
        measure_all(benchmarks, Settings(), 0, lambda _line: None)


def test_a_long_benchmark_is_not_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_all, "ENOUGH_S", 0.0)
    document = measure_all({"sr": lambda _: {"gain_db": 2.0}}, Settings(), 5, lambda _line: None)
    assert document["benchmarks"]["sr"]["runs"] == 1
    assert "1 run in" in markdown(document)


def test_a_single_benchmark_measured_again_leaves_the_others_in_the_page(tmp_path: Path) -> None:
    gains = iter([1.0, 2.0])
    benchmarks: dict[str, Benchmark] = {
        "sr": lambda _: {"gain_db": next(gains)},
        "tiles": lambda _: {"tile_cpu_ms": 4.0, "tile_cpu_ms_cog": 20.0},
    }
    asked = Asked.of(None, 1, tmp_path)
    bench_all.run_all(benchmarks, Settings(), asked, lambda _line: None)
    again = replace(asked, only=("sr",))
    document = bench_all.run_all(benchmarks, Settings(), again, lambda _line: None)
    assert list(document["benchmarks"]) == ["sr", "tiles"]
    assert document["benchmarks"]["sr"]["figures"]["gain_db"]["median"] == 2.0
    assert [peer["times_better"]["median"] for peer in document["peers"]] == [5.0]
    assert json.loads((tmp_path / bench_all.DATA).read_text()) == document
    other = json.loads((tmp_path / bench_all.DATA).read_text()) | {"machine": {"cores": 99}}
    (tmp_path / bench_all.DATA).write_text(json.dumps(other))
    assert bench_all.earlier(tmp_path, document) == {}  # of another machine


def test_some_are_chosen_by_name_in_the_known_order() -> None:
    known: dict[str, Benchmark] = {name: lambda _settings: {} for name in ("demo", "sr", "tiles")}
    assert list(chosen(known, ["tiles", "demo"])) == ["demo", "tiles"]
    assert list(chosen(known, [])) == list(known)
    with pytest.raises(InvalidInput, match="no benchmark 'fly'; there are demo, sr, tiles"):
        chosen(known, ["fly"])


def test_the_command_refuses_a_selection_that_is_none() -> None:
    answer = srcube("bench", "all", "--only", "demo,fly")
    assert answer.returncode == 2
    assert "no benchmark 'fly'" in answer.stderr
