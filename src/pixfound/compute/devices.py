"""Which device a part runs on, in which numbers, and with how many threads."""

from __future__ import annotations

import os
from pathlib import Path

from pixfound.errors import UserError

_threads: int | None = None
_GPU_NODES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # of NVIDIA's driver, AMD's, and Windows' for Linux
_DTYPES = ("float32", "bfloat16", "float16", "float64")


def pick_device(device: str) -> str:
    """`auto` is this process's own GPU where there is one, else the CPU; UserError for a device that is not there.

    More processes than GPUs share them. Every part asks before it computes, so this is where the number of threads, or
    what makes a GPU give the same last bits each time, comes into force.
    """
    if device == "auto":
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        device = f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % count}" if count else "cpu"
    if device == "cpu" and _threads is not None:
        import torch

        torch.set_num_threads(_threads)
    if device != "cpu":
        _prepare(device)
    return device


def device_name(device: str) -> str:
    """The device that `pick_device` gives, as recorded beside results; torch is imported only where there is a GPU."""
    if device != "auto":
        return device
    return pick_device(device) if any(Path(node).exists() for node in _GPU_NODES) else "cpu"


def _prepare(device: str) -> None:
    import torch

    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise UserError(f"device={device}: there is no such device; give auto, cpu, cuda or cuda:N") from error
    count = torch.cuda.device_count()
    if wanted.type == "cuda" and (wanted.index or 0) >= count:
        raise UserError(
            f"device={device}: torch {torch.__version__} sees {count} GPU{'' if count == 1 else 's'} here; give auto, "
            "or install the build of torch that fits your GPU and its driver"
        )
    if wanted.type == "cuda":
        torch.backends.cudnn.deterministic = True  # a transposed convolution, as in SAM, may else add in any order
        if wanted.index is not None:
            torch.cuda.set_device(wanted)  # for what is not told where, such as kernels written in Triton


def check_dtype(dtype: str, key: str, auto: bool = False) -> None:
    """UserError for a dtype that no weights are loaded in; torch is not imported. auto: whether `auto` is one."""
    valid = ("auto", *_DTYPES) if auto else _DTYPES
    if dtype not in valid:
        raise UserError(f"{key}={dtype}: valid values are {', '.join(valid)}")


def use_threads(count: int) -> None:
    """Compute with `count` threads on a CPU, in every process alike, so that all give the same last bits.

    Nothing is imported for it: a run that only scores needs no torch.
    """
    global _threads  # noqa: PLW0603
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise UserError(f"launch.threads={count}: give a whole number of at least 1")
    _threads = count
