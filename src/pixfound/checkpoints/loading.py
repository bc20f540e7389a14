"""Loading of transformers models, and checks of their config before the weights are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixfound.checkpoints import locating
from pixfound.checkpoints.device_map import DeviceMap
from pixfound.checkpoints.weight_memory import check_memory
from pixfound.errors import UserError


def load_config(folder: str, path: str, code: bool = False) -> Any:
    """The transformers config in `folder`; raises UserError unless it is of an image-text-to-text model.

    code: True allows Python files of the folder to be run. It is always passed on, as transformers would otherwise ask
    on the terminal.
    """
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    with locating.loading(path, "model.path"):
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
    """Register the model class in a folder's own code with transformers as the class of its config."""
    from transformers import AutoModelForImageTextToText
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    name = getattr(config, "auto_map", {}).get(AutoModelForImageTextToText.__name__)
    if name is not None:
        model_class = get_class_from_dynamic_module(name, folder)
        AutoModelForImageTextToText.register(type(config), model_class, exist_ok=True)


def check_served(config: Any, path: str) -> None:
    """Raise UserError for a model that only `pixfound.models.encoder_decoder` supports; reads no weights."""
    why = "names no image_token_id" if getattr(config, "image_token_id", None) is None else ""
    if why or config.is_encoder_decoder:
        raise UserError(
            f"model.path={path}: this {config.model_type} model {why or 'is an encoder-decoder'}; use model=plain "
            "with extraction=text_box, text_mask or nulls"
        )


def load_model(
    folder: str,
    path: str,
    dtype: str,
    device: str,
    device_map: DeviceMap = None,
    code: bool = False,
) -> Any:
    """The model in eval mode on `device`.

    device_map: as in transformers, in place of `device`. code: True allows Python files of the folder to be run.
    """
    import torch
    from transformers import AutoModelForImageTextToText
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # the stage has its own
    torch_dtype = dtype if dtype == "auto" else getattr(torch, dtype)
    if not any(Path(folder).glob("*.safetensors")):
        raise UserError(
            f"model.path={path}: has no weights (*.safetensors) beside its config; fetch them as well. A .bin is not "
            "read: take a revision with *.safetensors, or write them with safetensors.torch.save_file"
        )
    if device_map is None:
        check_memory(folder, path, dtype, device)
    options = {"dtype": torch_dtype, "device_map": device_map, "trust_remote_code": code}
    model = load_pretrained(AutoModelForImageTextToText, folder, path, "model.path", **options)
    if device_map is None:
        with locating.loading(path, "model.path"):
            model = model.to(device)
    return model.eval()


def set_attention(model: Any, name: str, path: str, required: bool) -> None:
    """Let the text decoder of a model use the attention function `name`.

    path: `model.path` as typed, for errors. required: True raises UserError where the decoder does not take it.
    """
    with locating.loading(path, "model.path"):
        model.set_attn_implementation({"text_config": name})
    if required and model.config.get_text_config()._attn_implementation != name:
        raise UserError(
            f"model.path={path}: the text decoder of {type(model).__name__} takes no other attention function, so its "
            "attention cannot be captured; use model.capture=none extraction=nulls"
        )


def load_pretrained(architecture: Any, folder: str, path: str, key: str, **options: Any) -> Any:
    """Load a transformers model and check that every parameter is in the checkpoint.

    transformers would initialise missing parameters at random and go on. architecture: the model's class, or an auto
    class. path, key: the user's path and its config key, for error messages.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()  # the stage has its own
    before = logging.get_verbosity()
    logging.set_verbosity_error()  # it would print a table of what is wrong
    try:
        with locating.loading(path, key):
            model, loading_info = architecture.from_pretrained(
                folder, output_loading_info=True, ignore_mismatched_sizes=True, **options
            )
    finally:
        logging.set_verbosity(before)
    misfits = [name for name, *_ in loading_info["mismatched_keys"]]
    for names, problem in (
        (loading_info["missing_keys"], "lack"),
        (misfits, "have another shape than its config says for"),
    ):
        if names:
            raise UserError(
                f"{key}={path}: the weights {problem} {', '.join(sorted(names)[:3])} ({len(names)} parameters in all), "
                "so they are incomplete or of another model; fetch the whole repository again"
            )
    return model
