"""Reading of a sweep's cells from their folders, and the perturbation of each cell."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pixfound.errors import UserError
from pixfound.pipeline.run_folder import read_config, read_metrics, read_scores
from pixfound.pipeline.run_names import flat
from pixfound.prompts.perturbations import NONE, VISUAL, parse_variation
from pixfound.scoring.scores import ABOUT
from pixfound.scoring.table import ScoreTableBuilder, Table
from pixfound.store.checksums import refuse_changed
from pixfound.types import KINDS, Kind

_SUBJECT = ("model.", "extraction.", "segmenter.", "phrases.", "judge.", "scoring.", "names.model", "names.extraction")
_VARIED = ("prompts.", "benchmark.", "seed")
_DATA = ("prompts.templates.", "prompts.by_model.", "prompts.model")  # the data from which ids are chosen
_NAMED = ("prompts.variation", "benchmark.variation")  # their values name themselves
_IDS = {f"prompts.{name}" for name in ("open", "choice", "ground", "extension", "vqa", "noise", "variation")}


@dataclass(frozen=True)
class Cell:
    """One run of the sweep.

    subject: the model under study with its other options. variation, family: the perturbation of the input, and its
    kind. inputs: by kind of prompt, the values that distinguish its input from that of other cells. table: its scores,
    with the same numbering of examples in every cell. content: a digest of the scores.
    """

    folder: Path
    subject: str
    variation: str
    family: str
    inputs: Mapping[Kind, tuple[str, ...]]
    table: Table
    content: str
    metrics: Mapping[str, Any]


def read_cells(folders: Sequence[Path]) -> list[Cell]:
    """The cells, named by the differences among their configs.

    Of two runs with the same subject and variation, the one with more examples is kept. Raises UserError where two such
    runs have as many examples but different scores.
    """
    for folder in folders:
        refuse_changed(folder)
    configs = {folder: flat(read_config(folder)) for folder in folders}
    keys = sorted({key for config in configs.values() for key in config})
    differ = [k for k in keys if len({json.dumps(config.get(k)) for config in configs.values()}) > 1]
    if "seed" in differ:  # all others follow it
        differ = [k for k in differ if not k.endswith(".seed")]
    subject = [k for k in differ if k.startswith(_SUBJECT)]
    varied = [k for k in differ if k.startswith(_VARIED) and not k.startswith(_DATA)]
    subjects = _subjects(configs, subject)
    cells: dict[tuple[str, str], Cell] = {}
    for folder in sorted(folders):
        config = configs[folder]
        variation, family = _variation(config, varied)
        table, variants, content = _read(folder)
        cell = Cell(
            folder=folder,
            subject=subjects[folder],
            variation=variation,
            family=family,
            inputs={kind: _input(config, varied, variants.get(kind, "")) for kind in KINDS},
            table=table,
            content=content,
            metrics=read_metrics(folder)["metrics"],
        )
        earlier = cells.setdefault((cell.subject, cell.variation), cell)
        cells[cell.subject, cell.variation] = _fuller(earlier, cell)
    aligned = _alike(list(cells.values()))
    return sorted(aligned, key=lambda c: (c.subject, c.variation != NONE, _ordered(c.variation)))


def _variation(config: Mapping[str, Any], varied: Sequence[str]) -> tuple[str, str]:
    """(name, family) of the config's perturbation, or of the keys that differ."""
    named = {str(config[k]) for k in _NAMED if k in varied and config.get(k)} - {NONE}
    other_keys = [k for k in varied if k not in _NAMED]
    parts = [*sorted(named), *(f"{k.removeprefix('prompts.')}={config.get(k)}" for k in other_keys)]
    kinds = [parse_variation(name, "variation").kind for name in sorted(named)]
    return " ".join(parts) or NONE, " ".join([*kinds, *(k.removeprefix("prompts.") for k in other_keys)]) or NONE


def _subjects(configs: Mapping[Path, Mapping[str, Any]], differ: Sequence[str]) -> dict[Path, str]:
    """The model of each run, with its extraction and other options where they differ among runs of the same model."""
    groups: dict[str, list[Path]] = {}
    for folder, config in configs.items():
        groups.setdefault(str(config["names.model"]), []).append(folder)
    names = {}
    for model, folders in groups.items():
        differing = [k for k in differ if len({json.dumps(configs[f].get(k)) for f in folders}) > 1]
        by_extraction = "names.extraction" in differing
        for folder in folders:
            config = configs[folder]
            more = [
                f"{k}={config.get(k)}"
                for k in differing
                if not (by_extraction and k.startswith(("names.", "extraction.")))
            ]
            names[folder] = " ".join([model, *([str(config["names.extraction"])] if by_extraction else []), *more])
    return names


def _input(config: Mapping[str, Any], varied: Sequence[str], variant: str) -> tuple[str, ...]:
    """(variant of the prompt, perturbation of the image, options of the prompt ...), which identify an input."""
    options = [f"{k}={config.get(k)}" for k in varied if k not in (*_IDS, "benchmark.variation")]
    picture = str(config.get("benchmark.variation") or NONE)
    visible = picture if parse_variation(picture, "benchmark.variation").kind in VISUAL else NONE
    return variant, visible, *options


def _fuller(first: Cell, second: Cell) -> Cell:
    """The run with more examples of two runs of a cell; raises UserError for equal numbers but different scores."""
    if first.table.count == second.table.count and first.content != second.content:
        raise UserError(
            f"{first.folder} and {second.folder}: two runs of the cell {first.subject} {first.variation} with "
            "different scores, so model or data changed in between; give only one of them"
        )
    return second if second.table.count > first.table.count else first


def _alike(cells: Sequence[Cell]) -> list[Cell]:
    """The cells with examples numbered as in the first; raises UserError where the examples differ."""
    first = cells[0]
    for cell in cells[1:]:
        if set(cell.table.examples) != set(first.table.examples):
            raise UserError(
                f"{cell.folder} and {first.folder} have different examples; give the runs of one sweep, "
                "on the same benchmark and with the same limit"
            )
    return [replace(cell, table=cell.table.numbered_like(first.table)) for cell in cells]


def _read(folder: Path) -> tuple[Table, dict[Kind, str], str]:
    """(scores of a run as a table, variant of the prompt by kind, digest of the scores)."""
    builder, content = ScoreTableBuilder(), hashlib.sha256()
    variants: dict[Kind, str] = {}
    for score in read_scores(folder):
        builder.add(score)
        variants.setdefault(score.kind, score.key.removeprefix(f"{score.example_id}/{score.kind}/"))
        content.update(json.dumps({k: v for k, v in score.to_json().items() if k not in ABOUT}).encode())
    return builder.table(), variants, content.hexdigest()


def _ordered(variation: str) -> tuple[Any, ...]:
    """Sort key of a perturbation's name with numbers in the order of their values: crop_2 before crop_10."""
    head = variation.rstrip("0123456789")
    tail = variation[len(head) :]
    return head, int(tail) if tail else -1
