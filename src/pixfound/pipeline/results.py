"""What a run ends with: its scores, metrics and analyses, and the files of its folder."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
from pixfound.pipeline.sums import changed, write_sums
from pixfound.scoring.conventions import Conventions
from pixfound.scoring.metrics import Scoring
from pixfound.scoring.scores import FAILED, Score, answers_of, scores_of
from pixfound.scoring.table import Filling, Table
from pixfound.types import KINDS

log = logging.getLogger(__name__)
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode


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
    """All that a report draws from. table: the scores as numbers; an item's index is its example's number there.

    No more of the scores is held: those of one item are made when they are asked for.
    """

    items: Sequence[Item]
    parts: Parts
    stores: Stores
    conventions: Conventions
    table: Table

    def scores(self, item: Item) -> list[Score]:
        """The scores of an item: of its answers first, then of the rows of the table in order."""
        return list(scores_of(item, self.parts, self.stores, self.conventions))

    def answers(self, item: Item) -> list[Score]:
        """The first of them: those of its answers."""
        return list(answers_of(item, self.stores, self.conventions))


def finish(
    items: Sequence[Item],
    parts: Parts,
    stores: Stores,
    scoring: Part[Scoring],
    result: Result,
    settings: Settings,
) -> Result:
    """Scores, metrics and analyses of a run whose stages are done, written to its folder."""
    scored = _Scored()
    write_atomic(result.folder / "scores.jsonl", scored.lines(items, parts, stores, scoring.built))
    evidence = Evidence(items, parts, stores, scoring.built, scored.filling.table())
    found = {key: part.built.compute(evidence) for key, part in parts.analyses.items()}
    metrics = {
        **scoring.built.metrics(evidence.table),
        **({"cut": dict(scored.cut)} if scored.cut else {}),
        **({"bare": dict(scored.bare)} if scored.bare else {}),
        "analyses": {key: value for key, value in found.items() if value},
    }
    lost = [f"{key}: {failure}" for key, value in found.items() for failure in value.get("failures", ())]
    result = replace(result, metrics=metrics, failures=[*scored.failures, *lost])
    _write(result, evidence, settings)
    return result


class _Scored:
    """What is kept of the one pass over all items in which their scores are made.

    failures: the scores that there are none of. cut: number of answers that the limit of new tokens ended, by kind;
    bare: of those to a prompt without a chat template.
    """

    def __init__(self) -> None:
        self.filling, self.failures = Filling(), list[str]()
        self.cut, self.bare = Counter[str](), Counter[str]()

    def lines(self, items: Sequence[Item], parts: Parts, stores: Stores, conventions: Conventions) -> Iterator[str]:
        """The lines of scores.jsonl."""
        for item in items:
            self.cut.update(_kinds(item, stores, "cut"))
            self.bare.update(_kinds(item, stores, "bare"))
            for score in scores_of(item, parts, stores, conventions):
                self.filling.add(score)
                if score.reason.startswith(FAILED):
                    self.failures.append(f"{score.key} {score.row or ''}".rstrip() + f": {score.reason}")
                yield _ENCODE(score.to_json()) + "\n"


def _kinds(item: Item, stores: Stores, mark: str) -> list[str]:
    """The kinds of an item's answers whose records have a mark: `cut` or `bare`."""
    said = ((kind, stores.generate.get(item.key(kind), item.asked(kind))) for kind in KINDS)
    return [kind for kind, record in said if record and record.value and record.value.get(mark)]


def finished(folder: Path, tracker: Mapping[str, Any]) -> dict[str, Any] | None:
    """The metrics file of a run that is finished, without failures and published; None where work is left.

    A run whose files are not as it has written them is not finished: they are written again.
    """
    if not (folder / "metrics.json").exists():
        return None
    if odd := changed(folder):
        log.warning("%s: %s not as the run has written it: all is written again", folder, ", ".join(odd))
        return None
    data: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return data if data["failures"] == 0 and (not tracker or tracker["_target_"] in data["published"]) else None


def _write(result: Result, evidence: Evidence, settings: Settings) -> None:
    """The run's other files, metrics.json after the others, and last the checksums, which say that all are there."""
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
    write_report(result, evidence, settings.pictures)
    body: dict[str, Any] = {
        "fingerprint": result.fingerprint,
        "names": dict(result.names),
        "failures": len(result.failures),
        "published": [],
        "metrics": result.metrics,
    }
    write_atomic(folder / "metrics.json", json.dumps(body, indent=2) + "\n")
    write_sums(folder)
    tracker = result.config["tracker"]
    if tracker:  # last: a tracker that fails loses nothing, and is served by the next run
        build(tracker, "tracker").built.log(result, evidence)
        write_atomic(folder / "metrics.json", json.dumps({**body, "published": [tracker["_target_"]]}, indent=2) + "\n")
        write_sums(folder)
