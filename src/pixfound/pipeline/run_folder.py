"""The files of a finished run's folder, read back. Each raises UserError with what to do where a file is damaged."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from pixfound.errors import UserError
from pixfound.io.text_files import parse_json
from pixfound.scoring.scores import Score
from pixfound.types import KINDS

_AGAIN = "run the evaluation again"
_FIELDS = {field.name for field in fields(Score)}


def find_runs(paths: Sequence[str | Path]) -> list[Path]:
    """The folders of finished runs at or below paths and patterns, and of a grid's folder or a comparison's JSON."""
    folders: dict[Path, None] = {}
    for path in paths:
        matches = [Path(path)] if Path(path).exists() else [Path(m) for m in sorted(glob.glob(str(path)))]
        runs = [run for match in matches for run in _runs_of(match)]
        if not runs:
            raise UserError(f"{path}: no finished run; give folders of runs, or outputs/runs/BENCHMARK/MODEL")
        folders |= {run.resolve(): None for run in runs}
    return list(folders)


def _runs_of(path: Path) -> list[Path]:
    if path.is_dir() and not (path / "grid.json").exists():
        below = sorted(path.rglob("metrics.json"))
        return [file.parent for file in below if "wandb" not in file.relative_to(path).parts]
    file = path / "grid.json" if path.is_dir() else path
    try:
        named = parse_json(file.read_text(encoding="utf-8"))
        lines = named["contestants"] if isinstance(named, dict) else named
        folders = [Path(line["folder"]) for line in lines if line.get("folder")]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{file}: is neither a folder of runs nor the JSON of a grid or comparison") from error
    for folder in folders:
        if not (folder / "metrics.json").exists():
            raise UserError(f"{file}: names {folder}, where no finished run is; start the command where that folder is")
    return folders


def read_scores(folder: Path) -> Iterator[Score]:
    """The scores of scores.jsonl in order; what a later version has added to a line is passed over."""
    path, count = folder / "scores.jsonl", 0
    try:
        with path.open(encoding="utf-8", newline="\n") as stream:  # texts may hold other characters that end lines
            for line in stream:
                score = Score(**{name: value for name, value in parse_json(line).items() if name in _FIELDS})
                if score.kind not in KINDS:
                    raise ValueError(f"kind {score.kind!r}")
                yield score
                count += 1
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}, line {count + 1}: is no score ({error}); {_AGAIN}") from error


def read_metrics(folder: Path) -> Mapping[str, Any]:
    """Return the content of metrics.json: names, fingerprint, metrics ... Raises UserError where it cannot be read."""
    path = folder / "metrics.json"
    try:
        return dict(parse_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); {_AGAIN}") from error


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved config of the run."""
    from omegaconf import OmegaConf

    path = folder / "config.yaml"
    try:
        plain: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)  # what looks like ${...} is text
        return dict(plain)
    except Exception as error:  # YAML's and OmegaConf's own errors
        raise UserError(f"{path}: cannot be read ({str(error).splitlines()[0]}); {_AGAIN}") from error
