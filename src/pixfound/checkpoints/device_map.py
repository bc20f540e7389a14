"""Models distributed over several devices."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pixfound.errors import UserError

DeviceMap = str | Mapping[str, int | str] | None
_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")  # accelerate's


def check_device_map(device_map: DeviceMap, device: str) -> None:
    """Raise UserError for an invalid `device_map`, one beside `device`, or one that takes other processes' devices."""
    if device_map is None:
        return
    if not isinstance(device_map, Mapping) and device_map not in _MAPS:
        raise UserError(f"model.device_map={device_map}: give null, {', '.join(_MAPS)}, or a map of modules to devices")
    if device != "auto":
        raise UserError(
            f"model.device_map and model.device={device} both say where the model goes; leave one of them out"
        )
    check_alone(device_map, int(os.environ.get("WORLD_SIZE", "1")))


def check_alone(device_map: DeviceMap, processes: int) -> None:
    """Raise UserError where one of several processes would use the devices of the others."""
    if device_map is not None and processes > 1:
        raise UserError(
            f"model.device_map spreads one model over all GPUs, and {processes} processes would each do so: use "
            "launch.num_processes=1, or model.device_map=null for a model that fits into one GPU"
        )


def input_device(model: Any) -> Any:
    """The device for a model's inputs: that of its input embeddings, also where the model is on several devices."""
    import torch

    table = model.get_input_embeddings()
    place = getattr(getattr(table, "_hf_hook", None), "execution_device", None)
    return table.weight.device if place is None else torch.device(place)
