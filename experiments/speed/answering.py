"""Answers with attention, against one at a time with eager attention; and what sharing an image is worth.

The model is LLaVA-1.5's architecture scaled down, with random weights: 576 image tokens are kept, so that the
share of attention in the work stays what it is. Answers have different lengths.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from experiments.speed.measuring import compare, figure
from experiments.speed.recipe import answer_and_attend
from PIL import Image
from transformers import (
    AutoProcessor,
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from pixfound.checkpoints.locating import locate
from pixfound.models.geometry.batch_encoder import Encoder
from pixfound.models.huggingface import HuggingFace
from pixfound.types import Prompt

ROOT = Path(__file__).parents[2]
TEXTS = (
    "Is the red object large or small? (a) large (b) small",
    "How many circles are there? Options:\nA. one\nB. two\n"
    "Answer with the option's letter from the given choices directly.",
    "Identify the red object in the scene.",
)
WORDINGS = tuple(f"{ask} the red object in the {place}." for ask in ("Identify", "Find", "Show", "Name")
                 for place in ("scene", "image", "picture"))  # fmt: skip
Requests = Sequence[tuple[Image.Image, Prompt]]


def measure(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Each figure as soon as it is known. Texts and maps of both ways are compared first: wrong is not fast."""
    pictures = noise(options.images)
    requests = ask(pictures, TEXTS)
    ours = load(folder, options)
    recipe = load_recipe(folder, requests, options)
    lengths = set()
    for (text, rows), (generation, ids) in zip(recipe(), ours.answer(requests), strict=True):
        assert text == generation.text, (text, generation.text)
        assert generation.attention is not None
        assert np.abs(rows - generation.attention).max() < 1e-4
        lengths.add(len(ids))
    print(f"answers of {min(lengths)} to {max(lengths)} tokens")

    def against(name: str, one: Callable[[], Any], other: Callable[[], Any], asked: Requests) -> dict[str, Any]:
        return compare(name, one, other, len(asked), options.repeats)

    wordings, apart = ask(pictures[:1], WORDINGS), ask(lookalikes(pictures[0], len(WORDINGS)), WORDINGS, once=True)
    yield against("generate + capture vs one by one, eager", lambda: ours.generate(requests), recipe, requests)
    yield against(
        f"{len(WORDINGS)} wordings about one image vs about as many",
        lambda: ours.generate(wordings),
        lambda: ours.generate(apart),
        wordings,
    )
    yield measure_memory(folder, options)


def measure_memory(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """By how much the three prompts of an example let a process grow, each way in a process of its own."""
    pairs = []
    for _ in range(options.repeats):
        grown = []
        for way in ("ours", "recipe"):
            settings = [str(folder), way, str(options.least), str(options.tokens)]
            line = [sys.executable, "-m", "experiments.speed.answering", *settings]
            done = subprocess.run(line, check=True, cwd=ROOT, capture_output=True, text=True)
            grown.append(float(json.loads(done.stdout.splitlines()[-1])))
        pairs.append((grown[0], grown[1]))
    return figure("memory growth, an example's prompts vs eager", pairs, "MB", higher_is_better=False)


def growth(folder: Path, way: str, options: argparse.Namespace) -> float:
    """MB by which the process grows at most while it answers an example's three prompts; Linux only."""
    requests = ask(noise(2), TEXTS)
    work: Callable[[], Any]
    if way == "ours":
        ours = load(folder, options)
        ours.generate(requests[3:4])
        work = lambda: ours.generate(requests[:3])  # noqa: E731
    else:
        warm = argparse.Namespace(least=1, tokens=2)
        load_recipe(folder, requests[3:4], warm)()
        work = load_recipe(folder, requests[:3], options)
    return growth_of(work)


def growth_of(work: Callable[[], Any]) -> float:
    """MB by which the process grows at most meanwhile; Linux only."""
    Path("/proc/self/clear_refs").write_text("5")  # forgets the highest mark so far
    before = _status("VmRSS")
    work()
    return (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def noise(count: int) -> list[Image.Image]:
    """Random pictures of 336 x 336."""
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (336, 336, 3), dtype=np.uint8)) for _ in range(count)]


def lookalikes(picture: Image.Image, count: int) -> list[Image.Image]:
    """Copies of a picture that differ in a pixel."""
    copies = [picture.copy() for _ in range(count)]
    for i, one in enumerate(copies):
        one.putpixel((0, 0), (i, 0, 0))
    return copies


def ask(pictures: Sequence[Image.Image], texts: Sequence[str], once: bool = False) -> Requests:
    """Every text about every picture; with `once` each text about a picture of its own."""
    pairs = list(zip(pictures, texts, strict=True)) if once else [(p, t) for p in pictures for t in texts]
    return [(picture, Prompt("x", "open", "bench", text)) for picture, text in pairs]


def load(folder: Path, options: argparse.Namespace, **settings: Any) -> HuggingFace:
    """The random model in pixfound's adapter. settings: further options of it."""
    generation = {"max_new_tokens": options.tokens, "min_new_tokens": options.least}
    return HuggingFace(str(folder), dtype="float32", generation=generation, **settings)


def load_recipe(folder: Path, requests: Requests, options: argparse.Namespace) -> Callable[[], Any]:
    """The baseline, ready to answer these."""
    eager = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    processor = AutoProcessor.from_pretrained(folder)
    encoder = Encoder(processor, eager.config, str(folder), None, "native")
    prompts = [(image, encoder.chat(prompt.text)) for image, prompt in requests]
    return lambda: answer_and_attend(eager, processor, prompts, options.least, options.tokens)


def save_model(folder: Path, layers: int, width: int, vocabulary: int = 0) -> None:
    """A random LLaVA with 576 image tokens, `layers` decoder layers of `width`, and at least `vocabulary` tokens."""
    torch.manual_seed(0)
    words = AutoProcessor.from_pretrained(locate("embedded:tiny_llava", "bench"))
    tokenizer, chat = words.tokenizer, words.chat_template
    tokenizer.model_max_length = 2048
    tokenizer.add_tokens([f"word{number}" for number in range(vocabulary - len(tokenizer))])
    image = CLIPImageProcessor(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336})
    LlavaProcessor(
        image,
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=chat,
        image_token="<image>",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    heads = width // 64
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=256,
            intermediate_size=1024,
            num_hidden_layers=6,
            num_attention_heads=4,
            image_size=336,
            patch_size=14,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=width * 11 // 4,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            initializer_range=0.06,
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    model = LlavaForConditionalGeneration(config)
    # Random weights say random words: with one in 14 an end token, answers end at all lengths.
    model.generation_config.eos_token_id = list(range(tokenizer.eos_token_id, len(tokenizer), 14))
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)


if __name__ == "__main__":
    place, which, at_least, at_most = sys.argv[1:]
    print(json.dumps(growth(Path(place), which, argparse.Namespace(least=int(at_least), tokens=int(at_most)))))
