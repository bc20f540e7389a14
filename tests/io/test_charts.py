from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import Image

from pixfound.io.charts import HeatPanel, Panel, Series, bar_chart, heat_map, line_chart, scatter_chart, write_chart
from tests.support.chart_pixels import bar_heights

BLUE, ORANGE = (0, 114, 178), (230, 159, 0)
EVIL = "$x^2$ <script>alert(1)</script> \x1b[31m"


def value(share: float | None, low: float | None = None, high: float | None = None) -> dict[str, float | None]:
    return {"value": share, "low": low, "high": high}


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path.with_name(f"{path.name}.png")).convert("RGB"))


def test_bars_of_two_series_are_as_high_as_their_values_and_what_is_unknown_has_none(tmp_path: Path) -> None:
    series = [
        Series("a", [value(0.2, 0.1, 0.3), value(0.4), value(0.8, 0.8, 0.9)]),
        Series("b", [value(0.5), value(None), value(0.1)]),
    ]
    write_chart(tmp_path / "bars", bar_chart([Panel("t", "x", "y", series, ["p", "q", "r"])], "note"))
    pixels = pixels_of(tmp_path / "bars")
    blue, orange = bar_heights(pixels, BLUE), bar_heights(pixels, ORANGE)
    assert np.array([*blue, *orange]) / blue[2] == pytest.approx(np.array([0.2, 0.4, 0.8, 0.5, 0.1]) / 0.8, abs=0.01)


def test_a_band_covers_the_interval_and_a_scatter_has_a_mark_for_each_pair(tmp_path: Path) -> None:
    band = line_chart([Panel("t", "k", "y", [Series("a", [value(0.5, 0.25, 0.75)] * 2, [1, 2])])], "")
    write_chart(tmp_path / "band", band)
    pixels = pixels_of(tmp_path / "band").astype(int)
    column = pixels[:, pixels.shape[1] // 3]
    pale = np.flatnonzero((abs(column - np.array([209, 229, 241])) <= 4).all(axis=1))
    line = np.flatnonzero((column == BLUE).all(axis=1))
    assert line.mean() == pytest.approx((pale.min() + pale.max()) / 2, abs=2)
    points = [value(share) for share in (0.1, 0.5, 0.9)]
    write_chart(tmp_path / "points", scatter_chart([Panel("t", "x", "y", [Series("a", points, points)])], ""))
    rows, columns = np.nonzero((pixels_of(tmp_path / "points") == BLUE).all(axis=2))
    legend = columns.max() - 30
    inside = columns < legend
    assert np.corrcoef(rows[inside], columns[inside])[0, 1] < -0.99  # on the diagonal, upwards


def test_a_heat_map_is_blue_above_zero_orange_below_and_white_where_nothing_is_known(tmp_path: Path) -> None:
    panels = [HeatPanel("t", [[2.0, -2.0, 0.0, math.nan]], "points")]
    panels.append(HeatPanel("u", [[0.25, 0.0, 1.0, math.nan]], "nats", differences=False, digits=2))
    write_chart(tmp_path / "heat", heat_map(["r"], ["a", "b", "c", "d"], panels))
    colours = {tuple(map(int, pixel)) for pixel in pixels_of(tmp_path / "heat").reshape(-1, 3)}
    assert {BLUE, (213, 94, 0), (255, 255, 255)} <= colours
    text = (tmp_path / "heat.svg").read_text()
    assert ">+2.0<" in text and ">-2.0<" in text.replace("\u2212", "-") and "nan" not in text
    assert ">0.25<" in text and ">+0.25<" not in text


def test_files_are_equal_for_equal_charts_inert_and_leave_no_settings(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    for name in ("one", "two"):
        panel = Panel(EVIL, EVIL, EVIL, [Series(EVIL, [value(0.5, 0.4, 0.6)])], [EVIL], [Series("_b", [value(0.2)])])
        write_chart(tmp_path / name, bar_chart([panel], EVIL))
    assert dict(matplotlib.rcParams) == before
    for ending in ("png", "svg"):
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes()
    root = ElementTree.parse(tmp_path / "one.svg").getroot()
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert "script" not in tags
    shown = "".join(root.itertext())
    assert "$x^2$ <script>alert(1)</script>" in shown and "\x1b" not in shown
