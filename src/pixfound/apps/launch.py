"""Launch of several processes on this machine, and on others that run the same command, from inside a run."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from typing import Any, NamedTuple

from pixfound.apps.evaluation import evaluate
from pixfound.checkpoints.device_map import check_alone
from pixfound.compute.devices import use_threads
from pixfound.config.settings import outputs_folder
from pixfound.errors import UserError, outside_cause
from pixfound.io.atomic import remove_leftovers
from pixfound.io.terminal import prepare
from pixfound.pipeline.results import Result

_GO_ON = "What is done is kept: run the same command to go on"
_FOLDERS = ("runs/*/*/*/*", "stages/*/*", "stages/*/*/arrays")  # of the outputs, that processes write to


class _Message(NamedTuple):
    """A message from a process. reason: of its end, "" when it starts. trace: of an unexpected error."""

    rank: int
    pid: int
    reason: str = ""
    trace: str = ""


def launch(config: dict[str, Any], num_processes: int, num_nodes: int = 1) -> Result:
    """Evaluate in `num_processes` processes on each of `num_nodes` machines; when one fails, the others are ended.

    Each of several machines runs this command at the same time. Raises UserError with the cause of a failure, and
    KeyboardInterrupt on an interrupt.
    """
    check_alone(config["model"].get("device_map"), num_processes * num_nodes)
    threads = config["launch"]["threads"]
    use_threads(threads)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # as torchrun does: else each process starts one per core
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in ("torch.distributed.elastic", "torch.multiprocessing"):
        # The cause is said below, once. Torch's modules set levels of their own, so what they log is taken here.
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")  # its process removes what killed ones have left
    settings = LaunchConfig(
        min_nodes=num_nodes,
        max_nodes=num_nodes,
        nproc_per_node=num_processes,
        run_id=os.environ.get("SLURM_JOB_ID", "pixfound"),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0" if num_nodes == 1 else meeting_point(),
        start_method="spawn",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=os.devnull),  # else each launch leaves a folder in TMPDIR
    )
    queue = get_context("spawn").SimpleQueue()
    messages: list[_Message] = []
    try:
        results: dict[int, Result] = elastic_launch(settings, worker)(config, queue)
        return results[min(results)]
    except SignalException as error:
        _end_line()
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise UserError(f"ended by {error.sigval.name}. {_GO_ON}") from None
    except ChildFailedError as error:
        messages += _received(queue)
        exits = {failed.local_rank: failed.exitcode for failed in error.failures.values()}
        raise UserError(_cause(messages, exits, num_processes * num_nodes)) from None
    finally:
        pids = {message.pid for message in [*messages, *_received(queue)]}
        for pattern in _FOLDERS:
            for folder in outputs_folder(config).glob(pattern):
                remove_leftovers(folder, pids)


def _received(queue: Any) -> list[_Message]:
    messages = []
    while not queue.empty():
        messages.append(queue.get())
    return messages


def _cause(messages: Sequence[_Message], exits: Mapping[int, int], count: int) -> str:
    """The cause of a failed launch: a user error, else a killed process, else the first unexpected error.

    Later errors only come from waiting for a process that has ended. exits: exit code by rank on this machine.
    """
    ended = [message for message in messages if message.reason]
    for message in ended:
        if not message.trace:
            return message.reason
    for rank, code in exits.items():
        if code < 0:
            _end_line()
            memory = " (the system does so when memory runs out)" if -code == signal.SIGKILL else ""
            return f"process {rank} of {count} was ended by {signal.Signals(-code).name}{memory}. {_GO_ON}"
    for message in ended:
        print(message.trace, file=sys.stderr)
        return f"process {message.rank} of {count} failed, its error is above: {message.reason}. {_GO_ON}"
    codes = ", ".join(f"{rank} with {code}" for rank, code in exits.items())
    return f"of {count} processes ended {codes}. {_GO_ON}"


def _end_line() -> None:
    """End the line that the progress bar of a process which is gone may have left open."""
    print(file=sys.stderr)


def meeting_point() -> str:
    """HOST:PORT of the rendezvous of several machines: MASTER_ADDR and MASTER_PORT, or a SLURM job's first node."""
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


def worker(config: dict[str, Any], queue: Any) -> Result:
    """The work of each process. The reason of its end is sent to the parent process, which prints it once."""
    prepare()
    message = _Message(int(os.environ["RANK"]), os.getpid())
    queue.put(message)
    try:
        return evaluate(config)
    except UserError as error:
        queue.put(message._replace(reason=str(error)[:4000]))
        sys.exit(2)
    except Exception as error:
        if (why := outside_cause(error)) is not None:
            queue.put(message._replace(reason=why))
            sys.exit(2)
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        queue.put(message._replace(reason=reason, trace=traceback.format_exc()[-8000:]))
        sys.exit(1)
