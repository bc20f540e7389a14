"""The configs of the tiny models of `newer_families.py`; those of the others are in `family_configs.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import transformers as hf

from tests.support.family_configs import PINPOINTS, ROPE, TEXT, VISION, qwen_tokens

Ids = Callable[[str], int]
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
GRID = {
    "depth": 2, "hidden_size": 32, "out_hidden_size": 48, "num_heads": 2, "patch_size": 8, "intermediate_size": 48,
    "spatial_merge_size": 2, "temporal_patch_size": 2, "initializer_range": 0.3,
}  # fmt: skip


def qwen3_vl_moe(ids: Ids, vocab: int) -> Any:
    return hf.Qwen3VLMoeConfig(
        text_config={**TEXT, **EXPERTS, "vocab_size": vocab, "rope_parameters": {**ROPE, "mrope_interleaved": True}},
        vision_config={**GRID, "depth": 3, "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]},
        **qwen_tokens(ids),
    )  # fmt: skip


DELTA = {
    "layer_types": ["full_attention", "linear_attention", "full_attention"], "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 2, 2],
                        "mrope_interleaved": True, "partial_rotary_factor": 1.0},
}  # fmt: skip


def qwen3_5(ids: Ids, vocab: int) -> Any:
    return hf.Qwen3_5Config(
        text_config={**TEXT, **DELTA, "vocab_size": vocab},
        vision_config={**GRID, "num_position_embeddings": 64}, **qwen_tokens(ids),
    )  # fmt: skip


def qwen3_5_moe(ids: Ids, vocab: int) -> Any:
    return hf.Qwen3_5MoeConfig(
        text_config={**TEXT, **DELTA, **EXPERTS, "shared_expert_intermediate_size": 32, "vocab_size": vocab},
        vision_config={**GRID, "num_position_embeddings": 64}, **qwen_tokens(ids),
    )  # fmt: skip


def glm_tokens(ids: Ids) -> dict[str, int]:
    return {
        "image_token_id": ids("<|image|>"), "video_token_id": ids("<|video|>"),
        "image_start_token_id": ids("<|begin_of_image|>"), "image_end_token_id": ids("<|end_of_image|>"),
        "video_start_token_id": ids("<|begin_of_video|>"), "video_end_token_id": ids("<|end_of_video|>"),
    }  # fmt: skip


GLM_ROPE = {**ROPE, "partial_rotary_factor": 1.0}


def glm46v(ids: Ids, vocab: int) -> Any:
    return hf.Glm46VConfig(
        text_config={**TEXT, "model_type": "glm4v_text", "vocab_size": vocab, "rope_parameters": GLM_ROPE},
        vision_config={**GRID, "model_type": "glm4v_vision", "image_size": 64}, **glm_tokens(ids),
    )  # fmt: skip


def glm4v_moe(ids: Ids, vocab: int) -> Any:
    return hf.Glm4vMoeConfig(
        text_config={**TEXT, "vocab_size": vocab, "rope_parameters": GLM_ROPE, "n_routed_experts": 4,
                     "num_experts_per_tok": 2, "moe_intermediate_size": 32, "n_shared_experts": 1, "n_group": 1,
                     "topk_group": 1, "first_k_dense_replace": 1},
        vision_config={**GRID, "image_size": 64}, **glm_tokens(ids),
    )  # fmt: skip


def vipllava(ids: Ids, vocab: int) -> Any:
    return hf.VipLlavaConfig(
        vision_config=hf.CLIPVisionConfig(**{**VISION, "num_hidden_layers": 4}, image_size=32, patch_size=8),
        text_config=hf.LlamaConfig(**TEXT, vocab_size=vocab),
        image_token_index=ids("<image>"), vision_feature_layer=[-2, -3, 1],
    )  # fmt: skip


def llava_next_video(ids: Ids, vocab: int) -> Any:
    return hf.LlavaNextVideoConfig(
        vision_config=hf.CLIPVisionConfig(**VISION, image_size=32, patch_size=8),
        text_config=hf.LlamaConfig(**TEXT, vocab_size=vocab),
        image_token_index=ids("<image>"), video_token_index=ids("<video>"), image_grid_pinpoints=PINPOINTS,
    )  # fmt: skip


def exaone4_5(ids: Ids, vocab: int) -> Any:
    return hf.Exaone4_5_Config(
        text_config=hf.Exaone4Config(**TEXT, vocab_size=vocab, sliding_window=4096, sliding_window_pattern=2),
        vision_config={**GRID, "num_key_value_heads": 1, "window_size": 32, "fullatt_block_indexes": [1]},
        image_token_id=ids("<|image_pad|>"), video_token_id=ids("<|video_pad|>"),
    )  # fmt: skip


def gemma4(ids: Ids, vocab: int, **text: Any) -> Any:
    """With the layers of the small ones unless `text` says otherwise: keys are shared, each has inputs of its own."""
    shared = {"num_kv_shared_layers": 2, "vocab_size_per_layer_input": vocab, "hidden_size_per_layer_input": 8}
    return hf.Gemma4Config(
        text_config=hf.Gemma4TextConfig(
            **{**TEXT, "num_hidden_layers": 4}, **(text or shared), vocab_size=vocab, global_head_dim=16,
            sliding_window=512, layer_types=["sliding_attention", "full_attention"] * 2,
        ),
        vision_config={**VISION, "num_key_value_heads": 2, "head_dim": 16, "patch_size": 4,
                       "pooling_kernel_size": 3, "position_embedding_size": 256},
        audio_config=None, image_token_id=ids("<|image|>"), boi_token_id=ids("<|image>"), eoi_token_id=ids("<image|>"),
        video_token_id=ids("<|video|>"), audio_token_id=ids("<|audio|>"), boa_token_id=ids("<|audio>"),
        eoa_token_index=ids("<audio|>"),
    )  # fmt: skip


def gemma4_moe(ids: Ids, vocab: int) -> Any:
    """With the layers of the large ones: experts, keys that are values, an image that sees itself."""
    return gemma4(
        ids, vocab, enable_moe_block=True, num_experts=4, top_k_experts=2, moe_intermediate_size=32,
        attention_k_eq_v=True, num_global_key_value_heads=1, use_bidirectional_attention="vision",
        hidden_size_per_layer_input=0,
    )  # fmt: skip


def video_llama_3(ids: Ids, vocab: int) -> Any:
    return hf.VideoLlama3Config(
        text_config=hf.Qwen2Config(**TEXT, vocab_size=vocab), vision_config={**VISION, "patch_size": 8},
        image_token_id=ids("<|image_pad|>"), video_token_id=ids("<|video_pad|>"),
    )  # fmt: skip


def janus(ids: Ids, vocab: int) -> Any:
    return hf.JanusConfig(
        text_config=hf.LlamaConfig(**TEXT, vocab_size=vocab),
        vision_config={"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32,
                       "patch_size": 8, "mlp_ratio": 2.0, "projection_dim": 48, "num_image_tokens": 16,
                       "initializer_range": 0.3},
        vq_config={"base_channels": 32, "channel_multiplier": [1, 1], "num_res_blocks": 1, "latent_channels": 32,
                   "num_embeddings": 16, "projection_dim": 48, "image_token_embed_dim": 48},
        image_token_id=ids("<image_placeholder>"),
    )  # fmt: skip


def deepseek_vl_hybrid(ids: Ids, vocab: int) -> Any:
    """With few channels of its second tower, whose convolutions reach over the tokens beside each."""
    return hf.DeepseekVLHybridConfig(
        vision_config=hf.SiglipVisionConfig(**VISION, image_size=32, patch_size=8, vision_use_head=False),
        high_res_vision_config=hf.SamVisionConfig(
            **{**VISION, "mlp_dim": 48}, image_size=64, patch_size=4, output_channels=4, window_size=4,
            global_attn_indexes=[1], mlp_ratio=2.0, num_pos_feats=8,
        ),
        text_config=hf.LlamaConfig(**TEXT, vocab_size=vocab), image_token_id=ids("<image_placeholder>"),
    )  # fmt: skip


def ernie4_5_vl_moe(ids: Ids, vocab: int) -> Any:
    return hf.Ernie4_5_VLMoeConfig(
        text_config={**TEXT, "vocab_size": vocab, "rope_parameters": ROPE, "moe_intermediate_size": [32, 24],
                     "moe_num_experts": 4, "moe_k": 2, "moe_num_shared_experts": 1},
        vision_config={"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 8,
                       "spatial_merge_size": 2, "temporal_merge_size": 2, "initializer_range": 0.3},
        image_token_id=ids("<|IMAGE_PLACEHOLDER|>"), image_start_token_id=ids("<|IMAGE_START|>"),
        image_end_token_id=ids("<|IMAGE_END|>"), video_token_id=ids("<|VIDEO_PLACEHOLDER|>"),
        video_start_token_id=ids("<|VIDEO_START|>"), video_end_token_id=ids("<|VIDEO_END|>"),
    )  # fmt: skip


def lfm2_vl(ids: Ids, vocab: int) -> Any:
    return hf.Lfm2VlConfig(
        text_config=hf.Lfm2Config(
            **{**TEXT, "block_auto_adjust_ff_dim": False}, vocab_size=vocab, conv_L_cache=3,
            layer_types=["full_attention", "conv", "full_attention"],
        ),
        vision_config={**VISION, "model_type": "siglip2_vision_model", "patch_size": 4, "num_patches": 64},
        image_token_id=ids("<image>"), projector_hidden_size=48, downsample_factor=2,
    )  # fmt: skip


def minicpmv4_6(ids: Ids, vocab: int) -> Any:
    return hf.MiniCPMV4_6Config(
        text_config={**TEXT, **DELTA, "model_type": "qwen3_5_text", "vocab_size": vocab},
        vision_config={**VISION, "patch_size": 4, "image_size": 64}, insert_layer_id=0,
        image_token_id=ids("<|image_pad|>"), video_token_id=ids("<|video_pad|>"),
    )  # fmt: skip


def llama4(ids: Ids, vocab: int) -> Any:
    return hf.Llama4Config(
        text_config={**TEXT, "vocab_size": vocab, "intermediate_size_mlp": 64, "num_local_experts": 4,
                     "no_rope_layer_interval": 2, "interleave_moe_layer_step": 2, "attention_chunk_size": 4096},
        vision_config={**VISION, "intermediate_size": 128, "image_size": 32, "patch_size": 4, "vision_output_dim": 48,
                       "projector_input_dim": 48, "projector_output_dim": 48},
        image_token_index=ids("<|patch|>"), boi_token_index=ids("<|image_start|>"),
        eoi_token_index=ids("<|image_end|>"),
    )  # fmt: skip
