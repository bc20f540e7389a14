"""Writing of the page's folder: index.html, its styles and scripts, pictures, and data as scripts.

A page opened from disk may load scripts and pictures but fetch no file, so data travel as scripts, one an example,
which the page loads when it shows the example. Each calls `pixfound.add(name, JSON)`; the JSON is a string, so that no
name in it is anything but data.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image

from pixfound.io.atomic import make_folder, write_atomic, write_bytes
from pixfound.pipeline.images import load
from pixfound.pipeline.run_data import RunData
from pixfound.pipeline.run_examples import RunExample
from pixfound.report.page.example_data import example_data, kept_rows
from pixfound.report.page.overview_data import example_line, overview_data
from pixfound.report.panels import shrunk

_QUALITY = 60  # of WebP: about 20 kB for a photograph of 640 x 480
_LOSSLESS = 256  # pixels, the longer side up to which pictures are kept as they are


@dataclass(frozen=True)
class PageRun:
    """A run to show. names, metrics: those of its metrics.json. title: its name among the runs of the page."""

    data: RunData
    names: Mapping[str, str]
    metrics: Mapping[str, Any]
    title: str


def write_page(folder: Path, runs: Sequence[PageRun]) -> Path:
    """Write the page of runs to a folder, in place of what is there, and return its index.html."""
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder / "js")
    make_folder(folder / "images")
    for number, run in enumerate(runs):
        make_folder(folder / "data" / str(number))
        _write_run(folder, number, run)
    _write_data(folder, "runs", [run.title for run in runs])
    assets = files("pixfound.report.page")
    for asset in (*assets.iterdir(), *(assets / "js").iterdir()):
        if asset.name.endswith((".css", ".js", ".html")):
            path = folder / "js" / asset.name if asset.name.endswith(".js") else folder / asset.name
            write_atomic(path, asset.read_text(encoding="utf-8"))
    return folder / "index.html"


def _write_run(folder: Path, number: int, run: PageRun) -> None:
    lines: list[dict[str, Any]] = []
    pictures = _Pictures(folder)
    for item in run.data.examples:
        scores = {(score.kind, score.row): score for score in run.data.scores_of(item)}
        image, size = pictures.of(item)
        data = {"image": image, **example_data(item, run.data, scores, size)}
        lines.append(example_line(item, run.data, run.metrics, scores, data))
        _write_data(folder, f"{number}/{item.index}", data)
        for kind in item.example.kinds:
            if packed := kept_rows(item, kind, run.data):
                _write_data(folder, f"{number}/{item.index}-{kind}", packed)
    found = overview_data(run.data, run.metrics, run.names, run.title, lines)
    _write_data(folder, f"{number}/overview", found)


class _Pictures:
    """The pictures of examples, each written once: by the digest of its bytes, for all runs of the page."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[int, tuple[str | None, tuple[int, int]]] = {}  # by the number of the image in the run

    def of(self, item: RunExample) -> tuple[str | None, tuple[int, int]]:
        """(path in the page's folder, (H, W)); None and the size of the mask where the picture cannot be read."""
        if item.image not in self._known:
            try:
                image = shrunk(load(item.example))
            except Exception:  # whatever its source raises, which is told among the failures
                self._known[item.image] = None, item.example.gt_mask.size
            else:
                self._known[item.image] = self._write(image), (image.height, image.width)
        return self._known[item.image]

    def _write(self, image: Image.Image) -> str:
        packed = io.BytesIO()
        small = max(image.size) <= _LOSSLESS
        image.convert("RGB").save(packed, "WEBP", quality=_QUALITY, method=0 if small else 4, lossless=small)
        name = f"images/{hashlib.sha256(packed.getbuffer()).hexdigest()[:16]}.webp"
        if not (self._folder / name).exists():
            write_bytes(self._folder / name, packed.getvalue())
        return name


def _write_data(folder: Path, name: str, data: Any) -> None:
    """A script that gives data to the page by a name. ASCII: half of a surrogate pair, too, is an escape."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    write_atomic(folder / "data" / f"{name}.js", f"pixfound.add({json.dumps(name)},{json.dumps(text)});\n")
