"""A grid of runs (`pixfound -m ...`): every cell writes a note, and the notes are joined in one table at the end.

A failed cell is a line of the table with its reason, and the other cells continue. Notes are files, so that cells can
run anywhere: in this process, in others, or as jobs of a cluster.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from pixfound.errors import UserError, outside_cause
from pixfound.io.terminal import complain, say

if TYPE_CHECKING:
    from pixfound.pipeline.results import Result

Plan = dict[str, Any]  # of a cell that is not run: pixfound.apps.dry_run.plan
FOLDER = "PIXFOUND_GRID"  # environment variable: where the cells of the grid under way leave their notes
_LOOK_S = 0.5  # between two looks whether the parent is there
_LAST: list[str] = []
_STARTED = "did not end: it was killed, or its machine failed; what it has done is kept"


class Grid(Callback):
    """Hydra callback that creates the folder for the cells' notes."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Create an empty folder for the notes of this command line's cells."""
        overrides = list(config.hydra.overrides.task) + list(config.hydra.overrides.hydra)
        name = hashlib.sha256("\n".join(map(str, overrides)).encode()).hexdigest()[:12]
        folder = Path(str(config.outputs_dir)).expanduser().resolve() / "multirun" / name
        folder.mkdir(parents=True, exist_ok=True)
        for note in folder.glob("cell-*.json"):
            note.unlink()
        os.environ[FOLDER] = str(folder)


def in_cell(work: Callable[[], Result | Plan]) -> Result | None:
    """Run a cell of a grid and write its note; returns None where it failed or was only planned.

    work: returns the plan of the cell for `dry_run=true`. A KeyboardInterrupt ends the grid.
    """
    hydra = HydraConfig.get()
    _end_with_parent()
    note = {"overrides": list(hydra.overrides.task), "status": "failed", "why": _STARTED}
    number = int(hydra.job.num)
    _leave(number, note)
    try:
        result = work()
    except Exception as error:
        why = str(error) if isinstance(error, UserError) else outside_cause(error)
        if why is None:
            traceback.print_exc()
            why = f"{type(error).__name__}: {error}"
        _leave(number, {**note, "why": " ".join(why.split())[:1000]})
        return None
    if isinstance(result, dict):
        _leave(number, {**note, "status": "planned", "why": "", "plan": result})
        return None
    outcome = {"status": "skipped" if result.was_complete else "done", "why": "", "folder": str(result.folder)}
    _leave(number, {**note, **outcome})
    return result


@cache
def _end_with_parent() -> None:
    """End this process with its parent, the grid's process: joblib's workers would otherwise finish their cells."""
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        return
    pid = parent.pid

    def watch() -> None:
        while os.getppid() == pid:
            time.sleep(_LOOK_S)
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=watch, daemon=True).start()


def say_last(line: str) -> None:
    """Have a line of text printed below the grid's tables, where a reader looks first."""
    _LAST.append(line)


def grid_is_open() -> bool:
    """True if this process has started a grid that is not closed yet."""
    return FOLDER in os.environ


def close_grid() -> bool:
    """Print and write the tables of this process's grid; returns True if every cell is done or skipped."""
    where = os.environ.pop(FOLDER, None)
    if where is None:
        return True
    folder = Path(where)
    cells = [json.loads(path.read_text()) | {"cell": path.stem.removeprefix("cell-")} for path in _notes(folder)]
    if not cells:
        return True
    if any("plan" in cell for cell in cells):
        from pixfound.apps.dry_run import ASSUMPTION
        from pixfound.report.plan_table import show_plan

        show_plan(cells, ASSUMPTION, folder)
        return True
    from pixfound.report.grid_table import show_grid

    show_grid(cells, folder)
    while _LAST:
        say(_LAST.pop(0))
    return all(cell["status"] != "failed" for cell in cells)


def runs_of(notes: Path) -> list[Path]:
    """The folders of a grid's finished runs, each once."""
    folders = [json.loads(path.read_text()).get("folder") for path in _notes(notes)]
    return list(dict.fromkeys(Path(folder) for folder in folders if folder))


def _notes(folder: Path) -> Sequence[Path]:
    return sorted(folder.glob("cell-*.json"))


def _leave(number: int, note: dict[str, Any]) -> None:
    """Write a note, if this cell belongs to a grid; a failure to write it does not fail the cell."""
    where = os.environ.get(FOLDER)
    if where is None or os.environ.get("RANK", "0") != "0" or os.environ.get("SLURM_PROCID", "0") != "0":
        return
    from pixfound.io.atomic import write_atomic

    try:
        write_atomic(Path(where) / f"cell-{number:04d}.json", json.dumps(note))
    except UserError as error:
        complain("pixfound", f"the note of cell {number} could not be left: {error}")
