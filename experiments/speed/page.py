"""The page of a run: bytes an example, seconds to write it, and how soon a browser shows what is asked for.

The run has photographs of 640 x 480, three prompts an example with attention over 576 image tokens, and three
candidates a prompt: `Photographs`, `Answers` and `Blobs` make them without a model, as the page does not depend on how
long one takes. Writing is set against a full run of the scaled-down LLaVA of `answering`, of which `full_run_s` seconds
an example were measured (RESULTS.md, one process): larger models take longer. Times are CPU time and medians, as other
programs may run beside.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from experiments.speed.measuring import figure
from PIL import Image

from pixfound.interfaces import Benchmark, GenerateRequest, Model, PhraseFinder, Point, Segmenter, SegmenterMasks
from pixfound.types import Example, Generation, ImageSource, Kind, Phrase, Tile
from pixfound.types.masks import RLE

SIZE = (480, 640)  # (H, W)
GRID = 24  # image tokens a side, as LLaVA-1.5 has
TOKENS: dict[Kind, int] = {"open": 60, "choice": 3, "ground": 96}  # of an answer
WORDS = ("a", "red", "thing", "beside", "the", "other", "one")
LIMITS = {"kB an example": 60.0, "s to write": 0.1, "s to the first example": 1.5, "s to filter": 0.1}
SOURCES = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png")
_READY = """() => [...document.querySelectorAll(".card")].some(card =>
  card.querySelector("img")?.complete && card.querySelector("canvas")?.width > 0)"""
_FILTER = """changes => new Promise(done => {
  const start = performance.now();
  change(changes);
  requestAnimationFrame(() => setTimeout(() => done((performance.now() - start) / 1000)));
})"""
FILTERS: tuple[dict[str, str], ...] = (
    {"quadrant": "vqa_only"},
    {"tags": '[["part", "3"]]'},
    {"from": "0.2", "to": "0.9"},
    {"text": "thing 7"},
    {"sort": "iou"},
)


@dataclass(frozen=True)
class Crop(ImageSource):
    """A cut of SIZE from a photograph of scikit-image, another one for each number."""

    number: int

    def load(self) -> Image.Image:
        """The picture."""
        spec = find_spec("skimage")
        assert spec is not None and spec.origin is not None, 'pip install "pixfound[photos]"'
        image = Image.open(Path(spec.origin).parent / "data" / SOURCES[self.number % len(SOURCES)]).convert("RGB")
        scale = (1.05 + (self.number % 97) / 97) * max(SIZE[1] / image.width, SIZE[0] / image.height)
        image = image.resize((round(image.width * scale), round(image.height * scale)))
        x = self.number * 7 % (image.width - SIZE[1])
        y = self.number * 13 % (image.height - SIZE[0])
        return image.crop((x, y, x + SIZE[1], y + SIZE[0]))

    def digest(self) -> str:
        """The number says all."""
        return f"crop {self.number}"


class Photographs(Benchmark):
    """Pairs of examples about cuts of photographs, with a blob to show in each."""

    def __init__(self, count: int) -> None:
        draw = np.random.default_rng(0)
        for i in range(count):
            x, y = draw.uniform(100, 540), draw.uniform(100, 380)
            self.append(
                Example(
                    id=f"{i:04d}",
                    image=Crop(i),
                    question=f"Which colour has the thing {i} beside the other one?",
                    options=("red", "blue"),
                    answer=i % 2,
                    expression=f"the thing {i}",
                    gt_mask=RLE.encode(blob(x, y, 60, i)),
                    pair_id=f"{i // 2}",
                    tags={"part": str(i % 9)},
                )
            )


class Answers(Model):
    """Answers of TOKENS words, with attention as of a trained model: a few image tokens take most of it."""

    captures = True  # type: ignore[assignment]

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Generation]:
        """Equal for equal prompts."""
        return [self._one(prompt.example_id, prompt.kind) for _, prompt in requests]

    def _one(self, id: str, kind: Kind) -> Generation:
        draw = np.random.default_rng([int(id), list(TOKENS).index(kind)])
        words = [
            str(word) for word in draw.choice(("a", "red", "thing", "beside", "the", "other", "one"), TOKENS[kind])
        ]
        ends = np.cumsum([len(word) + 1 for word in words]).tolist()
        spans = tuple((end - len(word) - 1, end - 1) for word, end in zip(words, ends, strict=True))
        sinks = draw.lognormal(-7, 1.6, GRID * GRID)
        rows = (sinks * draw.lognormal(0, 0.7, (len(words) + 1, GRID * GRID))).astype(np.float32)
        tiles = (Tile(0, (GRID, GRID), GRID, (0, 0, SIZE[1], SIZE[0])),)
        return Generation(" ".join(words), SIZE, spans, tiles, rows[1:], rows[0], prompt=f"USER: <image>\n{kind}")


class FirstWords(PhraseFinder):
    """The first three words as the only phrase, so that there are three candidates."""

    def phrases(self, text: str) -> list[Phrase]:
        """That phrase."""
        words = text.split()[:3]
        return [Phrase(" ".join(words), words[-1], (0, len(" ".join(words))))]


class Blobs(Segmenter):
    """Three blobs with ragged rims about each point."""

    def point_masks(self, requests: Sequence[tuple[Image.Image, Sequence[Point]]]) -> Iterator[SegmenterMasks]:
        """Blobs of three sizes."""
        for _, points in requests:
            masks = [[blob(x, y, r, int(x + y)) for r in (40, 70, 110)] for x, y in points]
            yield SegmenterMasks(np.array(masks), np.tile(np.float32([0.9, 0.8, 0.7]), (len(points), 1)))


def blob(x: float, y: float, radius: float, seed: int) -> Any:
    """(H, W) bool: a disc whose rim goes in and out by a fifth, as segmenters' masks do."""
    waves = np.random.default_rng(seed).normal(0, 0.05, 40)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    angle, distance = np.arctan2(rows - y, columns - x), np.hypot(rows - y, columns - x)
    turns = np.linspace(-np.pi, np.pi, 720)
    rim = 1 + sum(wave * np.cos(k * turns + seed) for k, wave in enumerate(waves, 1))
    return distance < radius * np.interp(angle, turns, rim)


def measure(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Each figure against its limit; those of a browser only where there is Chromium and playwright."""
    from pixfound.apps.view import page_runs
    from pixfound.report.page import write_page

    run = make_run(folder / "outputs", options.page_examples)
    seconds = []
    for _ in range(options.repeats):
        start = time.process_time()
        index = write_page(folder / "page", page_runs([run]))
        seconds.append((time.process_time() - start) / (options.full_run_s * options.page_examples))
    bytes_ = sum(path.stat().st_size for path in index.parent.rglob("*") if path.is_file())
    yield _row("kB an example", [bytes_ / 1000 / options.page_examples])
    yield _row("s to write", seconds, "of a full run")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None or find_spec("playwright") is None:
        return
    first, filters = in_browser(index, chromium, options.repeats)
    yield _row("s to the first example", first, "s")
    yield _row("s to filter", filters, "s")


def make_run(outputs: Path, count: int) -> Path:
    """Evaluate the made examples; return the run's folder."""
    from hydra import compose, initialize_config_module
    from hydra.core.hydra_config import HydraConfig

    from pixfound.apps.evaluate import resolve
    from pixfound.apps.evaluation import evaluate

    here = "experiments.speed.page"
    own = {"model": "Answers", "segmenter": "Blobs", "phrases": "FirstWords"}
    overrides = [word for name, of in own.items() for word in (f"~{name}", f"+{name}={{_target_: {here}.{of}}}")]
    overrides += ["~benchmark", f"+benchmark={{_target_: {here}.Photographs, count: {count}}}", "scoring.resamples=100"]
    overrides += [f"~extraction.{of}.{row}_point" for row in ("random", "centre") for of in ("extractors", "rows")]
    overrides += ["~extraction.rows.similarity", "~extraction.selectors.similarity"]
    overrides += [f"names.{name}=made" for name in ("benchmark", "model")]
    overrides += [f"outputs_dir={outputs}", "report.page=false", "report.pictures=0", "report.charts=false"]
    with initialize_config_module("pixfound.conf", version_base="1.3"):
        config = compose("config", overrides=overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    return evaluate(resolve(config)).folder


def in_browser(index: Path, chromium: str, repeats: int) -> tuple[list[float], list[float]]:
    """(seconds to the first card with its picture and masks, median seconds of each filter to the next frame)."""
    from playwright.sync_api import sync_playwright

    first = []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(repeats):
            tab = browser.new_page(viewport={"width": 1300, "height": 900})
            tab.goto(f"{index.as_uri()}#view=examples", wait_until="commit")
            tab.wait_for_function(_READY, polling="raf")
            first.append(tab.evaluate("performance.now() / 1000"))
            tab.close()
        tab = browser.new_page(viewport={"width": 1300, "height": 900})
        tab.goto(f"{index.as_uri()}#view=examples")
        tab.wait_for_function(_READY)
        tab.wait_for_timeout(1500)  # all cards are there
        filters = []
        for changes in FILTERS:
            taken = []
            for _ in range(repeats):
                taken.append(tab.evaluate(_FILTER, changes))
                tab.evaluate(_FILTER, {name: "" if name != "to" else "1" for name in changes})
                tab.wait_for_timeout(300)
            filters.append(statistics.median(taken))
            print(f"filter {changes}: {filters[-1]:.3f} s")
        browser.close()
    return first, filters


def _row(name: str, values: Sequence[float], unit: str = "kB") -> dict[str, Any]:
    limit = LIMITS[name]
    return figure(f"page, {name} vs the limit", [(value, limit) for value in values], unit, higher_is_better=False)
