"""A Hydra callback that prints the results of a search: the best trials, and the overrides of the best one."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from pixfound.apps.grid import FOLDER, say_last
from pixfound.io.atomic import write_atomic
from pixfound.io.terminal import say
from pixfound.pipeline.run_folder import read_metrics

_WRITTEN = "optimization_results.yaml"  # what Hydra's sweeper leaves in the sweep's folder
_SHOWN = 5


class Search(Callback):
    """Prints the best trials of a search, and writes all of them beside the table of its grid as search.json."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print and write the results after the last trial."""
        notes = os.environ.get(FOLDER)
        if notes is None:
            return
        # Every search writes the same file, without the trials that failed: search.json has more.
        (Path(str(config.hydra.sweep.dir)) / _WRITTEN).unlink(missing_ok=True)
        trials = ranked([json.loads(p.read_text()) for p in sorted(Path(notes).glob("cell-*.json"))], config.objective)
        write_atomic(Path(notes) / "search.json", json.dumps(trials, indent=2) + "\n")
        best = [trial for trial in trials if trial["S"] is not None]
        shared = set.intersection(*(set(trial["overrides"]) for trial in trials)) if len(trials) > 1 else set()
        if not best:
            return
        say(f"best of {len(trials)} trials, by S of {config.objective or 'the first row'}:")
        for trial in best[:_SHOWN]:
            varied = [override.partition("=") for override in trial["overrides"] if override not in shared]
            say(f"  {100 * trial['S']:5.1f}  " + "  ".join(f"{key.rpartition('.')[2]}={v}" for key, _, v in varied))
        say_last(f"the best again: pixfound {shlex.join(best[0]['overrides'])}")


def ranked(cells: Sequence[Mapping[str, Any]], row: str | None) -> list[dict[str, Any]]:
    """{cell number, S, overrides, folder, reason} of each note, the best first; S is None for a failed trial."""
    from pixfound.apps.evaluate import score_of

    trials = []
    for number, cell in enumerate(cells):
        score = None
        if cell.get("folder"):
            score = score_of(read_metrics(Path(cell["folder"]))["metrics"], row)
        trials.append({"trial": number, "S": score, **{key: cell.get(key) for key in ("overrides", "folder", "why")}})
    return sorted(trials, key=lambda trial: -1.0 if trial["S"] is None else trial["S"], reverse=True)
