"""Settings of Sa2VA and RGA3 checkpoints per MLLM backbone: names of tensors, config, processor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pixfound.checkpoints import conversion, locating
from pixfound.checkpoints.processors import load_processor, put_together
from pixfound.errors import UserError

Pixels = Sequence[int] | None
_LANGUAGE = "language.model.language_model."
_DROPPED = {**conversion.SAM2_VIDEO, r"\.rotary_(pos_)?emb\.inv_freq$": "computed from the config"}
_DRAWING: tuple[tuple[str, str, Sequence[tuple[str, str]]], ...] = (
    (r"(model\.)?(grounding_encoder\.sam2_model|visual_model)\.", "sam2.", conversion.SAM2),
    (r"(model\.)?text_hidden_fcs\.(?=\d+\.weight|\d+\.bias)", "text_hidden_fcs.", ()),
    (r"(model\.)?text_hidden_fcs\.0\.", "text_hidden_fcs.", ()),
)
QWEN_KEYS = conversion.KeyMap(
    parts=(
        *_DRAWING,
        (r"model\.model\.language_model\.", _LANGUAGE, ()),  # transformers since 4.52
        (r"(model\.)?(model\.)?visual\.", "language.model.visual.", ()),
        (r"(model\.)?lm_head\.", "language.lm_head.", ()),
        (r"model\.language_model\.", _LANGUAGE, ()),
        (r"(model\.)?model\.", _LANGUAGE, ()),
    ),
    dropped=_DROPPED,
    copies=conversion.SHARED,
)
_INTERN_VIT = (  # InternViT's names -> transformers'; see its conversion script of InternVL
    (r"embeddings\.class_embedding$", "embeddings.cls_token"),
    (r"embeddings\.patch_embedding\.", "embeddings.patch_embeddings.projection."),
    (r"embeddings\.position_embedding$", "embeddings.position_embeddings"),
    (r"encoder\.layers\.", "encoder.layer."),
    (r"\.attn\.qkv\.", ".attention.{q_proj,k_proj,v_proj}."),
    (r"\.attn\.proj\.", ".attention.projection_layer."),
    (r"\.attn\.", ".attention."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.ls(\d)$", r".lambda_\1"),
)
_PROJECTOR = ((r"^0\.", "layer_norm."), (r"^1\.", "linear_1."), (r"^3\.", "linear_2."))
INTERNVL_KEYS = conversion.KeyMap(
    parts=(
        *_DRAWING,
        (r"vision_model\.", "language.model.vision_tower.", _INTERN_VIT),
        (r"mlp1\.", "language.model.multi_modal_projector.", _PROJECTOR),
        (r"language_model\.lm_head\.", "language.lm_head.", ()),
        (r"language_model\.model\.", _LANGUAGE, ()),
    ),
    dropped=_DROPPED,
    copies=conversion.SHARED,
)


@dataclass(frozen=True)
class Line:
    """Settings of a backbone.

    keys: map of published tensor names. read: (folder, path, config.json, pixels) -> transformers' config of the MLLM,
    and its processor. prompt_too: True where the original decodes a mask for a [SEG] in the prompt too.
    """

    keys: conversion.KeyMap
    read: Callable[[str, str, Mapping[str, Any], Pixels], tuple[Any, Any]]
    prompt_too: bool = True


def _read_qwen(architecture: str) -> Callable[[str, str, Mapping[str, Any], Pixels], tuple[Any, Any]]:
    """Reader of Qwen-VL checkpoints: the config, published under another model type, and their own processor."""

    def read(folder: str, path: str, published: Mapping[str, Any], pixels: Pixels) -> tuple[Any, Any]:
        from transformers import AutoConfig

        skipped = ("model_type", "architectures", "auto_map", "template", "sam_config", "transformers_version")
        with locating.loading(path, "model.path"):
            config = AutoConfig.for_model(architecture, **{k: v for k, v in published.items() if k not in skipped})
        processor = load_processor(folder, path, config)
        if pixels is not None:
            least, most = pixels
            processor.image_processor.size = {"shortest_edge": least, "longest_edge": most}
        return config, processor

    return read


def _read_internvl(folder: str, path: str, published: Mapping[str, Any], pixels: Pixels) -> tuple[Any, Any]:
    """Config and processor of InternVL 2.5 and 3 (arXiv 2412.05271, 2504.10479), which publish a tokenizer alone.

    An image is cut into at most 12 tiles, with a view of the whole beside them. The prompt is a user turn without a
    system message. It starts with the image, with no line break after it. UserError where `pixels` is given.
    """
    from transformers import AutoTokenizer, GotOcr2ImageProcessorPil, InternVLProcessor, PreTrainedConfig

    if pixels is not None:
        raise UserError("model.pixels: InternVL cuts an image into tiles of one size: use model.pixels=null")
    names = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    names["video_token"] = "<video>"  # required by InternVLProcessor, though no input here is a video
    with locating.loading(path, "model.path"):
        tokenizer = AutoTokenizer.from_pretrained(folder, config=PreTrainedConfig(), extra_special_tokens=names)
    config = _internvl_config(path, published, tokenizer.context_image_token_id)
    side, _ = config.vision_config.image_size
    images = GotOcr2ImageProcessorPil(
        size={"height": side, "width": side},
        crop_to_patches=True,
        min_patches=1,
        max_patches=12,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}"
        "{% if c['type'] == 'image' %}<IMG_CONTEXT>{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    processor = put_together(
        InternVLProcessor, images, tokenizer, image_seq_length=config.image_seq_length, chat_template=template
    )
    return config, processor


def _internvl_config(path: str, published: Mapping[str, Any], image_id: int) -> Any:
    """Transformers' InternVLConfig from the published nested config; UserError for an unknown language model."""
    from transformers import CONFIG_MAPPING, InternVLConfig, InternVLVisionConfig

    vision, text = published.get("vision_config", {}), published.get("llm_config", {})
    if text.get("model_type") not in CONFIG_MAPPING or published.get("ps_version") != "v2":
        raise UserError(
            f"model.path={path}: its language model is {text.get('model_type')}, its pixel shuffle "
            f"{published.get('ps_version')}; this reads Sa2VA with InternVL3, or InternVL2.5 on a language model that "
            "transformers has, with pixel shuffle v2: use model=precomputed for this one"
        )
    same = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act", "norm_type")
    side, patch = published.get("force_image_size") or vision["image_size"], vision["patch_size"]
    ratio = float(published["downsample_ratio"])
    with locating.loading(path, "model.path"):
        return InternVLConfig(
            vision_config=InternVLVisionConfig(
                **{name: vision[name] for name in (*same, "layer_norm_eps") if name in vision},
                attention_bias=vision["qkv_bias"],
                use_qk_norm=vision["qk_normalization"],
                image_size=side,
                patch_size=patch,
            ),
            text_config={k: v for k, v in text.items() if k not in ("architectures", "auto_map", "torch_dtype")},
            image_token_id=image_id,
            image_seq_length=int((side // patch) ** 2 * ratio**2),
            downsample_ratio=ratio,
            vision_feature_layer=published["select_layer"],
            tie_word_embeddings=bool(text.get("tie_word_embeddings", False)),
        )


LINES: Mapping[str, Line] = {
    "qwen2_5_vl": Line(QWEN_KEYS, _read_qwen("qwen2_5_vl")),
    "qwen3_vl": Line(QWEN_KEYS, _read_qwen("qwen3_vl")),
    "internvl": Line(INTERNVL_KEYS, _read_internvl, prompt_too=False),  # it generates from embeddings
}
