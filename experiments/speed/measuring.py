"""Figures of `make bench`: two ways measured in turn, and their ratio."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch

Clock = Literal["wall", "cpu"]


def compare(
    name: str,
    ours: Callable[[], Any],
    baseline: Callable[[], Any],
    count: int,
    repeats: int,
    unit: str = "prompts/s",
    clock: Clock = "wall",
) -> dict[str, Any]:
    """`count` things a second of both, in turn; the ratio is the median over repeats of pairs measured side by side.

    clock: `cpu` counts the process' own seconds, of all its threads, for machines on which something else runs.
    """
    pairs = []
    for _ in range(repeats):
        a, b = seconds(ours, clock), seconds(baseline, clock)
        pairs.append((count / a, count / b))
    return figure(name, pairs, unit)


def figure(name: str, pairs: Sequence[tuple[float, float]], unit: str, higher_is_better: bool = True) -> dict[str, Any]:
    """A line of bench.json. pairs: (ours, baseline) of each repeat."""
    ratios = [ours / baseline for ours, baseline in pairs]
    return {
        "name": name,
        "ours": statistics.median(ours for ours, _ in pairs),
        "baseline": statistics.median(baseline for _, baseline in pairs),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "repeats": len(pairs),
        "unit": unit,
        "higher_is_better": higher_is_better,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
    }


def seconds(work: Callable[[], Any], clock: Clock = "wall") -> float:
    """How long it takes."""
    now = time.perf_counter if clock == "wall" else time.process_time
    start = now()
    work()
    return now() - start
