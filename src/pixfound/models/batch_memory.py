"""Batch size by memory: a trial run of one example, then of two, measures the bytes per prompt."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from pixfound.checkpoints.device_map import input_device
from pixfound.checkpoints.weight_memory import free_bytes
from pixfound.interfaces import BatchFit
from pixfound.models.attention.decoder_layers import Keep
from pixfound.models.geometry.batch_encoder import Request

_TRIAL_TOKENS = 16  # tokens of a trial's answers; the memory of longer answers is added
_SHARE = 0.85  # of the free memory; the rest is for fragmentation, and for peaks that the trial did not show
_MOST = {"cuda": 256, "cpu": 32}  # larger batches are no faster, and an interrupted run loses its current batch


class LanguageModel(Protocol):
    """The part of a model that a trial uses: options, and ways to encode and to answer requests."""

    generation: Mapping[str, Any]
    layers: Sequence[int] | None
    heads: Sequence[int] | None
    keep: Keep

    @property
    def captures(self) -> bool:
        """True if attention is captured."""

    def loaded(self) -> Any:
        """The transformers model."""

    def encode(self, requests: Sequence[Request]) -> dict[str, Any]:
        """Model inputs of requests."""

    def answer(self, requests: Sequence[Request]) -> Sequence[Any]:
        """Answers to requests."""


def fit(language_model: LanguageModel, requests: Sequence[Request]) -> BatchFit:
    """Number of prompts like `requests` that fit into memory in one batch, for answers of `max_new_tokens`.

    requests: all prompts about one image. The result is at least len(requests), and without figures of memory where
    the trial itself runs out of it.
    """
    import torch

    model = language_model.loaded()
    devices = sorted({str(p.device) for p in model.parameters() if p.device.type != "meta"})
    tokens = int(language_model.generation["max_new_tokens"])
    trial = copy.copy(language_model)  # shares the weights
    trial_tokens = min(_TRIAL_TOKENS, tokens)
    trial.generation = {**language_model.generation, "max_new_tokens": trial_tokens, "min_new_tokens": trial_tokens}
    another = [(_other(image), prompt) for image, prompt in requests]
    count, most = len(requests), min(_MOST.get(torch.device(d).type, _MOST["cpu"]) for d in devices)
    try:
        trial.answer(requests)  # warm-up: memory allocated once does not count
        peaks = _peaks(lambda: trial.answer(requests), devices)
        doubled_peaks = _peaks(lambda: trial.answer([*requests, *another]), devices)
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        return BatchFit(count, None, None, devices[0])
    cache_bytes, least = _cache_bytes(language_model, requests[:1]), []
    for device, first, doubled in zip(devices, peaks, doubled_peaks, strict=True):
        length, per_token = cache_bytes.get(device, (0, 0))
        grown = max((doubled - first) // count, length * per_token)  # an allocator may hide small numbers
        per_prompt = max(1, grown + (tokens - trial_tokens) * per_token)
        free = int(_SHARE * (_free(device) - max(0, first - count * grown)))
        least.append(BatchFit(max(count, min(most, free // per_prompt)), per_prompt, free, device))
    return min(least, key=lambda device_fit: device_fit.prompts)


def _other(image: Image.Image) -> Image.Image:
    """A copy of an image with one pixel changed, so that no prefix is shared with the original."""
    changed = image.convert("RGB")
    red, *rest = changed.getpixel((0, 0))  # type: ignore[misc]
    changed.putpixel((0, 0), (255 - red, *rest))
    return changed


def _cache_bytes(language_model: LanguageModel, requests: Sequence[Request]) -> dict[str, tuple[int, int]]:
    """Number of tokens of a prompt, and bytes per answer token that stay allocated; by device.

    The bytes are those of keys and values, and of the row of attention, twice: it is copied once when the answer is
    done.
    """
    from pixfound.models.attention.prefix_sharing import continue_from

    model = language_model.loaded()
    inputs = language_model.encode(requests)
    length = inputs["input_ids"].shape[1]
    by_device: dict[str, tuple[int, int]] = {}
    for layer in continue_from(model, inputs).past_key_values.layers:
        for tensor in (getattr(layer, "keys", None), getattr(layer, "values", None)):
            if tensor is not None and tensor.ndim == 4:
                before = by_device.get(str(tensor.device), (length, 0))[1]
                by_device[str(tensor.device)] = (length, before + tensor.nbytes // max(1, tensor.shape[2]))
    if language_model.captures:
        text = model.config.get_text_config(decoder=True)
        layers = len(language_model.layers or range(text.num_hidden_layers))
        heads = len(language_model.heads or range(text.num_attention_heads))
        rows = {"mean": 1, "layers": layers, "heads": layers * heads}[language_model.keep]
        image_tokens = int((inputs["input_ids"] == model.config.image_token_id).sum())
        device = str(input_device(model))
        by_device[device] = (length, by_device.get(device, (length, 0))[1] + 2 * 4 * rows * image_tokens)
    return by_device


def _peaks(work: Callable[[], Any], devices: Sequence[str]) -> list[int]:
    """Peak growth in bytes of each device's memory during `work()`; 0 or more, in the order of `devices`."""
    import torch

    before = []
    for device in devices:
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
            before.append(torch.cuda.memory_allocated(device))
        else:
            before.append(_process_bytes("VmRSS"))
    if any(torch.device(device).type == "cpu" for device in devices):
        _forget_the_peak()
    work()
    after = [
        torch.cuda.max_memory_allocated(device) if torch.device(device).type == "cuda" else _process_bytes("VmHWM")
        for device in devices
    ]
    return [max(0, peak - start) for peak, start in zip(after, before, strict=True)]


def _free(device: str) -> int:
    """Bytes that this process may still allocate: an equal share among the processes on the device."""
    import torch

    free, processes = free_bytes(device) or 0, int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if torch.device(device).type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free // math.ceil(processes / torch.cuda.device_count()) + unused
    return free // processes


def _process_bytes(name: str) -> int:
    """Bytes of this process's VmRSS, or of its peak VmHWM; 0 without /proc, so that growth is 0."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


def _forget_the_peak() -> None:
    """Reset VmHWM to the current VmRSS (Linux, proc(5)); does nothing elsewhere."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return
