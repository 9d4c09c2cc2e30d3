"""Charts of the experiments: round ticks, every point, nothing outside."""

import re
from pathlib import Path
from xml.etree import ElementTree as Xml

from hypothesis import given
from hypothesis import strategies as st

from sr_engine.fusion.chart import HEIGHT, TICKS, WIDTH, round_ticks, save_chart


@given(st.lists(st.floats(-1e4, 1e4).map(lambda value: round(value, 3)), min_size=1, max_size=9))
def test_ticks_enclose_the_values_at_round_numbers(values: list[float]) -> None:
    ticks = round_ticks(values)
    slack = 1e-6 * max(1, *(abs(value) for value in values))
    assert ticks[0] <= min(values) + slack
    assert ticks[-1] >= max(values) - slack
    assert 2 <= len(ticks) <= TICKS + 3


def test_every_value_is_a_point_inside_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "chart.svg"
    save_chart(path, "a < b", ("x", "y"), [1, 2, 8], {"up": [0, 1.5, 4], "down": [3, 2, -1]})
    text = path.read_text(encoding="utf-8")
    Xml.fromstring(text)  # noqa: S314 - our own file
    points = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', text)
    assert len(points) == 6
    assert all(0 < float(x) < WIDTH and 0 < float(y) < HEIGHT for x, y in points)
    assert "a &lt; b" in text
