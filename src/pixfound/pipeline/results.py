"""Results of a run: its scores, metrics and analyses, and the files of its folder."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixfound.config.factory import Parts
from pixfound.pipeline.run_examples import RunExample
from pixfound.pipeline.score import scores_of
from pixfound.pipeline.stores import Stores
from pixfound.scoring.conventions import Conventions
from pixfound.scoring.scores import FAILED
from pixfound.scoring.table import ScoreTableBuilder
from pixfound.store.checksums import changed

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


class _Scored:
    """Results accumulated in the one pass over all examples in which their scores are made.

    rows: of the table. failures: a line for each score that is missing because a stage failed or left no record.
    cut: number of answers ended by the limit of new tokens, by kind of prompt.
    bare: number of answers to a prompt without a chat template, by kind of prompt.
    """

    def __init__(self, rows: Iterable[str]) -> None:
        self.filling, self.failures = ScoreTableBuilder(rows), list[str]()
        self.cut, self.bare = Counter[str](), Counter[str]()

    def lines(
        self, run_examples: Sequence[RunExample], parts: Parts, stores: Stores, conventions: Conventions
    ) -> Iterator[str]:
        """The lines of scores.jsonl."""
        for run_example in run_examples:
            self.cut.update(_kinds(run_example, stores, "cut"))
            self.bare.update(_kinds(run_example, stores, "bare"))
            for score in scores_of(run_example, parts, stores, conventions):
                self.filling.add(score)
                if score.reason.startswith(FAILED):
                    self.failures.append(f"{score.key} {score.row or ''}".rstrip() + f": {score.reason}")
                yield _ENCODE(score.to_json()) + "\n"


def _kinds(run_example: RunExample, stores: Stores, mark: str) -> list[str]:
    """The kinds of an example's answers whose records have a mark: `cut` or `bare`."""
    generations = ((kind, stores.generation_of(run_example, kind)) for kind in run_example.example.kinds)
    return [kind for kind, record in generations if record and record.value and record.value.get(mark)]


def finished(
    folder: Path, tracker: Mapping[str, Any], page: bool, tables: Collection[str] = ()
) -> dict[str, Any] | None:
    """The metrics file of a run that is finished, without failures and published; None where work is left.

    A run whose files are not as it has written them is not finished: they are written again. page, tables: a run
    without its page, or without a file of tables, is not finished either.
    """
    wanted = ["metrics.json", *(["page/index.html"] if page else []), *tables]
    if not all((folder / name).exists() for name in wanted):
        return None
    if odd := changed(folder):
        log.warning("%s: %s not as the run has written it: all is written again", folder, ", ".join(odd))
        return None
    data: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return data if data["failures"] == 0 and (not tracker or tracker["_target_"] in data["published"]) else None
