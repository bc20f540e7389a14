"""Reading of finished runs from their folders, and of the rows to compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, cast

from pixfound.errors import UserError, nearest
from pixfound.pipeline.run_folder import read_config, read_metrics, read_scores
from pixfound.pipeline.run_names import titles
from pixfound.store.checksums import refuse_changed
from pixfound.types import Kind
from pixfound.types.option_letters import MOST_OPTIONS, letter

Unit = Literal["pair", "item"]
Key = tuple[str, Kind]  # example id, kind of prompt: a key of scores.jsonl without the prompt's variant


@dataclass(frozen=True, slots=True)
class ScoreEntry:
    """The fields of a score that comparisons use; its texts are left out, as those of many runs would fill memory."""

    key: str
    example_id: str
    pair_id: str | None
    kind: Kind
    row: str | None
    absent: bool
    correct: bool | None
    iou: float | None

    @property
    def cluster(self) -> str:
        """The unit of resampling and permutation: the pair, or the example where there are no pairs."""
        return self.pair_id if self.pair_id is not None else self.example_id


@dataclass(frozen=True)
class Run:
    """A finished run. names: of its benchmark, model and extraction. config: resolved. title: its name for people.

    answers, and masks of each row: by example and kind of prompt. unit, iou_threshold: those of its metrics.
    """

    folder: Path
    names: Mapping[str, str]
    config: Mapping[str, Any]
    unit: Unit
    iou_threshold: float
    answers: Mapping[Key, ScoreEntry]
    masks: Mapping[str, Mapping[Key, ScoreEntry]]
    title: str = ""

    @property
    def benchmark(self) -> Mapping[str, Any]:
        """The section of its config."""
        section: Mapping[str, Any] = self.config["benchmark"]
        return section


@dataclass(frozen=True)
class Contestant:
    """A row of a run, identified by a letter."""

    letter: str
    run: Run
    row: str

    @property
    def lines(self) -> Mapping[tuple[str, Kind, bool], ScoreEntry]:
        """The answers and the row's masks by (example id, kind of prompt, True for a mask)."""
        answers = {(*key, False): line for key, line in self.run.answers.items() if key[1] != "ground"}
        return {**answers, **{(*key, True): line for key, line in self.run.masks[self.row].items()}}


def contestants(texts: Sequence[str], rows: Sequence[str]) -> list[Contestant]:
    """The rows on a command line: RUN or RUN:ROW, with `rows` for runs without a row (default: their first row).

    Raises UserError for fewer than two rows, a missing one, or different benchmarks.
    """
    runs: dict[Path, Run] = {}
    chosen: list[tuple[Run, str]] = []
    for text in texts:
        folder, row = _split(text)
        run = runs[folder] = runs.get(folder) or read_run(folder)
        for name in (row,) if row else (tuple(rows) or (next(iter(run.masks)),)):
            if name not in run.masks:
                raise UserError(f"{folder}: has no row {name!r}; {nearest(name, run.masks)}")
            chosen.append((run, name))
    if len(chosen) < 2:
        row_names = ", ".join(chosen[0][0].masks)
        raise UserError(
            f"{texts[0]}: nothing to compare with; name another run, or two rows of this one with --row: {row_names}"
        )
    twice = next((c for i, c in enumerate(chosen) if any(c[0] is d[0] and c[1] == d[1] for d in chosen[:i])), None)
    if twice:
        raise UserError(f"{twice[0].folder}, row {twice[1]}: given twice; name another run or row")
    for run, _ in chosen[1:]:
        _same_benchmark(chosen[0][0], run)
    named = titles([run.names for run in runs.values()], [run.config for run in runs.values()])
    title = dict(zip(runs, named, strict=True))
    return [Contestant(_letter(i), replace(run, title=title[run.folder]), row) for i, (run, row) in enumerate(chosen)]


def read_run(folder: Path) -> Run:
    """Read a run's scores, metrics and config; raises UserError where one is missing or damaged."""
    if not (folder / "scores.jsonl").is_file():
        below = sorted(path.parent for path in folder.glob("**/scores.jsonl")) if folder.is_dir() else []
        hint = f"; did you mean {' or '.join(map(str, below[:3]))}?" if below else ""
        raise UserError(f"{folder}: not a finished run, no scores.jsonl{hint or '; give the folder of a run'}")
    refuse_changed(folder)
    metrics, config = read_metrics(folder), read_config(folder)
    try:
        names, figures = dict(metrics["names"]), metrics["metrics"]
        unit, threshold = cast(Unit, figures["accuracy_unit"]), float(figures["iou_threshold"])
        dict(config["benchmark"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder}: metrics.json or config.yaml lacks {error}; run the evaluation again") from error
    answers: dict[Key, ScoreEntry] = {}
    masks: dict[str, dict[Key, ScoreEntry]] = {}
    for number, score in enumerate(read_scores(folder), start=1):
        line = ScoreEntry(**{field.name: getattr(score, field.name) for field in fields(ScoreEntry)})
        table = answers if line.row is None else masks.setdefault(line.row, {})
        if (line.example_id, line.kind) in table:
            raise UserError(
                f"{folder / 'scores.jsonl'}, line {number}: second score of {line.key}, row {line.row}; evaluate again"
            )
        table[line.example_id, line.kind] = line
    if not masks:
        raise UserError(f"{folder / 'scores.jsonl'}: no scores of masks; run the evaluation again")
    return Run(folder, names, config, unit, threshold, answers, masks)


def differences(first: Run, second: Run) -> list[str]:
    """Differences between the inputs of two runs, in words; the location of the benchmark's files does not count."""
    keys = sorted({*first.benchmark, *second.benchmark} - {"_target_", "root", "images"})
    pairs = ((key, first.benchmark.get(key), second.benchmark.get(key)) for key in keys)
    notes = [f"benchmark.{key} is {a} in one run and {b} in another" for key, a, b in pairs if a != b]
    shared = sorted(first.answers.keys() & second.answers.keys())
    prompt_keys = next(((first.answers[k].key, second.answers[k].key) for k in shared), ("", ""))
    return notes + (
        [f"the prompts differ: {prompt_keys[0]} in one run, {prompt_keys[1]} in another"]
        if prompt_keys[0] != prompt_keys[1]
        else []
    )


def _same_benchmark(first: Run, second: Run) -> None:
    """Raise UserError unless class, pairs and absent objects are the same for the same ids, and an id is shared."""
    a, b = (run.benchmark.get("_target_") for run in (first, second))
    first_name, second_name = first.names.get("benchmark"), second.names.get("benchmark")
    if a != b:
        raise UserError(
            f"{second.folder}: of benchmark {second_name}, but {first.folder} of {first_name}; give runs of one of them"
        )
    common = first.answers.keys() & second.answers.keys()
    if not common:
        raise UserError(f"{second.folder}: no example in common with {first.folder}; give runs of the same examples")
    for key in sorted(common):
        x, y = first.answers[key], second.answers[key]
        if (x.pair_id, x.absent) != (y.pair_id, y.absent):
            raise UserError(
                f"{second.folder}: example {x.example_id} differs from that of {first.folder} (pair {y.pair_id} and "
                f"{x.pair_id}); give runs with the same `benchmark` options"
            )


def _split(text: str) -> tuple[Path, str | None]:
    """(folder, row) of RUN:ROW; an existing folder with a colon in its name has priority."""
    folder, colon, row = text.rpartition(":")
    if colon and row and not Path(text).is_dir() and Path(folder).is_dir():
        return Path(folder), row
    return Path(text), None


def _letter(index: int) -> str:
    return letter(index) if index < MOST_OPTIONS else f"R{index + 1}"
