"""Families of recent years: mixtures of experts, layers without attention, grids that a processor tells."""

from __future__ import annotations

from typing import Any

import transformers as hf

from tests.support import family_chats as chats
from tests.support import newer_configs as configs
from tests.support.family import Family
from tests.support.family_parts import GLM, GLM_GRID, LLAVA, LLAVA_NEXT, QWEN, SQUARE

GEMMA4: dict[str, Any] = {
    "images": lambda: hf.Gemma4ImageProcessor(patch_size=4, max_soft_tokens=70, pooling_kernel_size=3),
    "template": chats.GEMMA4_CHAT, "start": "<bos>", "starts": False, "end": "<turn|>",
    "special": ("<|turn>", "<|image|>", "<|image>", "<image|>", "<|audio|>", "<|audio>", "<audio|>", "<|video|>"),
    "named": {"image_token": "<|image|>", "boi_token": "<|image>", "eoi_token": "<image|>", "audio_token": "<|audio|>",
              "boa_token": "<|audio>", "eoa_token": "<audio|>"},
}  # fmt: skip

NEWER: dict[str, Family] = {
    "qwen3_vl_moe": Family(configs.qwen3_vl_moe, template=chats.QWEN3_CHAT, **QWEN),
    "qwen3_5": Family(configs.qwen3_5, template=chats.QWEN3_5_CHAT, **QWEN),
    "qwen3_5_moe": Family(configs.qwen3_5_moe, template=chats.QWEN3_5_CHAT, **QWEN),
    "glm46v": Family(configs.glm46v, lambda: hf.Glm46VImageProcessor(**GLM_GRID), **GLM),
    "glm4v_moe": Family(configs.glm4v_moe, lambda: hf.Glm4vImageProcessor(**GLM_GRID), **GLM),
    "gemma4": Family(configs.gemma4, **GEMMA4),
    "gemma4_moe": Family(configs.gemma4_moe, **GEMMA4),
    "vipllava": Family(configs.vipllava, template=chats.VIP_CHAT, special=("<image>",), **LLAVA),
    "llava_next_video": Family(
        configs.llava_next_video, template=chats.LLAVA_CHAT, special=("<image>", "<video>"), **LLAVA_NEXT
    ),
    "janus": Family(
        configs.janus, lambda: hf.JanusImageProcessor(size=SQUARE, min_size=4), chats.JANUS_CHAT,
        ("<image_placeholder>", "<begin_of_image>", "<end_of_image>"),
        named={"image_token": "<image_placeholder>", "boi_token": "<begin_of_image>", "eoi_token": "<end_of_image>"},
        settings={"num_image_tokens": 16},
    ),
    "deepseek_vl_hybrid": Family(
        configs.deepseek_vl_hybrid,
        lambda: hf.DeepseekVLHybridImageProcessor(size=SQUARE, high_res_size={"height": 64, "width": 64}, min_size=4),
        chats.DEEPSEEK_CHAT, ("<image_placeholder>",), named={"image_token": "<image_placeholder>"},
        settings={"num_image_tokens": 16},
    ),
    "ernie4_5_vl_moe": Family(
        configs.ernie4_5_vl_moe,
        lambda: hf.Ernie4_5_VLMoeImageProcessor(
            patch_size=8, merge_size=2, size={"shortest_edge": 16 * 16 * 4, "longest_edge": 16 * 16 * 24}
        ),
        chats.ERNIE_CHAT,
        ("<|IMAGE_PLACEHOLDER|>", "<|IMAGE_START|>", "<|IMAGE_END|>", "<|VIDEO_PLACEHOLDER|>", "<|VIDEO_START|>",
         "<|VIDEO_END|>"),
        named={"image_token": "<|IMAGE_PLACEHOLDER|>", "image_start_token": "<|IMAGE_START|>",
               "image_end_token": "<|IMAGE_END|>", "video_token": "<|VIDEO_PLACEHOLDER|>",
               "video_start_token": "<|VIDEO_START|>", "video_end_token": "<|VIDEO_END|>"},
        starts=False,
    ),
    "lfm2_vl": Family(
        configs.lfm2_vl,
        lambda: hf.Lfm2VlImageProcessor(
            encoder_patch_size=4, tile_size=32, min_image_tokens=8, max_image_tokens=24, max_tiles=6
        ),
        chats.LFM2_CHAT,
        ("<image>", "<|image_start|>", "<|image_end|>", "<|img_thumbnail|>", "<|im_start|>",
         *(f"<|img_row_{r}_col_{c}|>" for r in range(1, 7) for c in range(1, 7))),
        named={"image_token": "<image>", "image_start_token": "<|image_start|>", "image_end_token": "<|image_end|>",
               "image_thumbnail_token": "<|img_thumbnail|>"},
        start="<|startoftext|>", starts=False, end="<|im_end|>", needs="torchvision",
    ),
    "minicpmv4_6": Family(
        configs.minicpmv4_6,
        lambda: hf.MiniCPMV4_6ImageProcessor(patch_size=4, scale_resolution=64, max_slice_nums=6),
        chats.MINICPM_CHAT,
        ("<|image_pad|>", "<|video_pad|>", "<image>", "</image>", "<slice>", "</slice>", "<image_id>", "</image_id>",
         "<|im_start|>"),
        named={"image_token": "<|image_pad|>", "video_token": "<|video_pad|>", "image_start_token": "<image>",
               "image_end_token": "</image>", "slice_start_token": "<slice>", "slice_end_token": "</slice>",
               "image_id_start_token": "<image_id>", "image_id_end_token": "</image_id>"},
        start=None, end="<|im_end|>",
    ),
    "llama4": Family(
        configs.llama4, lambda: hf.Llama4ImageProcessor(size=SQUARE, max_patches=6), chats.LLAMA4_CHAT,
        ("<|image|>", "<|patch|>", "<|image_start|>", "<|image_end|>", "<|tile_x_separator|>", "<|tile_y_separator|>",
         "<|header_start|>", "<|header_end|>"),
        settings={"patch_size": 4, "pixel_shuffle_ratio": 0.5}, start="<|begin_of_text|>", starts=False, end="<|eot|>",
        needs="torchvision",
    ),
    "exaone4_5": Family(
        configs.exaone4_5, QWEN["images"], chats.EXAONE_CHAT,
        ("<|user|>", "<|assistant|>", "<vision>", "</vision>", "<|image_pad|>", "<|video_pad|>"),
        start="[BOS]", starts=False, end="<|endofturn|>",
    ),
    "video_llama_3": Family(
        configs.video_llama_3,
        lambda: hf.VideoLlama3ImageProcessor(
            patch_size=8, merge_size=1, size={"shortest_edge": 8 * 8 * 4, "longest_edge": 8 * 8 * 24}
        ),
        chats.VIDEO_LLAMA_CHAT, ("<|im_start|>", "<|image_pad|>", "<|video_pad|>"), start=None, end="<|im_end|>",
    ),
}  # fmt: skip
