"""`pixfound-data check`: read all of a benchmark, pictures too, and say what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pixfound.apps.compose import compose_config
from pixfound.config.factory import build, find_target
from pixfound.errors import UserError
from pixfound.interfaces import Benchmark
from pixfound.types import Example
from pixfound.types.arguments import parameters

_WORKERS = 8


@dataclass(frozen=True)
class Checked:
    """A benchmark and its problems, a line each, with the cure behind a semicolon. images: how many were read."""

    name: str
    benchmark: Benchmark
    images: int
    problems: Sequence[str]


def check_benchmark(overrides: Sequence[str]) -> Checked:
    """Check the benchmark of a command line such as `benchmark=gseval benchmark.root=DIR`.

    Rows that make no example are named one by one; all pictures are decoded, in parallel. Raises UserError where
    nothing can be read at all.
    """
    plain = compose_config(overrides)
    settings: Mapping[str, Any] = plain["benchmark"]
    if "unusable" in parameters(find_target(str(settings.get("_target_")), "benchmark")):
        settings = {**settings, "unusable": "leave_out"}
    benchmark = build(settings, "benchmark", Benchmark).built
    problems = [f"{where}: {fault}" for where, fault in benchmark.faults]
    if not len(benchmark):
        raise UserError("\n".join(["no row makes an example:", *problems[:10]]))
    without = settings.get("images") == "none"
    pictures = {} if without else _by_picture(benchmark)
    with ThreadPoolExecutor(_WORKERS) as pool:
        for picture_problems in pool.map(_picture_problems, pictures.values()):
            problems += picture_problems
    problems += _pairs_of_one(benchmark)
    return Checked(plain["names"]["benchmark"], benchmark, len(pictures), problems)


def _by_picture(benchmark: Benchmark) -> dict[object, list[Example]]:
    by_picture: dict[object, list[Example]] = {}
    for example in benchmark:
        by_picture.setdefault(example.image.location or id(example.image), []).append(example)
    return by_picture


def _picture_problems(examples: Sequence[Example]) -> list[str]:
    """The problems of one picture: it cannot be read, or is of another size than masks over it."""
    first = examples[0]
    name = first.image.location or f"the picture of example {first.id}"
    users = f" (of {len(examples)} examples)" if len(examples) > 1 else f" (of example {first.id})"
    try:
        picture = first.image.load()
    except Exception as error:  # whatever its source raises
        reason = str(error).replace(str(name), "it")
        return [f"{name}{users}: cannot be read ({reason}); put it there, or leave the rows out"]
    size = (picture.height, picture.width)
    problems = []
    for example in examples:
        if example.gt_mask.size != size:
            turned = "; it is turned: benchmark.exif" if example.gt_mask.size == size[::-1] else "; get the right one"
            problems.append(
                f"{name} (of example {example.id}): is {size[1]} x {size[0]} pixels, its region "
                f"{example.gt_mask.size[1]} x {example.gt_mask.size[0]}{turned}"
            )
        for box in example.boxes:
            if min(box[:2]) < -1 or box[2] > size[1] + 1 or box[3] > size[0] + 1:
                corners = ", ".join(f"{value:g}" for value in box)
                problems.append(
                    f"example {example.id}: the box [{corners}] reaches over the edge of {size[1]} x {size[0]} pixels; "
                    "it is cut there"
                )
    return problems


def _pairs_of_one(benchmark: Benchmark) -> list[str]:
    pairs = Counter(example.pair_id for example in benchmark if example.pair_id is not None)
    alone = [pair for pair, count in pairs.items() if count == 1]
    return [f"pair {pair!r} has one example alone; give its partner, or no pair" for pair in alone]
