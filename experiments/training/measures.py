"""What the miniature LLaVA gets right on PixShapes, and where it looks while it names a thing.

Shapes: `B` prompts, `T` generated tokens with the end token, `N` = 64 image tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from experiments.training.intervals import Item
from experiments.training.questions import uniform_prompts
from experiments.training.words import PATCH, PIXELS, TOKENS
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from pixfound.benchmarks.scenes import SIZE
from pixfound.types import Example, Kind
from pixfound.types.option_letters import letter

Point = tuple[float, float]


@dataclass(frozen=True)
class Said:
    """An answer. words: its T tokens. attention: (T, N), the row that predicts each token, or None."""

    text: str
    words: tuple[str, ...]
    attention: npt.NDArray[np.float32] | None


@torch.no_grad()
def say(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    examples: Sequence[Example],
    kind: Kind,
    attention: bool = False,
    batch: int = 32,
) -> Iterator[Said]:
    """Greedy answers to the prompts of one kind; attention is the mean over layers and heads."""
    prompts, tokenizer = uniform_prompts(), processor.tokenizer
    model.set_attn_implementation({"text_config": "eager" if attention else "sdpa"})
    for start in range(0, len(examples), batch):
        some = examples[start : start + batch]
        asked = [prompts.prompt(e, kind).text for e in some]
        chats = [[{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": a}]}] for a in asked]
        texts = [processor.apply_chat_template(c, add_generation_prompt=True) for c in chats]
        inputs = processor(text=texts, images=[e.image.load() for e in some], padding=True, return_tensors="pt")
        out = model.generate(
            **inputs, do_sample=False, max_new_tokens=48, output_attentions=attention, return_dict_in_generate=True
        )
        fresh = out.sequences[:, inputs["input_ids"].shape[1] :]
        rows = _rows(out.attentions, inputs["input_ids"] == processor.image_token_id) if attention else None
        for index, ids in enumerate(fresh.tolist()):
            ends = ids.index(tokenizer.eos_token_id) + 1 if tokenizer.eos_token_id in ids else len(ids)
            text = tokenizer.decode(ids[:ends], skip_special_tokens=True).strip()
            words = tuple(tokenizer.decode([i]).strip() for i in ids[:ends])
            yield Said(text, words, None if rows is None else rows[index, :ends].numpy())


def _rows(attentions: Sequence[Sequence[torch.Tensor]], image: torch.Tensor) -> torch.Tensor:
    """(B, T, N) from T steps of layers of (B, heads, queries, keys) and the image columns (B, prompt) of the keys."""
    steps = [torch.stack([layer[:, :, -1] for layer in step]).mean((0, 2)) for step in attentions]
    steps = [step[:, : image.shape[1]][image].view(len(image), TOKENS) for step in steps]
    return torch.stack(steps, dim=1).float()


def right_choice(said: Said, example: Example) -> bool:
    """Whether the answer is the right letter."""
    return said.text[:1] == letter(example.answer)


def right_open(said: Said, example: Example) -> bool:
    """Whether the answer has the right option's word and no other option's."""
    words = set(re.findall(r"[a-z]+", said.text.lower()))
    return [i for i, option in enumerate(example.options) if option in words] == [example.answer]


def right_words(said: Said, example: Example) -> bool:
    """Whether the answer to "Identify ..." denies exactly the absent things."""
    return said.text.startswith("There is no") == example.absent


def phrase_rows(said: Said) -> list[int]:
    """Indices of the tokens of the first noun phrase: "The large red circle" or, denied, "red object"."""
    words = list(said.words)
    first, stop = (words.index("no") + 1, "in") if words[:1] == ["There"] and "no" in words else (0, "is")
    end = next((i for i in range(first, len(words)) if words[i] == stop), len(words) - 1)
    return list(range(first, max(end, first + 1)))


def point_of(said: Said, shift: int = 0) -> Point:
    """The attended point (x, y) in pixels of the scene, by the recipe of arXiv 2502.04192.

    The rows that predict the phrase's tokens (shift 1: the rows of the tokens themselves), minus the mean over all
    tokens, averaged, upsampled bicubically; the arg-max.
    """
    assert said.attention is not None
    chosen = [min(i + shift, len(said.attention) - 1) for i in phrase_rows(said)]
    flat = (said.attention - said.attention.mean(0))[chosen].mean(0)
    side = PIXELS // PATCH
    grid = torch.from_numpy(flat).view(1, 1, side, side)
    large = F.interpolate(grid, (SIZE, SIZE), mode="bicubic", align_corners=False)[0, 0]
    y, x = divmod(int(large.argmax()), SIZE)
    return (x + 0.5, y + 0.5)


def vqa_items(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, examples: Sequence[Example]
) -> dict[str, list[Item]]:
    """Items of the choice, open and ground prompts: overall, by category, and by pair (both sides right)."""
    rules = {"choice": right_choice, "open": right_open, "ground_presence": right_words}
    kinds: dict[str, Kind] = {"choice": "choice", "open": "open", "ground_presence": "ground"}
    items: dict[str, list[Item]] = {}
    for name, rule in rules.items():
        for example, said in zip(examples, say(model, processor, examples, kinds[name]), strict=True):
            item = Item(str(example.pair_id), float(rule(said, example)))
            items.setdefault(name, []).append(item)
            items.setdefault(f"{name}/{example.tags['category']}", []).append(item)
    for name in ("choice", "open"):
        by_pair: dict[str, list[float]] = {}
        for item in items[name]:
            by_pair.setdefault(item.cluster, []).append(item.value)
        items[f"{name}_pair"] = [Item(pair, min(values)) for pair, values in by_pair.items()]
    return items


def grounding_items(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, examples: Sequence[Example]
) -> dict[str, list[Item]]:
    """Where the attended point lies, on the examples whose expression names something that is there."""
    present = [e for e in examples if not e.absent]
    items: dict[str, list[Item]] = {}
    for example, said in zip(present, say(model, processor, present, "ground", attention=True), strict=True):
        pair, wanted = str(example.pair_id), example.gt_mask
        exact = sum(bool((o.decode() & wanted.decode()).sum() == o.area) for o in example.objects)
        for name, shift in (("", 0), ("_own_row", 1)):
            point = point_of(said, shift)
            hit, any_hit = wanted.contains(point), any(o.contains(point) for o in example.objects)
            items.setdefault(f"point_on_referred{name}", []).append(Item(pair, float(hit)))
            items.setdefault(f"point_on_any_object{name}", []).append(Item(pair, float(any_hit)))
            if any_hit:
                items.setdefault(f"referred_given_any{name}", []).append(Item(pair, float(hit)))
        items.setdefault("chance_object", []).append(Item(pair, exact / len(example.objects)))
        items.setdefault("chance_pixel", []).append(Item(pair, wanted.area / SIZE**2))
    return items
