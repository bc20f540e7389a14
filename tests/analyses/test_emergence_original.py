"""The decile histogram of the original's script, number for number, on made-up masks over the real annotations.

`original_when.json` holds what the script printed for seeds of `tests.support.emergent` (commit 20027b0 of
MSiam/PixFoundation); `tests.support.original_when` makes it anew.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixfound.analyses.emergence import When
from pixfound.analyses.emergence_points import Emergence, Reading, find_emergence
from pixfound.analyses.phrase_position import decile
from pixfound.apps.evaluation import evaluate
from pixfound.benchmarks.pixmmvp import PixMMVP
from pixfound.judges.rules import RulesJudge
from pixfound.phrases.textblob import TextBlobPhrases
from pixfound.types import Candidate, Phrase
from pixfound.types.masks import RLE
from tests.support.emergent import make_answer, mask_of, write
from tests.support.original_when import ANNOTATIONS, run_original
from tests.support.run import QUIET, config_of

EXPECTED = json.loads((Path(__file__).parent / "original_when.json").read_text())
CHECKOUT = os.environ.get("PIXFOUND_ORIGINAL")
pytestmark = pytest.mark.skipif(not ANNOTATIONS.is_dir(), reason="needs the released annotations of PixMMVP")


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> PixMMVP:
    images = tmp_path_factory.mktemp("images")
    for number in range(1, 301):
        Image.new("RGB", (224, 224)).save(images / f"{number}.jpg")
    return PixMMVP(str(ANNOTATIONS), images=str(images))


def reference() -> Reading:
    """What `scoring=reference` reads."""
    options: dict[str, Any] = dict(config_of("scoring=reference")["analyses"]["when"])
    options.pop("_target_")
    return When(RulesJudge(), TextBlobPhrases(), **options).reading


@cache
def encoded(box: tuple[int, int, int, int]) -> RLE:
    return RLE.encode(mask_of(box))


def deciles(benchmark: PixMMVP, seed: int, reading: Reading) -> list[int]:
    counts: Counter[int | None] = Counter()
    for example in benchmark:
        answer = make_answer(seed, int(example.id))
        candidates = [
            Candidate(encoded(box), Phrase(group.text, group.core, group.span) if i < answer.lines else None)
            for i, group in enumerate(answer.groups)
            for box in group.boxes
        ]
        found = find_emergence(example, candidates, answer.text, (), reading)
        if isinstance(found, Emergence):
            counts[decile(found.places[found.best])] += 1
    return [counts[i] for i in range(10)]


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda e: f"seed {e['seed']}")
def test_the_deciles_are_the_original_s(benchmark: PixMMVP, expected: dict[str, Any]) -> None:
    assert expected["examples"] == 247
    assert deciles(benchmark, expected["seed"], reference()) == expected["deciles"]


@pytest.mark.parametrize("change", [{"length": "answer"}, {"ties": "first"}], ids=str)
def test_every_convention_counts(benchmark: PixMMVP, change: dict[str, Any]) -> None:
    """No option of the profile is idle: without it the numbers are others."""
    reading = replace(reference(), **change)
    assert any(deciles(benchmark, e["seed"], reading) != e["deciles"] for e in EXPECTED[:3])


def test_with_the_whole_answer_nothing_falls_out(benchmark: PixMMVP) -> None:
    assert sum(deciles(benchmark, EXPECTED[0]["seed"], Reading())) == 247
    assert sum(EXPECTED[0]["deciles"]) < 247


def test_a_run_on_the_original_s_files_gives_the_original_s_numbers(tmp_path: Path) -> None:
    """From PNG files and meta text to metrics.json, as one command does it."""
    expected = EXPECTED[0]
    meta = write(tmp_path, expected["seed"], "masks")
    result = evaluate(
        config_of(
            "benchmark=pixmmvp",
            f"benchmark.root={ANNOTATIONS}",
            "benchmark.images=none",
            "model=precomputed",
            f"model.candidates.ground={tmp_path / 'masks'}",
            f"model.meta.ground={meta}",
            "model.missing=empty",  # some candidates have no line in the meta file
            "extraction=precomputed",
            "scoring=reference",
            "scoring.resamples=100",
            *QUIET,
            f"outputs_dir={tmp_path / 'outputs'}",
        )
    )
    one = result.metrics["analyses"]["when"]["prompts"]["ground"]
    assert [ten["examples"] for ten in one["deciles"]] == expected["deciles"]
    assert sum(one["left_out"].values()) == 300 - sum(expected["deciles"])
    assert one["left_out"]["object absent"] == 53
    assert "## When grounding emerges" in (result.folder / "report.md").read_text()


@pytest.mark.skipif(CHECKOUT is None, reason="PIXFOUND_ORIGINAL names no checkout of the original")
def test_the_script_itself_agrees_on_a_fresh_seed(benchmark: PixMMVP, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    pytest.importorskip("pandas")
    seed = int(np.random.default_rng().integers(1000, 10**6))
    found = run_original(Path(str(CHECKOUT)), seed, tmp_path)
    assert deciles(benchmark, seed, reference()) == found["deciles"], f"seed {seed}"
