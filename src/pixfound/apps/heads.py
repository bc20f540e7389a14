"""The command `pixfound-heads`: localization heads from pictures and expressions, without labels."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from pixfound.apps.evaluate import CONFIG, guarded, resolve
from pixfound.errors import UserError
from pixfound.extractors.sources import check_offers, head_rows
from pixfound.extractors.sources.localization_heads import (
    CONVENTIONS,
    COUNTED,
    Convention,
    HeadCriteria,
    LocalizationHeads,
    chosen_often,
    criteria_of,
    rank_examples,
)
from pixfound.interfaces import Benchmark, Model
from pixfound.io.terminal import complain, say
from pixfound.types import Generation, Phrase

_SHOWN = 5
_PROMPT = Phrase("", "", (0, 0))


@dataclass(frozen=True)
class Calibration:
    """A written heads.json. file: its path. values: what it holds."""

    file: Path
    values: Mapping[str, Any]


def calibrate(config: Mapping[str, Any]) -> Calibration:
    """Find the heads of a resolved config's model by both conventions, and write heads.json beside its certificate.

    Each expression of the benchmark is asked about its picture as the ground prompt asks it, and the attention of the
    prompt's last token is read. Masks, answers and questions are not.
    """
    from pixfound.compute.devices import use_threads
    from pixfound.config.factory import build
    from pixfound.config.settings import Settings
    from pixfound.io.atomic import make_folder, write_atomic
    from pixfound.pipeline.images import load
    from pixfound.pipeline.run_examples import RunExamples
    from pixfound.prompts.builder import Prompts
    from pixfound.report.certificate import folder_of
    from pixfound.store.provenance import provenance

    settings = Settings.from_config(config)
    use_threads(config["launch"]["threads"])
    folder = folder_of(config, build(config["model"], "model", Model))
    if "keep" not in config["model"]:
        raise UserError(f"model._target_={config['model']['_target_']}: keeps no heads apart to choose from")
    model = build({**config["model"], "keep": "heads"}, "model", Model).built
    check_offers(LocalizationHeads, model, ("heads", "prompts"))
    examples = RunExamples(
        build(config["benchmark"], "benchmark", Benchmark).built,
        build(config["prompts"], "prompts", Prompts).built,
        settings.limit,
    )
    criteria: dict[Convention, list[HeadCriteria]] = {by: [] for by in CONVENTIONS}
    size = settings.batch_size if isinstance(settings.batch_size, int) else 1
    for start in range(0, len(examples), size):
        batch = [examples[i] for i in range(start, min(start + size, len(examples)))]
        for outcome in model.read_prompts([(load(e.example), e.prompt("ground")) for e in batch]):
            if isinstance(outcome, Exception):
                raise outcome
            for by in CONVENTIONS:
                criteria[by].append(_criteria(outcome, by))
    values = {
        "model": config["names"]["model"],
        "weights": model.weights(),
        "benchmark": config["names"]["benchmark"],
        "examples": len(examples),
        "data": examples.digest,
        "prompts": examples[0].prompt("ground").variant,
        "conventions": {by: _heads(found, by) for by, found in criteria.items()},
        "versions": provenance(),
    }
    make_folder(folder)
    write_atomic(folder / "heads.json", json.dumps(values, indent=2) + "\n")
    return Calibration(folder / "heads.json", values)


def _criteria(generation: Generation, by: Convention) -> HeadCriteria:
    rows = head_rows(generation, _PROMPT)
    assert rows is not None
    return criteria_of(generation, rows, by)


def _heads(found: Sequence[HeadCriteria], by: Convention) -> dict[str, Any]:
    """The heads of a convention, the most frequent first, and its threshold of the attention on the image."""
    threshold, rankings = rank_examples(found, by)
    return {
        "threshold": threshold,
        "counted": COUNTED[by],
        "heads": [
            {"layer": layer, "head": head, "count": count, "frequency": count / len(found)}
            for (layer, head), count in chosen_often(rankings, COUNTED[by])
        ],
    }


def main() -> None:
    """Write heads.json; the exit code is 0, or 2 where there is none."""
    guarded(_app)


@hydra.main(version_base="1.3", config_path=CONFIG, config_name="config")
def _app(config: DictConfig) -> None:
    try:
        calibration = calibrate(resolve(config))
    except UserError as error:  # Hydra would name all overrides first
        complain("pixfound", error)
        sys.exit(2)
    for by, found in calibration.values["conventions"].items():
        shown = [f"{h['layer']},{h['head']} {h['frequency']:.3f}" for h in found["heads"][:_SHOWN]]
        say(f"{by:8}  layer,head and frequency: {'  '.join(shown)}  (image attention from {found['threshold']:.3f})")
    say(f"heads: {calibration.file}")
    say(f"use them: pixfound extraction=localization_heads model.keep=heads extraction.extractors.localization_heads."
        f"source.file={calibration.file}")  # fmt: skip
