"""Checks of a weights folder before transformers reads it: hangs, loops of hours, and unrequested downloads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pixfound.errors import UserError

_LARGEST = 16 * 2**20  # bytes of a config
_MOST_LAYERS = 1000  # several times those of any released model; each is built in Python before weights are read
_LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "depth", "depths", "layers", "encoder_layers",
           "decoder_layers", "num_experts", "num_local_experts", "n_routed_experts")  # fmt: skip


def check_folder(folder: Path, where: str) -> None:
    """Raise UserError for a folder with anything but files and folders, or with implausible values in its config.

    where: the user's setting as KEY=VALUE. Links are followed, as the hub's cache consists of them.
    """
    for entry in sorted(folder.iterdir()):
        if entry.exists() and not entry.is_file() and not entry.is_dir():
            raise UserError(f"{where}: {entry.name} is no regular file but a pipe, socket or device; remove it")
    for name in ("config.json", "generation_config.json"):
        file = folder / name
        if not file.is_file():
            continue
        if file.stat().st_size > _LARGEST:
            raise UserError(
                f"{where}: {name} is larger than {_LARGEST // 2**20} MiB, so it is no config; fetch it again"
            )
        try:
            values = list(_values(json.loads(file.read_bytes())))
        except RecursionError as error:
            raise UserError(f"{where}: {name} is nested too deeply to be a config; fetch it again") from error
        except ValueError:
            continue  # a damaged file is named when it is loaded
        for key, value in values:
            _check_value(key, value, f"{where}: {name}")


def _check_value(key: str, value: Any, where: str) -> None:
    if key.strip("_").startswith(("attn_implementation", "experts_implementation")) and "/" in str(value):
        reference = str(value)[:100]
        raise UserError(f"{where}: {key} names code on the hub ({reference}), which is never fetched; remove it there")
    numbers = [number for number in (value if isinstance(value, list) else [value]) if isinstance(number, int)]
    if key in _LAYERS and max(numbers, default=0) > _MOST_LAYERS:
        raise UserError(f"{where}: {key} is {max(numbers)}, more than {_MOST_LAYERS}; fetch the file again")


def _values(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """(key, value) of every entry of nested JSON values, at any depth."""
    if key:
        yield key, value
    parts = value.items() if isinstance(value, dict) else ((key, v) for v in value) if isinstance(value, list) else ()
    for name, part in parts:
        if isinstance(part, dict | list) or isinstance(value, dict):
            yield from _values(part, str(name))
