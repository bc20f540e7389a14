"""Several processes on this machine, and on others that run the same command, started from inside a run."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from pixfound.devices import use_threads
from pixfound.errors import UserError
from pixfound.models.device_map import check_alone
from pixfound.pipeline.evaluate import evaluate
from pixfound.pipeline.results import Result
from pixfound.terminal import complain, prepare


def launch(config: dict[str, Any], num_processes: int, num_nodes: int = 1) -> Result:
    """Evaluate in `num_processes` processes on each of `num_nodes` machines; when one fails, the others are ended.

    With several machines each runs this same command at the same time.
    """
    check_alone(config["model"].get("device_map"), num_processes * num_nodes)
    threads = config["launch"]["threads"]
    use_threads(threads)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # as torchrun does: else each process starts one per core
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    settings = LaunchConfig(
        min_nodes=num_nodes,
        max_nodes=num_nodes,
        nproc_per_node=num_processes,
        run_id=os.environ.get("SLURM_JOB_ID", "pixfound"),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0" if num_nodes == 1 else meeting_point(),
        start_method="spawn",
        max_restarts=0,
    )
    try:
        results: dict[int, Result] = elastic_launch(settings, worker)(config)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise UserError(
            f"process {rank} of {num_processes * num_nodes} ended with exit code {failure.exitcode}, and the others "
            "were ended; its error is above. What is done is kept: run the same command to go on"
        ) from error
    return results[min(results)]


def meeting_point() -> str:
    """HOST:PORT where several machines meet: MASTER_ADDR and MASTER_PORT, or the first node of a SLURM job."""
    host, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT")
    if host and port:
        return f"{host}:{port}"
    nodes, job = os.environ.get("SLURM_JOB_NODELIST"), os.environ.get("SLURM_JOB_ID", "")
    if not nodes or not job.isdigit():
        raise UserError(
            "launch.num_nodes is more than 1, but nothing says where the machines meet: set MASTER_ADDR and "
            "MASTER_PORT to the same host and free port on all of them"
        )
    line = ["scontrol", "show", "hostnames", nodes]
    names = subprocess.run(line, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    return f"{names[0]}:{20000 + int(job) % 20000}"


def worker(config: dict[str, Any]) -> Result:
    """What each process runs. An error of the user is a line here, not a stack trace from every process."""
    prepare()
    try:
        return evaluate(config)
    except UserError as error:
        complain(f"pixfound (process {os.environ.get('RANK')})", error)
        sys.exit(2)
