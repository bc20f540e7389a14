"""What several families' folders have in common: pictures, chat and tokens, as arguments of `Family`."""

from __future__ import annotations

from typing import Any

import transformers as hf

from tests.support import family_chats as chats
from tests.support.family_configs import PINPOINTS

SQUARE = {"height": 32, "width": 32}
_PATCHES = {"patch_size": 8, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
LLAVA: dict[str, Any] = {
    "images": lambda: hf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=SQUARE), "settings": _PATCHES,
}  # fmt: skip
LLAVA_NEXT: dict[str, Any] = {
    "images": lambda: hf.LlavaNextImageProcessor(
        size={"shortest_edge": 32}, crop_size=SQUARE, image_grid_pinpoints=PINPOINTS
    ),
    "settings": _PATCHES,
}
QWEN: dict[str, Any] = {
    "special": chats.QWEN_SPECIAL, "start": None, "end": "<|im_end|>",
    "images": lambda: hf.Qwen2VLImageProcessor(
        patch_size=8, merge_size=2, temporal_patch_size=2,
        size={"shortest_edge": 16 * 16 * 4, "longest_edge": 16 * 16 * 24}
    ),
}  # fmt: skip
GLM: dict[str, Any] = {
    "template": chats.GLM_CHAT, "start": None, "end": "<|user|>",
    "special": (
        "<|image|>", "<|video|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>",
        "[gMASK]", "<sop>", "<|assistant|>",
    ),
}  # fmt: skip
GLM_GRID: dict[str, Any] = {
    "patch_size": 8, "merge_size": 2, "temporal_patch_size": 2,
    "size": {"shortest_edge": 16 * 16 * 2 * 4, "longest_edge": 16 * 16 * 2 * 24},
}  # fmt: skip
