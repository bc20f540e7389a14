"""The configs of the tiny models: small, in the architecture of each family.

`ids` gives the id of a token, `vocab` says how many there are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import transformers as hf

from tests.support.family_chats import OVIS_MARKS

TEXT: dict[str, Any] = {
    "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 12, "max_position_embeddings": 4096, "initializer_range": 0.3,
}  # fmt: skip
VISION: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "initializer_range": 0.3,
}  # fmt: skip
ROPE = {"rope_type": "default", "mrope_section": [2, 2, 2], "rope_theta": 10000.0}


def llava(ids: Callable[[str], int], vocab: int) -> Any:
    return hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**VISION, image_size=32, patch_size=8),
        text_config=hf.LlamaConfig(**TEXT, vocab_size=vocab),
        image_token_id=ids("<image>"), vision_feature_layer=-2,
    )  # fmt: skip


PINPOINTS = [[32, 64], [64, 32], [64, 64], [96, 32], [32, 96]]


def llava_next(ids: Callable[[str], int], vocab: int) -> Any:
    return hf.LlavaNextConfig(
        vision_config=hf.CLIPVisionConfig(**VISION, image_size=32, patch_size=8),
        text_config=hf.MistralConfig(**TEXT, vocab_size=vocab, sliding_window=None),
        image_token_id=ids("<image>"), image_grid_pinpoints=PINPOINTS,
    )  # fmt: skip


ONEVISION_PINPOINTS = [[34 * r, 34 * c] for r in range(1, 5) for c in range(1, 5)]


def llava_onevision(ids: Callable[[str], int], vocab: int) -> Any:
    return hf.LlavaOnevisionConfig(
        vision_config=hf.SiglipVisionConfig(**VISION, image_size=34, patch_size=8, vision_use_head=False),
        text_config=hf.Qwen2Config(**TEXT, vocab_size=vocab),
        image_token_id=ids("<image>"), video_token_id=ids("<video>"), image_grid_pinpoints=ONEVISION_PINPOINTS,
        vision_aspect_ratio="anyres_max_9",
    )  # fmt: skip


def qwen2_vl(ids: Callable[[str], int], vocab: int) -> Any:
    return hf.Qwen2VLConfig(
        text_config={**TEXT, "vocab_size": vocab, "rope_parameters": ROPE},
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 48, "num_heads": 2, "patch_size": 8,
                       "spatial_merge_size": 2, "temporal_patch_size": 2, "mlp_ratio": 2},
        **qwen_tokens(ids),
    )  # fmt: skip


def qwen2_5_vl(ids: Callable[[str], int], vocab: int) -> Any:
    return hf.Qwen2_5_VLConfig(
        text_config={**TEXT, "vocab_size": vocab, "rope_parameters": ROPE},
        vision_config={"depth": 2, "hidden_size": 32, "out_hidden_size": 48, "num_heads": 2, "patch_size": 8,
                       "intermediate_size": 48, "spatial_merge_size": 2, "temporal_patch_size": 2,
                       "window_size": 32, "fullatt_block_indexes": [1]},
        **qwen_tokens(ids),
    )  # fmt: skip


def qwen3_vl(ids: Callable[[str], int], vocab: int) -> Any:
    return hf.Qwen3VLConfig(
        text_config={**TEXT, "vocab_size": vocab, "rope_parameters": {**ROPE, "mrope_interleaved": True}},
        vision_config={"depth": 3, "hidden_size": 32, "out_hidden_size": 48, "num_heads": 2, "patch_size": 8,
                       "intermediate_size": 48, "spatial_merge_size": 2, "temporal_patch_size": 2,
                       "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]},
        **qwen_tokens(ids),
    )  # fmt: skip


def qwen_tokens(ids: Callable[[str], int]) -> dict[str, int]:
    return {
        "image_token_id": ids("<|image_pad|>"), "video_token_id": ids("<|video_pad|>"),
        "vision_start_token_id": ids("<|vision_start|>"), "vision_end_token_id": ids("<|vision_end|>"),
    }  # fmt: skip


def internvl(ids: Callable[[str], int], vocab: int) -> Any:
    return hf.InternVLConfig(
        vision_config=hf.InternVLVisionConfig(**VISION, image_size=[32, 32], patch_size=[4, 4]),
        text_config=hf.Qwen2Config(**TEXT, vocab_size=vocab),
        image_token_id=ids("<IMG_CONTEXT>"), image_seq_length=16, downsample_ratio=0.5,
    )  # fmt: skip


def _shuffled(whole: type, vision: type) -> Callable[[Callable[[str], int], int], Any]:
    """Idefics3 and what came of it: patches are merged in squares by a shuffle of pixels."""
    return lambda ids, vocab: whole(
        vision_config=vision(**VISION, image_size=32, patch_size=4),
        text_config=hf.LlamaConfig(**TEXT, vocab_size=vocab, pad_token_id=0),
        image_token_id=ids("<image>"), scale_factor=2, pad_token_id=0,
    )  # fmt: skip


idefics3 = _shuffled(hf.Idefics3Config, hf.models.idefics3.configuration_idefics3.Idefics3VisionConfig)
smolvlm = _shuffled(hf.SmolVLMConfig, hf.models.smolvlm.configuration_smolvlm.SmolVLMVisionConfig)


def gemma3(ids: Callable[[str], int], vocab: int) -> Any:
    return hf.Gemma3Config(
        vision_config=hf.SiglipVisionConfig(**VISION, image_size=32, patch_size=4, vision_use_head=False),
        text_config=hf.Gemma3TextConfig(
            **TEXT, vocab_size=vocab, sliding_window=24, query_pre_attn_scalar=12, pad_token_id=0,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        ),
        mm_tokens_per_image=16, image_token_index=ids("<image_soft_token>"),
        boi_token_index=ids("<start_of_image>"), eoi_token_index=ids("<end_of_image>"),
    )  # fmt: skip


def paligemma(ids: Callable[[str], int], vocab: int) -> Any:
    return hf.PaliGemmaConfig(
        vision_config=hf.SiglipVisionConfig(**VISION, image_size=32, patch_size=8, vision_use_head=False),
        text_config=hf.Gemma2Config(
            **TEXT, vocab_size=vocab, sliding_window=4096, query_pre_attn_scalar=12, pad_token_id=0,
        ),
        image_token_index=ids("<image>"), projection_dim=48,
    )  # fmt: skip


def glm4v(ids: Callable[[str], int], vocab: int) -> Any:
    return hf.Glm4vConfig(
        text_config={**TEXT, "vocab_size": vocab, "rope_parameters": {**ROPE, "partial_rotary_factor": 1.0}},
        vision_config={"depth": 2, "hidden_size": 32, "out_hidden_size": 48, "num_heads": 2, "patch_size": 8,
                       "intermediate_size": 48, "spatial_merge_size": 2, "temporal_patch_size": 2, "image_size": 64,
                       "initializer_range": 0.3},
        image_token_id=ids("<|image|>"), video_token_id=ids("<|video|>"),
        image_start_token_id=ids("<|begin_of_image|>"), image_end_token_id=ids("<|end_of_image|>"),
        video_start_token_id=ids("<|begin_of_video|>"), video_end_token_id=ids("<|end_of_video|>"),
    )  # fmt: skip


def aya_vision(ids: Callable[[str], int], vocab: int) -> Any:
    return hf.AyaVisionConfig(
        vision_config=hf.SiglipVisionConfig(**VISION, image_size=32, patch_size=4, vision_use_head=False),
        text_config=hf.Cohere2Config(
            **TEXT, vocab_size=vocab, pad_token_id=0, sliding_window=4096,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        ),
        image_token_index=ids("<|IMG_PATCH|>"), downsample_factor=2,
    )  # fmt: skip


def ovis2(ids: Callable[[str], int], vocab: int) -> Any:
    return hf.Ovis2Config(
        vision_config=hf.models.ovis2.configuration_ovis2.Ovis2VisionConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, image_size=32,
            patch_size=4, vocab_size=40, hidden_stride=2, initializer_range=0.3,
        ),
        text_config=hf.Qwen2Config(**TEXT, vocab_size=vocab),
        image_token_id=ids("<IMG_ATOM>"), vocab_size=vocab, hidden_size=48,
        visual_indicator_token_ids=[ids(t) for t in OVIS_MARKS],
    )  # fmt: skip


def deepseek_vl(ids: Callable[[str], int], vocab: int) -> Any:
    return hf.DeepseekVLConfig(
        vision_config=hf.SiglipVisionConfig(**VISION, image_size=32, patch_size=8, vision_use_head=False),
        text_config=hf.LlamaConfig(**TEXT, vocab_size=vocab), image_token_id=ids("<image_placeholder>"),
    )  # fmt: skip


def cohere2_vision(ids: Callable[[str], int], vocab: int) -> Any:
    return hf.Cohere2VisionConfig(
        vision_config=hf.SiglipVisionConfig(**VISION, image_size=32, patch_size=4, vision_use_head=False),
        text_config=hf.Cohere2Config(
            **TEXT, vocab_size=vocab, pad_token_id=0, sliding_window=4096,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        ),
        image_token_id=ids("<|IMG_PATCH|>"), downsample_factor=2, alignment_intermediate_size=64,
    )  # fmt: skip


def mistral3(ids: Callable[[str], int], vocab: int) -> Any:
    return hf.Mistral3Config(
        vision_config=hf.PixtralVisionConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, image_size=128,
            patch_size=8, head_dim=16, initializer_range=0.3,
        ),
        text_config=hf.MistralConfig(**TEXT, vocab_size=vocab, sliding_window=None),
        image_token_index=ids("[IMG]"), spatial_merge_size=2,
    )  # fmt: skip


def molmo2(ids: Callable[[str], int], vocab: int) -> Any:
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16, "initializer_range": 0.3}
    names = ("image_start", "low_res_image_start", "image_end", "image_patch", "frame_start", "frame_end")
    marks = ("<im_start>", "<low_res_im_start>", "<im_end>", "<im_patch>", "<frame_start>", "<frame_end>")
    tokens = {f"{n}_id" if n == "image_patch" else f"{n}_token_id": ids(m) for n, m in zip(names, marks, strict=True)}
    return hf.Molmo2Config(
        text_config={**TEXT, "vocab_size": vocab, "additional_vocab_size": 0},
        vision_config={**heads, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
                       "image_size": [32, 32], "patch_size": 4},
        adapter_config={**heads, "vision_feature_layer": [1, 0], "hidden_size": 32, "intermediate_size": 48,
                        "text_hidden_size": 48},
        **tokens,
    )  # fmt: skip
