"""The tokenizer of whole words, the processor, and the form of a conversation."""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import copy

import numpy as np
from experiments.training.questions import (
    KINDS,
    TRAIN_SEED,
    Turn,
    draw_turns,
    uniform_prompts,
)
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlavaProcessor, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from pixfound.benchmarks.pixshapes import CATEGORIES

PIXELS, PATCH = 64, 8  # the side of the picture that the model sees, and of a patch
TOKENS = (PIXELS // PATCH) ** 2  # image tokens
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<image>")
SEG = "[SEG]"  # asks for a mask
BEFORE, AFTER = "USER: ", " ASSISTANT:"  # around "<image>\n" and the prompt; the answer follows after a space
TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}USER: "
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% else %} ASSISTANT: "
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}</s>"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)


def question_text(turn: Turn) -> str:
    """What follows the image tokens, up to the answer."""
    return f"\n{turn.prompt}{AFTER}"


def sample_texts(scenes: int = 4000) -> list[str]:
    """Questions and answers of many scenes, enough to meet every word."""
    rng, prompts = np.random.default_rng(TRAIN_SEED), uniform_prompts()
    shares = dict.fromkeys(CATEGORIES, 1.0)
    turns = [turn for _ in range(scenes) for turn in draw_turns(rng, prompts, shares, KINDS)[1]]
    return [BEFORE, *sorted({text for turn in turns for text in (question_text(turn), f" {turn.answer}")})]


def build_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """One token for each word (with the space before it) or punctuation mark of `texts`.

    Pretokens are those of GPT-2, except that every mark stands alone: "?)" is two tokens.
    """
    marks = Regex(r" ?[^\s\p{L}\p{N}]")
    split = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(marks, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    words = {word for text in texts for word, _ in split.pre_tokenize_str(text)}
    words |= {space + mark for space in ("", "Ġ") for mark in ".,?!:;()'\"-"} | {"Ġ", "Ċ"}
    vocabulary = {word: index for index, word in enumerate((*SPECIAL, *sorted(words)))}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = split
    core.decoder = decoders.ByteLevel()
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"}, padding_side="left", model_max_length=512,
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


def build_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Pictures of any size become 64 x 64 (bicubic, aspect not kept) and stand for 64 tokens."""
    images = CLIPImageProcessorPil(
        size={"height": PIXELS, "width": PIXELS}, do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.25] * 3
    )
    return LlavaProcessor(
        image_processor=images, tokenizer=tokenizer, patch_size=PATCH, vision_feature_select_strategy="default",
        chat_template=TEMPLATE, num_additional_image_tokens=1,
    )  # fmt: skip


def extended(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """The tokenizer with the words of `texts` and [SEG] added at the end of its vocabulary."""
    core = json.loads(tokenizer.backend_tokenizer.to_str())
    split = tokenizer.backend_tokenizer.pre_tokenizer
    vocabulary = core["model"]["vocab"]
    for word in dict.fromkeys(word for text in texts for word, _ in split.pre_tokenize_str(text)):
        vocabulary.setdefault(word, len(vocabulary))
    larger = copy(tokenizer)
    larger._tokenizer = Tokenizer.from_str(json.dumps(core))
    larger.add_tokens([SEG])
    return larger
