"""What a run ends with: its scores, metrics and analyses, and the files of its folder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pixfound.interfaces import Metered
from pixfound.pipeline.items import Item
from pixfound.pipeline.output import write_atomic
from pixfound.pipeline.parts import Part, Parts, build
from pixfound.pipeline.provenance import provenance
from pixfound.pipeline.settings import Settings
from pixfound.pipeline.stages import Stores
from pixfound.scoring.metrics import Scoring
from pixfound.scoring.scores import Score, make_scores
from pixfound.types import KINDS


@dataclass(frozen=True)
class Result:
    """A finished run. folder: where its files are. was_complete: there was nothing left to do.

    metrics: those of metrics.json; empty on every process but the first, as failures are.
    """

    folder: Path
    names: Mapping[str, str]
    fingerprint: str
    config: Mapping[str, Any]
    metrics: Mapping[str, Any]
    was_complete: bool
    failures: Sequence[str] = ()


@dataclass(frozen=True)
class Evidence:
    """All that a report draws from."""

    items: Sequence[Item]
    parts: Parts
    stores: Stores
    scores: Sequence[Score]


def finish(
    items: Sequence[Item],
    parts: Parts,
    stores: Stores,
    scoring: Part[Scoring],
    result: Result,
    settings: Settings,
) -> Result:
    """Scores, metrics and analyses of a run whose stages are done, written to its folder."""
    scores = make_scores(items, parts, stores, scoring.built)
    failures = [f"{s.key} {s.row or ''}: {s.reason}" for s in scores if "failed: " in s.reason]
    evidence = Evidence(items, parts, stores, scores)
    found = {key: part.built.compute(evidence) for key, part in parts.analyses.items()}
    cut = {"cut": count} if (count := _cut(items, stores)) else {}
    metrics = {
        **scoring.built.metrics(scores),
        **cut,
        "analyses": {key: value for key, value in found.items() if value},
    }
    lost = [f"{key}: {failure}" for key, value in found.items() for failure in value.get("failures", ())]
    result = replace(result, metrics=metrics, failures=[*failures, *lost])
    _write(result, evidence, settings)
    return result


def _cut(items: Sequence[Item], stores: Stores) -> dict[str, int]:
    """Number of answers that were ended by the limit of new tokens, by kind; kinds without one are left out."""
    said = ((kind, stores.generate.get(item.key(kind), item.asked(kind))) for item in items for kind in KINDS)
    return dict(Counter(str(kind) for kind, record in said if record and record.value and record.value.get("cut")))


def finished(folder: Path, tracker: Mapping[str, Any]) -> dict[str, Any] | None:
    """The metrics file of a run that is finished, without failures and published; None where work is left."""
    path = folder / "metrics.json"
    if not path.is_file():
        return None
    data: dict[str, Any] = json.loads(path.read_text())
    return data if data["failures"] == 0 and (not tracker or tracker["_target_"] in data["published"]) else None


def _write(result: Result, evidence: Evidence, settings: Settings) -> None:
    """The run's files; metrics.json comes after the others, for it says that the run is finished."""
    from omegaconf import OmegaConf

    from pixfound.report.markdown import write_report

    folder = result.folder
    write_atomic(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(dict(result.config))))
    judge = evidence.parts.judge.built
    usage = {"judge_usage": dict(judge.usage())} if isinstance(judge, Metered) else {}
    write_atomic(
        folder / "provenance.json",
        json.dumps({**provenance(), "batch_size": settings.batch_size, **usage}, indent=2) + "\n",
    )
    lines = (json.dumps(score.to_json(), ensure_ascii=False) + "\n" for score in evidence.scores)
    write_atomic(folder / "scores.jsonl", lines)
    write_report(result, evidence, settings.pictures)
    body: dict[str, Any] = {
        "fingerprint": result.fingerprint,
        "names": dict(result.names),
        "failures": len(result.failures),
        "published": [],
        "metrics": result.metrics,
    }
    write_atomic(folder / "metrics.json", json.dumps(body, indent=2) + "\n")
    tracker = result.config["tracker"]
    if tracker:  # last: a tracker that fails loses nothing, and is served by the next run
        build(tracker, "tracker").built.log(result, evidence)
        write_atomic(folder / "metrics.json", json.dumps({**body, "published": [tracker["_target_"]]}, indent=2) + "\n")
