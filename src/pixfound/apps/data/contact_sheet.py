"""The page of `pixfound-data check --page`: examples with their regions drawn, to be looked at in a browser."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from pixfound.interfaces import Benchmark
from pixfound.report.panels import mask_at, overlay
from pixfound.types import Example
from pixfound.types.option_letters import letter

SIDE = 320  # pixels, the longer side of a picture on the page
_REGION, _IGNORED, _BOX = (40, 200, 70), (150, 150, 150), (235, 40, 40)
_STYLE = """body{font:14px/1.4 system-ui,sans-serif;margin:24px;color:#222;background:#fff}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(340px,1fr));gap:16px}
figure{margin:0;border:1px solid #ccc;border-radius:4px;padding:10px;overflow-wrap:anywhere}
img{max-width:100%;display:block;margin-bottom:6px}.e{font-weight:600}.t{color:#666}li{margin:2px 0}"""


def write_sheet(path: Path, title: str, benchmark: Benchmark, problems: Sequence[str], count: int) -> None:
    """Write an HTML file of the problems and of `count` examples from all over the benchmark, with their partners.

    Green: the region; red: annotated boxes; grey: pixels to ignore. Nothing is fetched by who opens it.
    """
    faults = "".join(f"<li>{html.escape(problem)}</li>" for problem in problems[:200])
    body = "".join(_figure(example) for example in _picked(benchmark, count))
    head = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title><style>{_STYLE}</style>"
    )
    text = f"{head}<h1>{html.escape(title)}</h1><ul>{faults}</ul><main>{body}</main></html>"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _picked(benchmark: Benchmark, count: int) -> Iterator[Example]:
    """Examples drawn with a fixed seed, in order; partners of pairs together."""
    places = sorted(np.random.default_rng(0).choice(len(benchmark), min(count, len(benchmark)), replace=False).tolist())
    pairs = {benchmark[place].pair_id for place in places} - {None}
    chosen = set(places)
    for place, example in enumerate(benchmark):
        if place in chosen or example.pair_id in pairs:
            yield example


def _figure(example: Example) -> str:
    lines = [("e", f"{example.expression}{' (absent)' if example.absent else ''}")]
    if example.question:
        options = " ".join(f"({letter(i)}) {option}" for i, option in enumerate(example.options))
        lines += [("", f"Q: {example.question} {options}"), ("", f"A: {example.right_answer}")]
    tags = " ".join(f"{name}={value}" for name, value in example.tags.items())
    pair = f"pair {example.pair_id}" if example.pair_id else ""
    lines.append(("t", f"{example.id} {pair} {tags} {example.gt_mask.area} px, {len(example.instances) or 1} part(s)"))
    text = "".join(f"<div class='{kind}'>{html.escape(line)}</div>" for kind, line in lines)
    try:
        picture = f"<img alt='' src='data:image/jpeg;base64,{_jpeg(draw(example))}'>"
    except Exception as error:  # whatever its source raises, which is among the problems
        picture = f"<p>{html.escape(str(error))}</p>"
    return f"<figure>{picture}{text}</figure>"


def draw(example: Example) -> Image.Image:
    """The example's picture with its region, its boxes and what is ignored; its longer side is at most SIDE pixels."""
    image = example.image.load()
    full = image.size
    scale = min(1.0, SIDE / max(full))
    image = image.resize((max(1, round(full[0] * scale)), max(1, round(full[1] * scale))))
    for mask, colour in ((example.gt_mask, _REGION), (example.ignore, _IGNORED)):
        if mask is not None and mask.area:
            image = overlay(image, mask_at(mask, image.size), colour)
    image = image.copy()
    for box in example.boxes:
        ImageDraw.Draw(image).rectangle([value * scale for value in box], outline=_BOX, width=2)
    return image


def _jpeg(image: Image.Image) -> str:
    stream = BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=85)
    return base64.b64encode(stream.getvalue()).decode("ascii")
