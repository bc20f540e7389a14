"""Writing the trained models as ordinary folders: half-precision weights that load as float32."""

from __future__ import annotations

import json
import re
from copy import copy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPImageProcessor, CLIPVisionModel, LlavaProcessor, PreTrainedModel, ProcessorMixin

from pixfound.models.pixel.lisa import KEYS

_LOCAL = ("_name_or_path", "_from_model_config", "is_local", "local_files_only")  # say where a model was made


def export(model: PreTrainedModel, processor: ProcessorMixin, folder: Path) -> None:
    """Save model and processor. The weights are rounded to float16; the configuration still asks for float32.

    So `from_pretrained(folder)` computes in float32, and 2 bytes a weight are stored.
    """
    model.to(torch.float16).save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    for path in folder.glob("*config.json"):
        config = _portable(json.loads(path.read_text(encoding="utf-8")))
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def export_published(model: nn.Module, processor: LlavaProcessor, folder: Path, clip: Path) -> None:
    """Save a pixel-level model as LISA is published: Meta's names of SAM, LLaVA's own, and CLIP in a folder of its own.

    model: has `language` (LLaVA), `sam` and `text_hidden_fcs`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {}
    for name, tensor in model.state_dict().items():
        if "vision_tower." in name or ".shared_image_embedding." in f".{name}":
            continue  # CLIP; a copy
        known = published_name(name)
        assert name in [target.name for target in KEYS.targets(known)], (name, known)
        weights[known] = tensor.to(torch.float16).contiguous().clone()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    tokenizer = copy(processor.tokenizer)
    tokenizer.chat_template = None  # the prompt is in conf/model/tiny_pixel.yaml, as LISA's is in its code
    tokenizer.save_pretrained(folder)
    language, sam = model.language.config, model.sam.config
    text = language.text_config.to_diff_dict()
    text = {k: v for k, v in text.items() if k not in ("architectures", "model_type", "dtype", "rope_parameters")}
    parts = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    config = {
        **text, "model_type": "llava", "architectures": ["LISAForCausalLM"],
        "out_dim": sam.mask_decoder_config.hidden_size,
        "mm_vision_select_layer": language.vision_feature_layer,
        "sam_config": {part: getattr(sam, part).to_diff_dict() for part in parts},
    }  # fmt: skip
    (folder / "config.json").write_text(
        json.dumps(_portable(config), indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
    tower = CLIPVisionModel(language.vision_config)
    tower.load_state_dict(model.language.model.vision_tower.state_dict())
    images = processor.image_processor
    settings = {k: getattr(images, k) for k in ("size", "do_center_crop", "image_mean", "image_std")}
    export(tower, CLIPImageProcessor(**settings), clip)


_PUBLISHED = (  # names of this package's modules, and those of LISA's published checkpoints
    (r"^language\.model\.multi_modal_projector\.linear_1\.", "model.mm_projector.0."),
    (r"^language\.model\.multi_modal_projector\.linear_2\.", "model.mm_projector.2."),
    (r"^language\.model\.language_model\.", "model."),
    (r"^language\.lm_head\.", "lm_head."),
    (r"^text_hidden_fcs\.", "model.text_hidden_fcs.0."),
    (r"^sam\.", "model.visual_model."),
    (r"\.vision_encoder\.patch_embed\.projection\.", ".image_encoder.patch_embed.proj."),
    (r"\.vision_encoder\.layers\.", ".image_encoder.blocks."),
    (r"\.vision_encoder\.neck\.conv1\.", ".image_encoder.neck.0."),
    (r"\.vision_encoder\.neck\.layer_norm1\.", ".image_encoder.neck.1."),
    (r"\.vision_encoder\.neck\.conv2\.", ".image_encoder.neck.2."),
    (r"\.vision_encoder\.neck\.layer_norm2\.", ".image_encoder.neck.3."),
    (r"\.vision_encoder\.", ".image_encoder."),
    (r"\.shared_embedding\.positional_embedding$", ".pe_layer.positional_encoding_gaussian_matrix"),
    (r"\.point_embed\.", ".point_embeddings."),
    (r"\.mask_embed\.conv1\.", ".mask_downscaling.0."),
    (r"\.mask_embed\.layer_norm1\.", ".mask_downscaling.1."),
    (r"\.mask_embed\.conv2\.", ".mask_downscaling.3."),
    (r"\.mask_embed\.layer_norm2\.", ".mask_downscaling.4."),
    (r"\.mask_embed\.conv3\.", ".mask_downscaling.6."),
    (r"\.upscale_conv1\.", ".output_upscaling.0."),
    (r"\.upscale_layer_norm\.", ".output_upscaling.1."),
    (r"\.upscale_conv2\.", ".output_upscaling.3."),
    (r"(iou_prediction_head|output_hypernetworks_mlps\.\d+)\.layers\.0\.", r"\1.layers.1."),
    (r"(iou_prediction_head|output_hypernetworks_mlps\.\d+)\.proj_in\.", r"\1.layers.0."),
    (r"(iou_prediction_head|output_hypernetworks_mlps\.\d+)\.proj_out\.", r"\1.layers.2."),
    (r"\.layer_norm_final_attn\.", ".norm_final_attn."),
    (r"\.layer_norm(\d)\.", r".norm\1."),
)


def published_name(name: str) -> str:
    """The name that a parameter has in LISA's published checkpoints."""
    for pattern, replacement in _PUBLISHED:
        name = re.sub(pattern, replacement, name)
    return name


def _portable(value: Any) -> Any:
    """The configuration with every dtype float32 and without traces of the folder that it came from."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in _LOCAL}
        return {k: "float32" if k == "dtype" else _portable(v) for k, v in kept.items()}
    return value
