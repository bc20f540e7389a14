"""A Hydra callback that compares the runs of a grid when its last cell is done."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from pixfound.apps.grid import FOLDER, runs_of
from pixfound.errors import UserError
from pixfound.io.atomic import write_atomic

log = logging.getLogger(__name__)


class Compare(Callback):
    """Compares every two runs of a grid as `pixfound-compare` does; writes comparison.json and .md, and
    the formats of report.tables, beside its tables.

    rows: of each run the first of these that it has is compared; for none its first row. An experiment names it as
    hydra.callbacks.compare.
    """

    def __init__(self, rows: Sequence[str] = ()) -> None:
        self._rows = list(rows)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Compare the finished runs; failed cells are missing, and are listed in the grid's own table."""
        notes = os.environ.get(FOLDER)
        if notes is None or os.environ.get("RANK", "0") != "0":
            return
        from pixfound.apps.compare.report import csv, latex, markdown, show
        from pixfound.apps.compare.runs import contestants
        from pixfound.apps.compare.significance import Settings
        from pixfound.apps.compare.tournament import play
        from pixfound.pipeline.run_folder import read_metrics

        try:
            texts = []
            for run in runs_of(Path(notes)):
                having = read_metrics(run)["metrics"]["rows"]
                row = next((name for name in self._rows if name in having), None)
                texts.append(f"{run}:{row}" if row else str(run))
            if len(texts) < 2:
                return
            tournament = play(contestants(texts, ()), Settings(seed=int(config.seed)))
        except UserError as error:
            log.warning("no comparison of the grid: %s", error)
            return
        numbers = json.dumps(tournament.to_json(), indent=2, ensure_ascii=False)
        write_atomic(Path(notes) / "comparison.json", numbers + "\n")
        write_atomic(Path(notes) / "comparison.md", markdown(tournament))
        formats = config.report.tables if "report" in config else ()
        if "csv" in formats:
            write_atomic(Path(notes) / "comparison.csv", csv(tournament))
        if "latex" in formats:
            write_atomic(Path(notes) / "comparison.tex", latex(tournament))
        show(tournament)
