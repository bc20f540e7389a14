"""Support check: can the attention of a model be captured? Decided from its config alone, without its weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pixfound.errors import UserError
from pixfound.io.text_files import parse_json
from pixfound.models.attention.decoder_layers import other_layers

_ASIDE = "its answers read the image through an encoder or by cross-attention, not as tokens beside the prompt"
_QUERIES = "its image tokens are queries that each read all of the image, so none has a place in it"
_IN_THE_WAY = {  # keys of configs, with the reason against capture where their value is true
    **dict.fromkeys(("is_encoder_decoder", "cross_attention_layers", "cross_layer_interval"), _ASIDE),
    **dict.fromkeys(("perceiver_config", "qformer_config", "projector_patch_to_query_dict"), _QUERIES),
    **dict.fromkeys(("resampler_num_latents", "latent_query_num", "query_num", "num_query_tokens"), _QUERIES),
    "canvas_length": "it writes all of a block of tokens at once, over and over, so no token has a step of its own",
}
_CHOOSE = "its layers of {} choose the tokens that they attend to, so a column of theirs is no place in the prompt"


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

    whole = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING[type(config)]
    text = config.get_text_config(decoder=True)
    decoder = MODEL_MAPPING[type(text)] if type(text) in MODEL_MAPPING and text is not config else whole
    if why := _said(lambda name: getattr(config, name, None), lambda name: getattr(text, name, None)):
        return whole.__name__, why
    if getattr(getattr(config, "vision_config", None), "encoder_config", None):  # a decoder of queries (DeepSeek-OCR 2)
        return whole.__name__, _QUERIES
    if not decoder._can_set_attn_implementation():
        return whole.__name__, f"its text decoder, {decoder.__name__}, does not use transformers' AttentionInterface"
    return whole.__name__, None


def _said(whole: Callable[[str], Any], text: Callable[[str], Any]) -> str | None:
    """The reason in a config's keys against capturing attention; None where there is none.

    whole, text: look a key up in the config, and in its text part; None for a key that is absent.
    """
    for key, why in _IN_THE_WAY.items():
        if whole(key) or text(key):
            return why
    kinds = other_layers(text("layer_types"))
    return _CHOOSE.format(kinds[0]) if kinds else None


def check_capture_early(found: str, path: str) -> None:
    """`check_capture` on a folder's raw config.json, before transformers is imported; a hub id passes unchecked.

    found: a folder or a hub id. path: as typed, for the error. UserError for a damaged config.json too.
    """
    file = Path(found) / "config.json"
    if not file.is_file():
        return
    try:
        values = parse_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        values = None
    if not isinstance(values, dict):
        raise UserError(f"model.path={path}: its config.json is damaged; remove it and fetch it again")
    text = values.get("text_config") or {}
    if why := _said(values.get, text.get):
        name = str((values.get("architectures") or ["this model"])[0])
        raise _not_captured(path, name, why, bool(values.get("is_encoder_decoder")))


def _not_captured(path: str, name: str, why: str, plain: bool) -> UserError:
    return UserError(
        f"model.path={path}: the attention of {name} cannot be captured: {why}. Its answers can be "
        f"graded all the same: {'model=plain' if plain else 'model.capture=none'} extraction=nulls"
    )
