"""The processes of a run. Each takes the next piece of work when it has done one, and they meet between stages only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from pixfound.errors import UserError

_PATIENCE = timedelta(days=30)  # a process may wait for a slow one; the launcher ends all when one dies


class World:
    """This process among the others. rank: 0 to size - 1.

    state: accelerate's, of the group of processes; None where there is one. counter: a torch.distributed store that all
    share.
    """

    def __init__(self, rank: int = 0, size: int = 1, state: Any = None, counter: Any = None) -> None:
        self.rank, self.size, self._state, self._counter = rank, size, state, counter

    @property
    def first(self) -> bool:
        """True for rank 0, the process that prints and writes."""
        return self.rank == 0

    def claim(self, stage: str, count: int) -> Iterator[int]:
        """Numbers from 0 to count - 1 in order, each for one process only, which gets it when it asks for the next.

        So that no process idles while another has much to do. Without a counter they are dealt out in turn.
        """
        if self._counter is None:
            yield from range(self.rank, count, self.size)
            return
        while (number := int(self._counter.add(stage, 1)) - 1) < count:
            yield number

    def least(self, number: int) -> int:
        """The smallest of the numbers that the processes give, each one; all must call it."""
        if self._state is None:
            return number
        from accelerate.utils import gather_object

        return int(min(gather_object([number])))

    def meet(self) -> None:
        """Wait until every process is here."""
        if self._state is not None:
            self._state.wait_for_everyone()

    def close(self) -> None:
        """Leave the group of processes."""
        if self._state is not None:
            self._state.destroy_process_group()


def join_world(num_processes: int | None, num_nodes: int = 1) -> World:
    """Join the processes that a launcher started (accelerate, torchrun, or `launch.num_processes`).

    num_processes: on each of `num_nodes` machines, as the config asks for; None for whatever there is. Raises UserError
    where the launcher's environment, the config and accelerate disagree about the number of processes.
    """
    stated = os.environ.get("WORLD_SIZE")
    if stated is None:
        _refuse_silent_launch(_parents_command())
        return World()
    if not stated.isdigit() or int(stated) < 1:
        raise UserError(f"WORLD_SIZE={stated} is no number of processes; unset it to run a single one")
    if not {"RANK", "LOCAL_RANK"} <= set(os.environ):
        raise UserError(
            f"WORLD_SIZE={stated} is set, but RANK or LOCAL_RANK is not: unset WORLD_SIZE to run a single process, "
            f"or start all of them with: accelerate launch --num_processes {stated} -m pixfound ..."
        )
    size = int(stated)
    if num_processes is not None and num_processes * num_nodes != size:
        raise UserError(
            f"launch.num_processes={num_processes}, but a launcher has started {size} processes (WORLD_SIZE) on "
            f"{num_nodes} node(s): "
            "drop launch.num_processes, or give the number to the launcher alone"
        )
    if size == 1:
        return World()
    from accelerate import PartialState

    # Over gloo on GPUs too: a few numbers are all that is sent, and NCCL takes memory of each GPU and refuses to let
    # two processes share one.
    state = PartialState(cpu=True, timeout=_PATIENCE)
    if state.num_processes != size:
        raise UserError(
            f"WORLD_SIZE={size}, but accelerate joined {state.num_processes} process(es): start with torchrun "
            "--nproc_per_node, or pixfound launch.num_processes="
        )
    return World(state.process_index, size, state, _shared_counter(state.process_index, size))


def _shared_counter(rank: int, size: int) -> Any:
    """A store on the first process, which every process can count in; its port is broadcast."""
    from accelerate.utils import broadcast_object_list
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    host = os.environ.get("MASTER_ADDR", "localhost")
    store = TCPStore(host, 0, size, is_master=True, wait_for_workers=False) if rank == 0 else None
    (port,) = broadcast_object_list([store.port if store else 0])
    return store or TCPStore(host, port, size, is_master=False, wait_for_workers=False)


def _refuse_silent_launch(parent: Sequence[str]) -> None:
    """`accelerate launch --cpu --num_processes N` starts one process without a warning: UserError for it."""
    if not any("accelerate" in part for part in parent[:3]):
        return
    options = dict(zip(parent, [*parent[1:], ""], strict=True))
    processes = options.get("--num_processes") or options.get("--num-processes") or ""
    if processes.isdigit() and int(processes) > 1:
        raise UserError(
            f"accelerate was asked for {processes} processes and has started a single one (it does so with --cpu). On "
            f"a machine without GPUs use: pixfound launch.num_processes={processes} ..., or torchrun --nproc_per_node "
            f"{processes} -m pixfound ..., or accelerate launch --multi_gpu --num_processes {processes} ..."
        )


def _parents_command() -> list[str]:
    """The command line of the process that started this one; empty where it cannot be read."""
    try:
        return Path(f"/proc/{os.getppid()}/cmdline").read_bytes().decode().split("\0")
    except (OSError, UnicodeDecodeError):
        return []
