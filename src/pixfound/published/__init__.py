"""Figures of others, with their sources: the YAML files of this folder, and a user's own of the same form.

A file is a list of records, each a table of one measure on one benchmark:

    - benchmark: pixmmvp            # as names.benchmark
      measure: M_dagger             # A, A_dagger, M, M_dagger, S, a metric of scoring.region_metrics, when.deciles ...
      title: Mean IoU under the grounding prompt
      columns: [""]                 # a header for each figure of a line; "" for a single figure
      source: where it is printed
      note: ""                      # may be left out
      figures: {Some model: [55.1]} # in percent, or counts as the note says; null for none
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pixfound.errors import UserError, nearest

MEASURES = ("A", "A_dagger", "M", "M_dagger", "S", "when.deciles", "when.concepts")
_TEXTS = ("benchmark", "measure", "title", "source", "note")


@dataclass(frozen=True)
class Published:
    """A table of others' figures: by model, one for each of `columns`; None where there is none."""

    benchmark: str
    measure: str
    title: str
    columns: tuple[str, ...]
    source: str
    figures: Mapping[str, tuple[float | None, ...]]
    note: str = ""


@cache
def published() -> tuple[Published, ...]:
    """The figures that come with the package."""
    names = sorted(f.name for f in files(__name__).iterdir() if f.name.endswith(".yaml") and f.name != "weights.yaml")
    return tuple(record for name in names for record in _parse((files(__name__) / name).read_text("utf-8"), name))


def read_published(paths: Sequence[str]) -> tuple[Published, ...]:
    """The figures of a user's own files; raises UserError where one is not of the form above."""
    records: list[Published] = []
    for path in paths:
        try:
            text = Path(path).expanduser().read_text("utf-8")
        except (OSError, ValueError) as error:
            raise UserError(f"report.published: {path} cannot be read ({error})") from error
        records += _parse(text, path)
    return tuple(records)


def _parse(text: str, where: str) -> list[Published]:
    from omegaconf import OmegaConf

    try:
        data: Any = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except Exception as error:  # YAML's and OmegaConf's own errors
        raise UserError(f"{where}: is no YAML ({str(error).splitlines()[0]}); put it right") from error
    if not isinstance(data, list) or not all(isinstance(record, dict) for record in data):
        raise UserError(f"{where}: must be a list of records, as in docs/paper.md")
    return [_record(record, f"{where}, record {number}") for number, record in enumerate(data, start=1)]


def _record(data: Mapping[str, Any], where: str) -> Published:
    known = (*_TEXTS, "columns", "figures")
    for key in data:
        if key not in known:
            raise UserError(f"{where}: {key} is no key of a record; {nearest(str(key), known)}")
    for key in known:
        value = data.get(key, "" if key == "note" else None)
        kind = {"columns": list, "figures": dict}.get(key, str)
        if not isinstance(value, kind) or not (value or key == "note"):
            raise UserError(f"{where}: {key} must be a {_NAMED[kind]}{'' if key == 'note' else ' that is not empty'}")
    columns = tuple(map(str, data["columns"]))
    for model, line in data["figures"].items():
        numbers = isinstance(line, list) and all(
            x is None or (isinstance(x, int | float) and not isinstance(x, bool)) for x in line
        )
        if not numbers or len(line) != len(columns):
            raise UserError(f"{where}: {model} must have a number or null for each of the {len(columns)} columns")
    figures = {str(model): tuple(line) for model, line in data["figures"].items()}
    return Published(columns=columns, figures=figures, **{key: str(data.get(key, "")) for key in _TEXTS})


_NAMED: Mapping[type, str] = {list: "list", dict: "mapping", str: "text"}
