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

if processing_smolvlm.num2words is None:  # it spells numbers in prompts about videos, and is asked for even so
    processing_smolvlm.num2words = str

TEXT: dict[str, Any] = {
    "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 12, "max_position_embeddings": 4096, "initializer_range": 0.3,
}  # fmt: skip
VISION: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "initializer_range": 0.3,
}  # fmt: skip
ROPE = {"rope_type": "default", "mrope_section": [2, 2, 2], "rope_theta": 10000.0}


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


def idefics3(ids: Callable[[str], int], vocab: int) -> Any:
    return hf.Idefics3Config(
        vision_config=hf.models.idefics3.configuration_idefics3.Idefics3VisionConfig(
            **VISION, image_size=32, patch_size=4
        ),
        text_config=hf.LlamaConfig(**TEXT, vocab_size=vocab, pad_token_id=0),
        image_token_id=ids("<image>"), scale_factor=2, pad_token_id=0,
    )  # fmt: skip


def smolvlm(ids: Callable[[str], int], vocab: int) -> Any:
    return hf.SmolVLMConfig(
        vision_config=hf.models.smolvlm.configuration_smolvlm.SmolVLMVisionConfig(
            **VISION, image_size=32, patch_size=4
        ),
        text_config=hf.LlamaConfig(**TEXT, vocab_size=vocab, pad_token_id=0),
        image_token_id=ids("<image>"), scale_factor=2, pad_token_id=0,
    )  # fmt: skip


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


OVIS_MARKS = ("<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>")
SQUARE = {"height": 32, "width": 32}
LLAVA_CHAT = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': '}}{% endif %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' '}}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
MISTRAL_CHAT = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{ '<<SYS>>\n' + message['content'][0]['text'] "
    "+ '\n<</SYS>>\n\n' }}{% elif message['role'] == 'user' %}{{ '[INST] ' }}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] }}{% endfor %}"
    "{{' [/INST]' }}{% endif %}{% endfor %}"
)
ONEVISION_CHAT = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + ' '}}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ '\n' + content['text'] }}"
    "{% endfor %}{{'<|im_end|>'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN3_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for content in message['content'] %}{% if content['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN2_CHAT = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    + QWEN3_CHAT
)
INTERNVL_CHAT = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}"
    "{% for content in message['content'] %}{% if content['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}"
    "{% else %}{{ content['text'] }}{% endif %}{% endfor %}{{'<|im_end|>\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|im_start|>assistant\n' }}{% endif %}"
)
IDEFICS_CHAT = (
    "START{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
GEMMA_CHAT = (
    "{{ bos_token }}{% for message in messages %}<start_of_turn>{{ message['role'] }}\n"
    "{% for item in message['content'] %}{% if item['type'] == 'image' %}<start_of_image>"
    "{% else %}{{ item['text'] | trim }}{% endif %}{% endfor %}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
GLM_CHAT = (
    "[gMASK]<sop>{% for message in messages %}<|{{ message['role'] }}|>\n"
    "{% for item in message['content'] %}{% if item['type'] == 'image' %}<|begin_of_image|><|image|><|end_of_image|>"
    "{% else %}{{ item['text'] }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
COHERE_CHAT = (
    "{{ bos_token }}{% for message in messages %}<|START_OF_TURN_TOKEN|><|{{ message['role'] | upper }}_TOKEN|>"
    "{% for item in message['content'] %}{% if item['type'] == 'image' %}IMAGE"
    "{% else %}{{ item['text'] }}{% endif %}{% endfor %}<|END_OF_TURN_TOKEN|>{% endfor %}"
    "{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{% endif %}"
)
COHERE_SPECIAL = (
    "<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|START_OF_IMG|>", "<|END_OF_IMG|>",
    "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>",
)  # fmt: skip
DEEPSEEK_CHAT = (
    "{% for message in messages %}{{ message['role'] | capitalize }}: "
    "{% for item in message['content'] %}{% if item['type'] == 'image' %}<image_placeholder>"
    "{% else %}{{ item['text'] }}{% endif %}{% endfor %}{{ '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
MISTRAL3_CHAT = (
    "{{ bos_token }}{% for message in messages %}[INST]{% for item in message['content'] %}"
    "{% if item['type'] == 'image' %}[IMG]{% else %}{{ item['text'] }}{% endif %}{% endfor %}[/INST]{% endfor %}"
)
QWEN_SPECIAL = ("<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
QWEN: dict[str, Any] = {
    "special": QWEN_SPECIAL, "start": None, "end": "<|im_end|>",
    "images": lambda: hf.Qwen2VLImageProcessor(
        patch_size=8, merge_size=2, temporal_patch_size=2,
        size={"shortest_edge": 16 * 16 * 4, "longest_edge": 16 * 16 * 24}
    ),
}  # fmt: skip
IDEFICS_SPECIAL = (
    "<image>", "<fake_token_around_image>", "<global-img>",
    *(f"<row_{r}_col_{c}>" for r in range(1, 7) for c in range(1, 7)),
)  # fmt: skip

FAMILIES: dict[str, Family] = {
    "llava": Family(
        llava, lambda: hf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=SQUARE), LLAVA_CHAT, ("<image>",),
        settings={"patch_size": 8, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
    ),
    "llava_next": Family(
        llava_next,
        lambda: hf.LlavaNextImageProcessor(
            size={"shortest_edge": 32}, crop_size=SQUARE, image_grid_pinpoints=PINPOINTS
        ),
        MISTRAL_CHAT, ("<image>",),
        settings={"patch_size": 8, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
    ),
    "llava_onevision": Family(
        llava_onevision,
        lambda: hf.LlavaOnevisionImageProcessor(
            size={"height": 34, "width": 34}, image_grid_pinpoints=ONEVISION_PINPOINTS
        ),
        ONEVISION_CHAT, ("<image>", "<video>", "<|im_start|>"),
        settings={"num_image_tokens": 16, "vision_feature_select_strategy": "full",
                  "vision_aspect_ratio": "anyres_max_9"},
        start=None, end="<|im_end|>",
    ),
    "qwen2_vl": Family(qwen2_vl, template=QWEN2_CHAT, **QWEN),
    "qwen2_5_vl": Family(qwen2_5_vl, template=QWEN2_CHAT, **QWEN),
    "qwen3_vl": Family(qwen3_vl, template=QWEN3_CHAT, **QWEN),
    "internvl": Family(
        internvl, lambda: hf.GotOcr2ImageProcessor(size=SQUARE, crop_to_patches=False, min_patches=1, max_patches=12),
        INTERNVL_CHAT, ("<img>", "</img>", "<IMG_CONTEXT>", "<video>", "<|im_start|>"),
        named={"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
               "video_token": "<video>"},
        settings={"image_seq_length": 16}, start=None, end="<|im_end|>",
    ),
    "idefics3": Family(
        idefics3, lambda: hf.Idefics3ImageProcessor(size={"longest_edge": 128}, max_image_size={"longest_edge": 32}),
        IDEFICS_CHAT.replace("START", "<|begin_of_text|>"), IDEFICS_SPECIAL,
        settings={"image_seq_len": 16}, start="<|begin_of_text|>", end="<end_of_utterance>",
    ),
    "smolvlm": Family(
        smolvlm, lambda: hf.SmolVLMImageProcessor(size={"longest_edge": 128}, max_image_size={"longest_edge": 32}),
        IDEFICS_CHAT.replace("START", "<|im_start|>"), IDEFICS_SPECIAL,
        settings={"image_seq_len": 16}, start="<|im_start|>", end="<end_of_utterance>",
    ),
    "gemma3": Family(
        gemma3, lambda: hf.Gemma3ImageProcessor(size=SQUARE), GEMMA_CHAT,
        ("<start_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"),
        named={"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"},
        settings={"image_seq_length": 16}, start="<bos>", end="<end_of_turn>",
    ),
    "paligemma": Family(
        paligemma, lambda: hf.SiglipImageProcessor(size=SQUARE, image_seq_length=16), None, ("<image>",),
        named={"image_token": "<image>"}, start="<bos>", end="<eos>", starts=False,
    ),
    "glm4v": Family(
        glm4v,
        lambda: hf.Glm4vImageProcessor(
            patch_size=8, merge_size=2, temporal_patch_size=2,
            size={"shortest_edge": 16 * 16 * 2 * 4, "longest_edge": 16 * 16 * 2 * 24},
        ),
        GLM_CHAT,
        ("<|image|>", "<|video|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>",
         "[gMASK]", "<sop>", "<|assistant|>"),
        start=None, end="<|user|>",
    ),
    "aya_vision": Family(
        aya_vision, lambda: hf.GotOcr2ImageProcessor(size=SQUARE, crop_to_patches=True, min_patches=1, max_patches=12),
        COHERE_CHAT.replace("IMAGE", "<image>"), (*COHERE_SPECIAL, "<image>"),
        settings={"img_size": 32, "patch_size": 4, "downsample_factor": 2}, start="<BOS_TOKEN>",
        end="<|END_OF_TURN_TOKEN|>",
    ),
    "ovis2": Family(
        ovis2, lambda: hf.Ovis2ImageProcessor(size=SQUARE, crop_to_patches=True, min_patches=1, max_patches=9),
        ONEVISION_CHAT.replace("+ ' '", "+ '\n'"), ("<image>", "<IMG_ATOM>", *OVIS_MARKS, "<|im_start|>"),
        settings={"image_seq_length": 16}, start=None, end="<|im_end|>",
    ),
    "deepseek_vl": Family(
        deepseek_vl, lambda: hf.DeepseekVLImageProcessor(size=SQUARE, min_size=4), DEEPSEEK_CHAT,
        ("<image_placeholder>",),
        named={"image_token": "<image_placeholder>"}, settings={"num_image_tokens": 16},
    ),
    "cohere2_vision": Family(
        cohere2_vision,
        lambda: hf.Cohere2VisionImageProcessor(
            size=SQUARE, crop_to_patches=True, min_patches=1, max_patches=12, patch_size=4, downsample_factor=2
        ),
        COHERE_CHAT.replace("IMAGE", "<|IMG_PATCH|>"), COHERE_SPECIAL,
        named={"boi_token": "<|START_OF_IMG|>", "eoi_token": "<|END_OF_IMG|>", "image_token": "<|IMG_PATCH|>",
               "img_line_break_token": "<|IMG_LINE_BREAK|>"},
        start="<BOS_TOKEN>", end="<|END_OF_TURN_TOKEN|>", needs="torchvision",
    ),
    "mistral3": Family(
        mistral3, lambda: hf.PixtralImageProcessor(size={"longest_edge": 128}, patch_size={"height": 8, "width": 8}),
        MISTRAL3_CHAT, ("[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]"),
        settings={"patch_size": 8, "spatial_merge_size": 2}, start="<s>", end="</s>", needs="torchvision",
    ),
    "molmo2": Family(
        molmo2,
        lambda: hf.Molmo2ImageProcessor(
            size=SQUARE, max_crops=4, overlap_margins=[1, 1], patch_size=4, pooling_size=[2, 2]
        ),
        ONEVISION_CHAT.replace("<image>", "<|image|>"),
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
