"""A tiny random model of each family, with its own processor and the chat template that it is published with.

Folders have the files of a published checkpoint: weights, tokenizer, `preprocessor_config.json`, chat template.
`FAMILIES` names them all, `EVERY_FAMILY` is them as parameters of a test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers.models.smolvlm import processing_smolvlm

from tests.support import family_chats as chats
from tests.support import family_configs as configs

if processing_smolvlm.num2words is None:  # it spells numbers in prompts about videos, and is asked for even so
    processing_smolvlm.num2words = str


@dataclass(frozen=True)
class Family:
    """How one family's folder is made.

    special: tokens beside <pad>, the start and the end. named: which of them the processor knows by which name.
    config: of the token ids, the model's config. images: makes the image processor. settings: of the processor.
    start, end: the tokens around a text; starts: whether the tokenizer writes the start itself. needs: a package
    without which its image processor cannot be made.
    """

    config: Callable[[Callable[[str], int], int], Any]
    images: Callable[[], Any]
    template: str | None
    special: tuple[str, ...]
    named: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    start: str | None = "<s>"
    end: str = "</s>"
    starts: bool = True
    needs: str | None = None

    def save(self, folder: Path, seed: int = 0, local: bool = False) -> Path:
        """Write the model and all that belongs to it. local: see `token_local`."""
        tokenizer = byte_tokenizer(self)
        config = self.config(tokenizer.convert_tokens_to_ids, len(tokenizer))
        torch.manual_seed(seed)
        model = hf.AutoModelForImageTextToText.from_config(config).eval()
        with torch.no_grad():  # what starts at zero would hide the image or the place
            for name, weight in model.named_parameters():
                if not weight.any() and not name.endswith("bias"):
                    weight.normal_(std=0.1)
        if local:
            token_local(model)
        model.generation_config.eos_token_id = tokenizer.eos_token_id
        model.generation_config.pad_token_id = tokenizer.pad_token_id
        blank = {i for i in range(len(tokenizer)) if not tokenizer.decode([i]).strip()}
        marks = (set(tokenizer.all_special_ids) | blank) - {tokenizer.eos_token_id}
        model.generation_config.suppress_tokens = sorted(marks)  # a random model would write nothing else
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        self.images().save_pretrained(folder)
        (folder / "processor_config.json").write_text(json.dumps(dict(self.settings)))
        if self.template is not None:
            (folder / "chat_template.jinja").write_text(self.template)
        return folder


def token_local(model: Any) -> None:
    """Take attention out of the vision tower: each of its tokens then depends on its own pixels alone."""
    text = {id(parameter) for parameter in model.get_decoder().parameters()}
    for name, parameter in model.named_parameters():
        if id(parameter) not in text and "attn" in name.replace("attention.", "attn.") and "norm" not in name:
            parameter.data.zero_()


def byte_tokenizer(family: Family) -> Any:
    """A tokenizer of single bytes with a family's special tokens: it can write anything."""
    marks = ["<pad>", *([family.start] if family.start else []), family.end, *family.special]
    words = {token: i for i, token in enumerate([*marks, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    backend = Tokenizer(models.BPE(vocab=words, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(mark, normalized=False, special=True) for mark in marks])
    if family.start and family.starts:
        backend.post_processor = processors.TemplateProcessing(
            single=f"{family.start} $A", special_tokens=[(family.start, words[family.start])]
        )
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token=family.start, eos_token=family.end,
        extra_special_tokens=dict(family.named),
    )  # fmt: skip


SQUARE = {"height": 32, "width": 32}
QWEN: dict[str, Any] = {
    "special": chats.QWEN_SPECIAL, "start": None, "end": "<|im_end|>",
    "images": lambda: hf.Qwen2VLImageProcessor(
        patch_size=8, merge_size=2, temporal_patch_size=2,
        size={"shortest_edge": 16 * 16 * 4, "longest_edge": 16 * 16 * 24}
    ),
}  # fmt: skip

FAMILIES: dict[str, Family] = {
    "llava": Family(
        configs.llava,
        lambda: hf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=SQUARE), chats.LLAVA_CHAT, ("<image>",),
        settings={"patch_size": 8, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
    ),
    "llava_next": Family(
        configs.llava_next,
        lambda: hf.LlavaNextImageProcessor(
            size={"shortest_edge": 32}, crop_size=SQUARE, image_grid_pinpoints=configs.PINPOINTS
        ),
        chats.MISTRAL_CHAT, ("<image>",),
        settings={"patch_size": 8, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
    ),
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
    "glm4v": Family(
        configs.glm4v,
        lambda: hf.Glm4vImageProcessor(
            patch_size=8, merge_size=2, temporal_patch_size=2,
            size={"shortest_edge": 16 * 16 * 2 * 4, "longest_edge": 16 * 16 * 2 * 24},
        ),
        chats.GLM_CHAT,
        ("<|image|>", "<|video|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>",
         "[gMASK]", "<sop>", "<|assistant|>"),
        start=None, end="<|user|>",
    ),
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
}  # fmt: skip


def skipped(needs: str | None) -> list[pytest.MarkDecorator]:
    """The mark of a test that needs a package; its reason is read by tests/support/family_table.py."""
    return [] if needs is None else [pytest.mark.skipif(find_spec(needs) is None, reason=f"needs {needs}")]


EVERY_FAMILY = [pytest.param(name, marks=skipped(family.needs)) for name, family in FAMILIES.items()]
