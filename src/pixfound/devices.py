"""Which device a part runs on."""

from __future__ import annotations

import os


def pick_device(device: str) -> str:
    """`auto` is this process's own GPU where there is one, else the CPU; anything else is taken as it is."""
    if device != "auto":
        return device
    import torch

    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
