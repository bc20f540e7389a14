"""Loading a model's weights, and what is checked before they are: its class, its capture, the memory."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pixfound import weights
from pixfound.errors import UserError
from pixfound.models.keymap import read_bin

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
_ASIDE = ("is_encoder_decoder", "cross_attention_layers", "cross_layer_interval")  # keys of configs
_WHY_ASIDE = "its answers read the image through an encoder or by cross-attention, not as tokens beside the prompt"
Place = tuple[str, str, str]  # a folder of weights, what the user typed for it, and the config key that holds that
DeviceMap = str | Mapping[str, int | str] | None
_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")  # accelerate's
_FLOATS = ("F64", "F32", "F16", "BF16")


def load_config(folder: str, path: str, code: bool = False) -> Any:
    """The transformers config in `folder`; UserError where it is of no image-text-to-text model.

    code: whether Python files of the folder may be run. Never left to transformers, which would ask on the terminal.
    """
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    with weights.loading(path, "model.path"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=code)
        if code:
            _register(config, folder)
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise UserError(
            f"model.path={path}: holds a {config.model_type} model, which transformers does not list as "
            "image-text-to-text (AutoModelForImageTextToText): give the path of a multi-modal LLM"
        )
    return config


def _register(config: Any, folder: str) -> None:
    """Make the model class that a folder brings along known to transformers as that of its config."""
    from transformers import AutoModelForImageTextToText
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    name = getattr(config, "auto_map", {}).get(AutoModelForImageTextToText.__name__)
    if name is not None:
        made = get_class_from_dynamic_module(name, folder)
        AutoModelForImageTextToText.register(type(config), made, exist_ok=True)


def check_capture(config: Any, path: str) -> None:
    """UserError where the attention of a model of this config cannot be captured; known without its weights."""
    name, why = _why_not_captured(config)
    if why is not None:
        raise _not_captured(path, name, why, bool(config.is_encoder_decoder))


def can_capture(config: Any) -> bool:
    """Whether `check_capture` has nothing to say."""
    return _why_not_captured(config)[1] is None


def _why_not_captured(config: Any) -> tuple[str, str | None]:
    """The model class of a config, and what is in the way of capturing its attention."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING, MODEL_MAPPING

    whole = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING[type(config)]
    text = config.get_text_config(decoder=True)
    decoder = MODEL_MAPPING[type(text)] if type(text) in MODEL_MAPPING and text is not config else whole
    if any(getattr(part, name, None) for part in (config, text) for name in _ASIDE):
        return whole.__name__, _WHY_ASIDE
    if not decoder._can_set_attn_implementation():
        return whole.__name__, f"its text decoder, {decoder.__name__}, does not use transformers' AttentionInterface"
    return whole.__name__, None


def check_capture_early(found: str, path: str) -> None:
    """What a folder's config.json says of `check_capture` at once; nothing is known of a hub id. found: either."""
    file = Path(found) / "config.json"
    if not file.is_file():
        return
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        values = None
    if not isinstance(values, dict):
        raise UserError(f"model.path={path}: its config.json is damaged; remove it and fetch it again")
    parts = (values, values.get("text_config") or {})
    if any(part.get(name) for part in parts for name in _ASIDE):
        name = str((values.get("architectures") or ["this model"])[0])
        raise _not_captured(path, name, _WHY_ASIDE, bool(values.get("is_encoder_decoder")))


def check_served(config: Any, path: str) -> None:
    """UserError for a model that only `pixfound.models.plain` can ask: known without its weights."""
    why = "names no image_token_id" if getattr(config, "image_token_id", None) is None else ""
    if why or config.is_encoder_decoder:
        raise UserError(
            f"model.path={path}: this {config.model_type} model {why or 'is an encoder-decoder'}; use model=plain "
            "with extraction=text_box, text_mask or nulls"
        )


def _not_captured(path: str, name: str, why: str, plain: bool = False) -> UserError:
    return UserError(
        f"model.path={path}: the attention of {name} cannot be captured: {why}. Its answers can be "
        f"graded all the same: {'model=plain' if plain else 'model.capture=none'} extraction=nulls"
    )


def load_model(
    folder: str,
    path: str,
    dtype: str,
    device: str,
    implementation: str | None,
    required: bool = True,
    device_map: DeviceMap = None,
    code: bool = False,
) -> Any:
    """The model in eval mode on `device`.

    implementation: the attention of its text decoder; None for the default. required: whether it is an error that the
    decoder does not take it. device_map: transformers' own, in place of `device`. code: whether Python files of the
    folder may be run.
    """
    import torch
    from transformers import AutoModelForImageTextToText
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # the stage has its own
    chosen = dtype if dtype == "auto" else getattr(torch, dtype, None)
    if not (chosen == "auto" or isinstance(chosen, torch.dtype)):
        raise UserError(f"model.dtype={dtype}: give auto, float32, bfloat16 or float16")
    if not any(Path(folder).glob("*.safetensors")):
        raise UserError(
            f"model.path={path}: has no weights (*.safetensors) beside its config; fetch them as well. A .bin is not "
            "read: take a revision with *.safetensors, or write them with safetensors.torch.save_file"
        )
    if device_map is None:
        check_memory(folder, path, dtype, device)
    options = {"dtype": chosen, "device_map": device_map, "trust_remote_code": code}
    model = load_pretrained(AutoModelForImageTextToText, folder, path, "model.path", **options)
    with weights.loading(path, "model.path"):
        if implementation is not None:
            model.set_attn_implementation({"text_config": implementation})
    taken = model.config.get_text_config()._attn_implementation == implementation
    if required and implementation is not None and not taken:
        raise UserError(
            f"model.path={path}: the text decoder of {type(model).__name__} takes no other attention function, so its "
            "attention cannot be captured; use model.capture=none extraction=nulls"
        )
    if device_map is None:
        with weights.loading(path, "model.path"):
            model = model.to(device)
    return model.eval()


def load_pretrained(architecture: Any, folder: str, path: str, key: str, **options: Any) -> Any:
    """A transformers model whose every parameter is the checkpoint's: of others it would draw those, and go on.

    architecture: its class, or an auto class. path: what the user typed, and the config key that holds it, for errors.
    """
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()  # it would print a table of what is wrong
    try:
        with weights.loading(path, key):
            model, told = architecture.from_pretrained(
                folder, output_loading_info=True, ignore_mismatched_sizes=True, **options
            )
    finally:
        logging.set_verbosity(before)
    misfits = [name for name, *_ in told["mismatched_keys"]]
    for wrong, what in ((told["missing_keys"], "lack"), (misfits, "have another shape than its config says for")):
        if wrong:
            raise UserError(
                f"{key}={path}: the weights {what} {', '.join(sorted(wrong)[:3])} ({len(wrong)} parameters in all), so "
                "they are incomplete or of another model; fetch the whole repository again"
            )
    return model


def check_device_map(device_map: DeviceMap, device: str) -> None:
    """UserError where a model is to be spread over devices that it cannot have alone, or over which is unclear."""
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
    """UserError where one of several processes would take the devices of the others."""
    if device_map is not None and processes > 1:
        raise UserError(
            f"model.device_map spreads one model over all GPUs, and {processes} processes would each do so: use "
            "launch.num_processes=1, or model.device_map=null for a model that fits into one GPU"
        )


def input_device(model: Any) -> Any:
    """Where a model, spread over devices or not, takes its inputs: where its embeddings are looked up."""
    import torch

    table = model.get_input_embeddings()
    place = getattr(getattr(table, "_hf_hook", None), "execution_device", None)
    return table.weight.device if place is None else torch.device(place)


def check_memory(folder: str, path: str, dtype: str, device: str, beside: Sequence[Place] = ()) -> None:
    """UserError where the weights alone are larger than what is free on `device`. beside: where further ones are."""
    needed = 0
    for one, typed, key in ((folder, path, "model.path"), *beside):
        with weights.loading(typed, key):
            needed += weight_bytes(one, dtype)
    free = free_bytes(device)
    if free is not None and needed > free:
        raise UserError(
            f"model.path={path}: its weights take {needed / 2**30:.1f} GiB as {dtype}, and {device} has "
            f"{free / 2**30:.1f} GiB free: use model.dtype=bfloat16, another model.device, or a smaller model"
        )


def check_memory_on_the_way(folder: str, path: str, dtype: str, device: str, beside: Sequence[Place] = ()) -> None:
    """`check_memory` for a model that is put together on the CPU and then moved to `device`."""
    for place in dict.fromkeys(("cpu", device)):
        check_memory(folder, path, dtype, place, beside)


def weight_bytes(folder: str, dtype: str) -> int:
    """How many bytes the weights in `folder` take in memory as `dtype`; of the files only the headers are read.

    Of PyTorch's .bin files where there are no safetensors.
    """
    import torch

    size = None if dtype == "auto" else getattr(torch, dtype).itemsize
    sizes = [*_stored_sizes(folder)]
    return sum(count * (size if size is not None and floats else stored) for count, stored, floats in sizes)


def _stored_sizes(folder: str) -> Iterator[tuple[int, int, bool]]:
    """(number of values, bytes of each as stored, whether they are floats) for every tensor."""
    files = sorted(Path(folder).glob("*.safetensors"))
    for file in files:
        _, tensors = weights.header(file)
        for tensor in (about for name, about in tensors.items() if name != "__metadata__"):
            yield math.prod(tensor["shape"]), _BYTES.get(tensor["dtype"], 1), tensor["dtype"] in _FLOATS
    for file in () if files else sorted(Path(folder).glob("pytorch_model*.bin")):
        for value in read_bin(file, "meta").values():
            yield value.numel(), value.element_size(), value.is_floating_point()


def free_bytes(device: str) -> int | None:
    """The memory that is free on a device; None where that cannot be told."""
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if kind != "cpu":
        return None
    import psutil  # comes with accelerate

    return int(psutil.virtual_memory().available)
