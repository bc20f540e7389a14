"""Support check: can the attention of a model be captured? Decided from its config alone, without its weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pixfound.errors import UserError
from pixfound.io.text_files import parse_json
from pixfound.models.attention.decoder_layers import other_layers

_NOT_IN_PROMPT = "it reads the image through an encoder or cross-attention, not as tokens in the prompt"
_RESAMPLED = "its image tokens come from a resampler (Q-Former), so none has a position in the image"
_REASONS = {  # keys of configs, with the reason against capture where their value is true
    **dict.fromkeys(("is_encoder_decoder", "cross_attention_layers", "cross_layer_interval"), _NOT_IN_PROMPT),
    **dict.fromkeys(("perceiver_config", "qformer_config", "projector_patch_to_query_dict"), _RESAMPLED),
    **dict.fromkeys(("resampler_num_latents", "latent_query_num", "query_num", "num_query_tokens"), _RESAMPLED),
    "canvas_length": "it writes a block of tokens in several passes, so no token has a decoding step of its own",
}
_SPARSE = "its layers of {} choose the tokens that they attend to, so the token of an attention weight is unknown"


def check_capture(config: Any, path: str) -> None:
    """UserError where the attention of a model with this config cannot be captured. path: as typed, for the error."""
    name, why = _why_not_captured(config)
    if why is not None:
        raise _not_captured(path, name, why, bool(config.is_encoder_decoder))


def can_capture(config: Any) -> bool:
    """Return True where `check_capture` raises nothing."""
    return _why_not_captured(config)[1] is None


def _why_not_captured(config: Any) -> tuple[str, str | None]:
    """The name of a config's model class, and the reason why its attention cannot be captured; None if it can."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING, MODEL_MAPPING

    model = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING[type(config)]
    text = config.get_text_config(decoder=True)
    decoder = MODEL_MAPPING[type(text)] if type(text) in MODEL_MAPPING and text is not config else model
    if why := _reason(lambda name: getattr(config, name, None), lambda name: getattr(text, name, None)):
        return model.__name__, why
    if getattr(getattr(config, "vision_config", None), "encoder_config", None):  # a decoder of queries (DeepSeek-OCR 2)
        return model.__name__, _RESAMPLED
    if not decoder._can_set_attn_implementation():
        return model.__name__, f"its text decoder, {decoder.__name__}, does not use transformers' AttentionInterface"
    return model.__name__, None


def _reason(of_model: Callable[[str], Any], of_text: Callable[[str], Any]) -> str | None:
    """The reason in a config's keys against capturing attention; None where there is none.

    of_model, of_text: look a key up in the config, and in its text part; None for a key that is absent.
    """
    for key, why in _REASONS.items():
        if of_model(key) or of_text(key):
            return why
    kinds = other_layers(of_text("layer_types"))
    return _SPARSE.format(kinds[0]) if kinds else None


def check_capture_early(location: str, path: str) -> None:
    """`check_capture` on a folder's raw config.json, before transformers is imported; a hub id passes unchecked.

    location: a folder or a hub id. path: as typed, for the error. UserError for a damaged config.json too.
    """
    file = Path(location) / "config.json"
    if not file.is_file():
        return
    try:
        values = parse_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        values = None
    if not isinstance(values, dict):
        raise UserError(f"model.path={path}: its config.json is damaged; remove it and fetch it again")
    text = values.get("text_config") or {}
    if why := _reason(values.get, text.get):
        name = str((values.get("architectures") or ["this model"])[0])
        raise _not_captured(path, name, why, bool(values.get("is_encoder_decoder")))


def _not_captured(path: str, name: str, why: str, plain: bool) -> UserError:
    return UserError(
        f"model.path={path}: the attention of {name} cannot be captured: {why}. Its answers can be "
        f"graded all the same: {'model=plain' if plain else 'model.capture=none'} extraction=nulls"
    )
