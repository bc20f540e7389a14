"""Memory that weights need, from the headers of their files, compared with the free memory of a device."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from pixfound.checkpoints import locating
from pixfound.checkpoints.conversion import read_bin
from pixfound.errors import UserError

_BYTES = {
    "F64": 8,
    "I64": 8,
    "F32": 4,
    "I32": 4,
    "F16": 2,
    "BF16": 2,
    "I16": 2,
    "F8_E4M3": 1,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
Place = tuple[str, str, str]  # a folder of weights, the user's path for it, and its config key
_FLOATS = ("F64", "F32", "F16", "BF16")


def check_memory(folder: str, path: str, dtype: str, device: str, beside: Sequence[Place] = ()) -> None:
    """Raise UserError where the weights alone exceed the free memory of `device`. beside: further weights."""
    needed = 0
    for checkpoint, typed, key in ((folder, path, "model.path"), *beside):
        with locating.loading(typed, key):
            needed += weight_bytes(checkpoint, dtype)
    free = free_bytes(device)
    if free is not None and needed > free:
        raise UserError(
            f"model.path={path}: its weights take {needed / 2**30:.1f} GiB as {dtype}, and {device} has "
            f"{free / 2**30:.1f} GiB free: use model.dtype=bfloat16, another model.device, or a smaller model"
        )


def check_memory_on_the_way(folder: str, path: str, dtype: str, device: str, beside: Sequence[Place] = ()) -> None:
    """`check_memory` for a model that is built on the CPU and then moved to `device`."""
    for place in dict.fromkeys(("cpu", device)):
        check_memory(folder, path, dtype, place, beside)


def weight_bytes(folder: str, dtype: str) -> int:
    """Bytes that the weights in `folder` take in memory as `dtype`; only the files' headers are read.

    PyTorch's .bin files count where there are no safetensors.
    """
    import torch

    size = None if dtype == "auto" else getattr(torch, dtype).itemsize
    sizes = [*_stored_sizes(folder)]
    return sum(count * (size if size is not None and floats else stored) for count, stored, floats in sizes)


def _stored_sizes(folder: str) -> Iterator[tuple[int, int, bool]]:
    """(number of values, bytes of each as stored, True for floats) for every tensor."""
    files = sorted(Path(folder).glob("*.safetensors"))
    for file in files:
        _, tensors = locating.header(file)
        for tensor in (about for name, about in tensors.items() if name != "__metadata__"):
            yield math.prod(tensor["shape"]), _BYTES.get(tensor["dtype"], 1), tensor["dtype"] in _FLOATS
    for file in () if files else sorted(Path(folder).glob("pytorch_model*.bin")):
        for value in read_bin(file, "meta").values():
            yield value.numel(), value.element_size(), value.is_floating_point()


def free_bytes(device: str) -> int | None:
    """Free memory of a device in bytes; None where it is unknown."""
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if kind != "cpu":
        return None
    import psutil  # comes with accelerate

    return int(psutil.virtual_memory().available)
