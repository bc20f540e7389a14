"""A Hydra callback that analyses a sweep when its last cell is done."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from pixfound.apps.grid import FOLDER, runs_of, say_last
from pixfound.apps.sensitivity.report import report
from pixfound.errors import UserError
from pixfound.pipeline.run_folder import read_config

log = logging.getLogger(__name__)


class Sensitivity(Callback):
    """Analyses the runs in the notes of the sweep's cells (see grid.py), for each benchmark.

    row, resamples, level, seed: see `report`. An experiment names it as hydra.callbacks.sensitivity.
    """

    def __init__(self, row: str | None = None, resamples: int = 2000, level: float = 0.95, seed: int = 0) -> None:
        self._options: dict[str, Any] = {"row": row, "resamples": resamples, "level": level, "seed": seed}

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Analyse the finished runs; failed cells are missing, and are listed in the sweep's own table."""
        notes = os.environ.get(FOLDER)
        if notes is None or os.environ.get("RANK", "0") != "0":
            return
        outputs = Path(str(config.outputs_dir)).expanduser()
        try:
            groups: dict[str, list[Path]] = {}
            for run in runs_of(Path(notes)):
                groups.setdefault(str(read_config(run)["names"]["benchmark"]), []).append(run)
            for benchmark, runs in groups.items():
                report(runs, outputs / "sensitivity" / benchmark, **self._options, last=say_last)
        except UserError as error:
            log.warning("no analysis of the sweep: %s", error)
