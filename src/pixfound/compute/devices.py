"""Device, dtype and number of threads of a component."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, get_args

from pixfound.errors import UserError

_threads: int | None = None
_GPU_NODES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # of NVIDIA's driver, AMD's, and Windows' for Linux
Dtype = Literal["float32", "bfloat16", "float16", "float64"]
AutoDtype = Literal["auto", Dtype]
_DTYPES: tuple[Dtype, ...] = get_args(Dtype)


def pick_device(device: str) -> str:
    """Resolve a device: `auto` is this process's own GPU, else the CPU; raises UserError for a missing device.

    More processes than GPUs share them. Every component calls this before it computes, so the number of threads and
    the settings for bitwise reproducible results on a GPU are applied here.
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
    """The result of `pick_device` as recorded with results; torch is imported only where there is a GPU."""
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
            torch.cuda.set_device(wanted)  # for code without a device argument, such as Triton kernels


def check_dtype(dtype: str, key: str) -> None:
    """Raise UserError for a dtype that weights cannot be loaded in; torch is not imported."""
    if dtype not in _DTYPES:
        raise UserError(f"{key}={dtype}: valid values are {', '.join(_DTYPES)}")


def use_threads(count: int) -> None:
    """Set the number of CPU threads to `count` in every process, so that all give bitwise equal results.

    Imports nothing: a run that only scores needs no torch.
    """
    global _threads  # noqa: PLW0603
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise UserError(f"launch.threads={count}: give a whole number of at least 1")
    _threads = count
