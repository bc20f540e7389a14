"""Runs of the whole pipeline inside the test's own process, with small random models."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from pixfound.apps.evaluate import resolve
from pixfound.apps.evaluation import evaluate
from pixfound.pipeline.results import Result

LIMIT = 8
QUIET = ("report.pictures=0", "report.page=false", "report.charts=false")  # for tests of what is computed


def config_of(*overrides: str) -> dict[str, Any]:
    """The resolved config of a command line. Those that differ in paths alone are composed once."""
    paths: dict[str, str] = {}
    words = []
    for override in overrides:
        name, _, value = override.partition("=")
        is_path = re.fullmatch(r"/[\w./-]+", value)
        stand_in = f"/a-path-of-a-test-{len(paths)}"
        words.append(f"{name}={stand_in}" if is_path else override)
        paths |= {stand_in: value} if is_path else {}
    try:
        config = _composed(tuple(words))
    except Exception:
        config, paths = _composed(tuple(overrides)), {}  # whose error names the paths
    return {name: _with_paths(value, paths) for name, value in config.items()}


@cache
def _composed(overrides: tuple[str, ...]) -> dict[str, Any]:
    GlobalHydra.instance().clear()
    with initialize_config_module("pixfound.conf", version_base="1.3"):
        config = compose("config", overrides=list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    return resolve(config)


def _with_paths(value: Any, paths: Mapping[str, str]) -> Any:
    """A copy of a config's value with the paths in place of their names."""
    if isinstance(value, dict):
        return {key: _with_paths(part, paths) for key, part in value.items()}
    if isinstance(value, list):
        return [_with_paths(part, paths) for part in value]
    if isinstance(value, str) and "/a-path-of-a-test-" in value:
        return re.sub(r"/a-path-of-a-test-\d+", lambda found: paths[found[0]], value)
    return value


def random_models(folder: Path) -> list[str]:
    """Overrides that pick the random models saved in `folder` (see conftest.py)."""
    return [
        "model=hf",
        f"model.path={folder / 'llava'}",
        "model.dtype=float32",
        "model.generation.max_new_tokens=8",
        f"segmenter.path={folder / 'sam'}",
        f"limit={LIMIT}",
        "batch_size=3",
        "scoring.resamples=100",
        "report.pictures=2",
        "report.page=false",
        "report.charts=false",
    ]


def slow_model(folder: Path, seconds: float) -> list[str]:
    """Arguments that pick `tests.support.slow.Slow`, by a config that is written to `folder`."""
    (folder / "model").mkdir(parents=True)
    (folder / "model/slow.yaml").write_text(f"_target_: tests.support.slow.Slow\nseconds: {seconds}\n")
    return ["--config-dir", str(folder), "model=slow"]


def run(models: Path, outputs: Path, *overrides: str) -> Result:
    """Evaluate in this process."""
    return evaluate(config_of(*random_models(models), f"outputs_dir={outputs}", *overrides))


def scores_of(result: Result) -> list[Mapping[str, Any]]:
    """The lines of scores.jsonl."""
    return [json.loads(line) for line in (result.folder / "scores.jsonl").read_text().splitlines()]


def count_lines(outputs: Path) -> dict[str, int]:
    """Lines in the journals of every stage's stores together."""
    counts: dict[str, int] = {}
    for journal in outputs.glob("stages/*/*/journal-*.jsonl"):
        stage = journal.parts[-3]
        counts[stage] = counts.get(stage, 0) + len(journal.read_text().splitlines())
    return counts
