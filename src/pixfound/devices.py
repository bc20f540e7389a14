"""Which device a part runs on, and with how many threads."""

from __future__ import annotations

import os

from pixfound.errors import UserError


def pick_device(device: str) -> str:
    """`auto` is this process's own GPU where there is one, else the CPU; anything else is taken as it is."""
    if device != "auto":
        return device
    import torch

    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"


def use_threads(count: int) -> None:
    """Compute with `count` threads on a CPU, in every process alike, so that all give the same last bits."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise UserError(f"launch.threads={count}: give a whole number of at least 1")
    import torch

    if not torch.cuda.is_available():
        torch.set_num_threads(count)
