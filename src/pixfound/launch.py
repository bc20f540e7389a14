"""Several processes on this machine, started from inside a run."""

from __future__ import annotations

import os
import sys
from typing import Any

from pixfound.errors import UserError
from pixfound.pipeline.evaluate import Result, evaluate


def launch(config: dict[str, Any], num_processes: int) -> Result:
    """Evaluate in `num_processes` processes; when one fails, the others are ended at once."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    settings = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        start_method="spawn",
        max_restarts=0,
    )
    try:
        results: dict[int, Result] = elastic_launch(settings, worker)(config)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise UserError(
            f"process {rank} of {num_processes} ended with exit code {failure.exitcode}, and the others were ended; "
            "its error is above. What is done is kept: run the same command to go on"
        ) from error
    return results[0]


def worker(config: dict[str, Any]) -> Result:
    """What each process runs. An error of the user is a line here, not a stack trace from every process."""
    try:
        return evaluate(config)
    except UserError as error:
        print(f"pixfound (process {os.environ.get('RANK')}): {error}", file=sys.stderr)
        sys.exit(2)
