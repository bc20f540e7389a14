"""The miniature LLaVA: its size, its start and the training of projector and decoder on a frozen tower."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from experiments.training import tower as towers
from experiments.training.optim import Optimiser
from experiments.training.packing import LETTER_WEIGHT, Packed, Packer
from experiments.training.questions import draw_turns, uniform_prompts
from experiments.training.words import TOKENS
from torch import nn
from transformers import (
    CLIPVisionModel,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from pixfound.benchmarks.pixshapes import CATEGORIES


@dataclass(frozen=True)
class Plan:
    """A run of the decoder. images: pictures a step. shares: how often each category is asked."""

    steps: int
    seed: int
    images: int = 16
    matrix_lr: float = 0.004
    other_lr: float = 2e-3
    flat: float = 0.4
    shares: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(CATEGORIES, 1.0))


def build(tower: CLIPVisionModel, processor: LlavaProcessor, pixels: torch.Tensor) -> LlavaForConditionalGeneration:
    """A model on a pretrained tower. pixels: (B, 3, 64, 64) scenes whose features set the projector's scale."""
    tokenizer = processor.tokenizer
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=384, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=512, tie_word_embeddings=True, rms_norm_eps=1e-5,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=tower.config, text_config=text, image_token_index=processor.image_token_id,
            image_seq_length=TOKENS, vision_feature_layer=-1, vision_feature_select_strategy="default",
            tie_word_embeddings=True,
        )
    )  # fmt: skip
    model.model.vision_tower.load_state_dict(tower.state_dict())
    model.model.vision_tower.requires_grad_(False)
    for parameter in model.model.language_model.parameters():
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=0.06)
    model.tie_weights()
    _fit_projector(model, pixels)
    settings = model.generation_config
    settings.do_sample, settings.max_new_tokens = False, 48
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(settings, name, getattr(tokenizer, name))
        setattr(model.config, name, getattr(tokenizer, name))
    return model


@torch.no_grad()
def _fit_projector(model: LlavaForConditionalGeneration, pixels: torch.Tensor) -> None:
    """Let the first layer absorb the mean and the scale of the features, which are far from those of words."""
    features = towers.tokens(model.model.vision_tower, pixels).flatten(0, 1)
    mean, std = features.mean(0), features.std(0).clamp(min=1e-3)
    first, second = model.model.multi_modal_projector.linear_1, model.model.multi_modal_projector.linear_2
    first.weight.normal_(std=0.09).div_(std)
    first.bias.copy_(-(first.weight @ mean))
    second.weight.normal_(std=0.06)
    second.bias.zero_()


def answer_states(
    model: LlavaForConditionalGeneration, packed: Packed, pixels: torch.Tensor, first: int
) -> torch.Tensor:
    """Last hidden states (A, D) that predict the packed answers' tokens.

    first: index of the first image token of a row. The decoder's attention must be set to "packed".
    """
    with torch.no_grad():
        features = towers.tokens(model.model.vision_tower, pixels)
    seen = model.model.multi_modal_projector(features)
    embeds = model.get_input_embeddings()(packed.ids)
    embeds = torch.cat([embeds[:, :first], seen.to(embeds.dtype), embeds[:, first + TOKENS :]], dim=1)
    out = model.model.language_model(
        inputs_embeds=embeds, position_ids=packed.positions, use_cache=False, packed=packed
    )
    return out.last_hidden_state.flatten(0, 1)[packed.rows]


def answer_logits(
    model: LlavaForConditionalGeneration, packed: Packed, pixels: torch.Tensor, first: int
) -> torch.Tensor:
    """Logits (A, vocabulary) of the packed answers' tokens; see `answer_states`."""
    return model.lm_head(answer_states(model, packed, pixels, first))


def train(
    tower: CLIPVisionModel,
    processor: LlavaProcessor,
    plans: Sequence[Plan],
    check: Callable[[LlavaForConditionalGeneration, int], None] | None = None,
) -> LlavaForConditionalGeneration:
    """Train projector and decoder, one plan after the other.

    `check` is called with the model and the number of the steps done every 300 steps of a plan and at its end. About
    0.6 s a step of 16 pictures on one CPU thread.
    """
    torch.manual_seed(plans[0].seed)
    rng, prompts = np.random.default_rng(plans[0].seed), uniform_prompts()
    first = [draw_turns(rng, prompts, plans[0].shares)[0] for _ in range(200)]
    model = build(tower, processor, towers.pictures(first))
    for number, plan in enumerate(plans):
        follow(model, processor, plan, rng if number == 0 else np.random.default_rng(plan.seed), check)
    return model


def follow(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    plan: Plan,
    rng: np.random.Generator,
    check: Callable[[LlavaForConditionalGeneration, int], None] | None = None,
) -> None:
    """Train by one plan, with a fresh optimiser; prints the losses of letters and of the other tokens."""
    prompts, packer = uniform_prompts(), Packer(processor.tokenizer)
    model.train().set_attn_implementation({"text_config": "packed"})
    optimiser = Optimiser([model], plan.steps, plan.matrix_lr, plan.other_lr, plan.flat)
    start, losses = time.time(), []
    for step in range(plan.steps):
        drawn = [draw_turns(rng, prompts, plan.shares) for _ in range(plan.images)]
        packed = packer([turns for _, turns in drawn])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = answer_logits(model, packed, towers.pictures([s for s, _ in drawn]), packer.first)
        each = F.cross_entropy(logits.float(), packed.wanted, reduction="none")
        optimiser.step((each * packed.weights).sum() / packed.weights.sum())
        letters = packed.weights == LETTER_WEIGHT
        losses.append((float(each.detach()[letters].mean()), float(each.detach()[~letters].mean())))
        if (step + 1) % 50 == 0:
            letter, word = np.mean(losses, axis=0)
            spent = time.time() - start
            print(f"llava {step + 1}/{plan.steps} letters {letter:.3f} words {word:.3f} ({spent:.0f} s)", flush=True)
            losses = []
        if check and ((step + 1) % 300 == 0 or step + 1 == plan.steps):
            model.eval().set_attn_implementation({"text_config": "sdpa"})
            check(model, step + 1)
            model.train().set_attn_implementation({"text_config": "packed"})
    model.eval().set_attn_implementation({"text_config": "sdpa"})
