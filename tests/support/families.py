"""A tiny random model of each family, with its own processor and the chat template that it is published with.

`FAMILIES` names them all, `EVERY_FAMILY` is them as parameters of a test.
"""

from __future__ import annotations

import pytest
import transformers as hf
from transformers.models.smolvlm import processing_smolvlm

from tests.support import family_chats as chats
from tests.support import family_configs as configs
from tests.support.family import Family, skipped
from tests.support.family_parts import GLM, GLM_GRID, LLAVA, LLAVA_NEXT, QWEN, SQUARE
from tests.support.newer_families import NEWER

if processing_smolvlm.num2words is None:  # it spells numbers in prompts about videos, and is asked for even so
    processing_smolvlm.num2words = str


FAMILIES: dict[str, Family] = {
    "llava": Family(configs.llava, template=chats.LLAVA_CHAT, special=("<image>",), **LLAVA),
    "llava_next": Family(configs.llava_next, template=chats.MISTRAL_CHAT, special=("<image>",), **LLAVA_NEXT),
    "llava_onevision": Family(
        configs.llava_onevision,
        lambda: hf.LlavaOnevisionImageProcessor(
            size={"height": 34, "width": 34}, image_grid_pinpoints=configs.ONEVISION_PINPOINTS
        ),
        chats.ONEVISION_CHAT, ("<image>", "<video>", "<|im_start|>"),
        settings={"num_image_tokens": 16, "vision_feature_select_strategy": "full",
                  "vision_aspect_ratio": "anyres_max_9"},
        start=None, end="<|im_end|>",
    ),
    "qwen2_vl": Family(configs.qwen2_vl, template=chats.QWEN2_CHAT, **QWEN),
    "qwen2_5_vl": Family(configs.qwen2_5_vl, template=chats.QWEN2_CHAT, **QWEN),
    "qwen3_vl": Family(configs.qwen3_vl, template=chats.QWEN3_CHAT, **QWEN),
    "internvl": Family(
        configs.internvl,
        lambda: hf.GotOcr2ImageProcessor(size=SQUARE, crop_to_patches=False, min_patches=1, max_patches=12),
        chats.INTERNVL_CHAT, ("<img>", "</img>", "<IMG_CONTEXT>", "<video>", "<|im_start|>"),
        named={"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
               "video_token": "<video>"},
        settings={"image_seq_length": 16}, start=None, end="<|im_end|>",
    ),
    "idefics3": Family(
        configs.idefics3,
        lambda: hf.Idefics3ImageProcessor(size={"longest_edge": 128}, max_image_size={"longest_edge": 32}),
        chats.IDEFICS_CHAT.replace("START", "<|begin_of_text|>"), chats.IDEFICS_SPECIAL,
        settings={"image_seq_len": 16}, start="<|begin_of_text|>", end="<end_of_utterance>",
    ),
    "smolvlm": Family(
        configs.smolvlm,
        lambda: hf.SmolVLMImageProcessor(size={"longest_edge": 128}, max_image_size={"longest_edge": 32}),
        chats.IDEFICS_CHAT.replace("START", "<|im_start|>"), chats.IDEFICS_SPECIAL,
        settings={"image_seq_len": 16}, start="<|im_start|>", end="<end_of_utterance>",
    ),
    "gemma3": Family(
        configs.gemma3, lambda: hf.Gemma3ImageProcessor(size=SQUARE), chats.GEMMA_CHAT,
        ("<start_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"),
        named={"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"},
        settings={"image_seq_length": 16}, start="<bos>", end="<end_of_turn>",
    ),
    "paligemma": Family(
        configs.paligemma, lambda: hf.SiglipImageProcessor(size=SQUARE, image_seq_length=16), None, ("<image>",),
        named={"image_token": "<image>"}, start="<bos>", end="<eos>", starts=False,
    ),
    "glm4v": Family(configs.glm4v, lambda: hf.Glm4vImageProcessor(**GLM_GRID), **GLM),
    "aya_vision": Family(
        configs.aya_vision,
        lambda: hf.GotOcr2ImageProcessor(size=SQUARE, crop_to_patches=True, min_patches=1, max_patches=12),
        chats.COHERE_CHAT.replace("IMAGE", "<image>"), (*chats.COHERE_SPECIAL, "<image>"),
        settings={"img_size": 32, "patch_size": 4, "downsample_factor": 2}, start="<BOS_TOKEN>",
        end="<|END_OF_TURN_TOKEN|>",
    ),
    "ovis2": Family(
        configs.ovis2, lambda: hf.Ovis2ImageProcessor(size=SQUARE, crop_to_patches=True, min_patches=1, max_patches=9),
        chats.ONEVISION_CHAT.replace("+ ' '", "+ '\n'"), ("<image>", "<IMG_ATOM>", *chats.OVIS_MARKS, "<|im_start|>"),
        settings={"image_seq_length": 16}, start=None, end="<|im_end|>",
    ),
    "deepseek_vl": Family(
        configs.deepseek_vl, lambda: hf.DeepseekVLImageProcessor(size=SQUARE, min_size=4), chats.DEEPSEEK_CHAT,
        ("<image_placeholder>",),
        named={"image_token": "<image_placeholder>"}, settings={"num_image_tokens": 16},
    ),
    "cohere2_vision": Family(
        configs.cohere2_vision,
        lambda: hf.Cohere2VisionImageProcessor(
            size=SQUARE, crop_to_patches=True, min_patches=1, max_patches=12, patch_size=4, downsample_factor=2
        ),
        chats.COHERE_CHAT.replace("IMAGE", "<|IMG_PATCH|>"), chats.COHERE_SPECIAL,
        named={"boi_token": "<|START_OF_IMG|>", "eoi_token": "<|END_OF_IMG|>", "image_token": "<|IMG_PATCH|>",
               "img_line_break_token": "<|IMG_LINE_BREAK|>"},
        start="<BOS_TOKEN>", end="<|END_OF_TURN_TOKEN|>", needs="torchvision",
    ),
    "mistral3": Family(
        configs.mistral3,
        lambda: hf.PixtralImageProcessor(size={"longest_edge": 128}, patch_size={"height": 8, "width": 8}),
        chats.MISTRAL3_CHAT, ("[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]"),
        settings={"patch_size": 8, "spatial_merge_size": 2}, start="<s>", end="</s>", needs="torchvision",
    ),
    "molmo2": Family(
        configs.molmo2,
        lambda: hf.Molmo2ImageProcessor(
            size=SQUARE, max_crops=4, overlap_margins=[1, 1], patch_size=4, pooling_size=[2, 2]
        ),
        chats.ONEVISION_CHAT.replace("<image>", "<|image|>"),
        ("<|image|>", "<|video|>", "<im_patch>", "<im_col>", "<im_start>", "<low_res_im_start>", "<im_end>", "<im_low>",
         "<frame_start>", "<frame_end>", "<|im_start|>"),
        named={"image_token": "<|image|>", "video_token": "<|video|>"}, start=None, end="<|im_end|>",
        needs="torchvision",
    ),
    **NEWER,
}  # fmt: skip


EVERY_FAMILY = [pytest.param(name, marks=skipped(family.needs)) for name, family in FAMILIES.items()]
