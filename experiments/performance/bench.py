"""`make bench`: speed as ratios against a named baseline, both measured in turn in the same run.

The model is LLaVA-1.5's architecture scaled down, with random weights: 576 image tokens are kept, so that the
share of attention in the work stays what it is. Results go to outputs/bench/bench.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from experiments.performance.extraction import (
    PROMPTS,
    disagreement,
    make_work,
    one_by_one,
    save_segmenter,
    together,
)
from experiments.performance.recipe import answer_and_attend
from experiments.performance.scoring import from_files, from_records, write_files
from PIL import Image
from transformers import (
    AutoProcessor,
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    SamImageProcessor,
    SamModel,
)

from pixfound.models.encoding import Encoder
from pixfound.models.huggingface import HuggingFace
from pixfound.segmenters.sam import Sam
from pixfound.types import Prompt
from pixfound.weights import locate

TEXTS = (
    "Is the red object large or small? (a) large (b) small",
    "How many circles are there? Options:\nA. one\nB. two\n"
    "Answer with the option's letter from the given choices directly.",
    "Identify the red object in the scene.",
)


def main() -> None:
    """Measure, print a table, write the file."""
    options = _options()
    with TemporaryDirectory() as folder:
        save_model(Path(folder), options.layers, options.width)
        rows = [
            *measure(Path(folder), options),
            measure_extraction(Path(folder) / "segmenter", options),
            measure_scoring(Path(folder), options.repeats),
        ]
    target = Path(options.out)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(rows, indent=2) + "\n")
    for row in rows:
        figures = f"{row['ours']:8.3f} {row['baseline']:8.3f} {row['unit']}"
        print(f"{row['name']:<42} {figures:<28} x{row['ratio']:.2f} ({row['ratio_min']:.2f} to {row['ratio_max']:.2f})")
    print(f"written to {target}")


def measure(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """All figures. Texts and maps of both ways are compared first: a wrong answer is not fast."""
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (336, 336, 3), dtype=np.uint8)) for _ in range(options.images)]
    requests = [(image, Prompt(str(i), "open", "bench", text)) for i, image in enumerate(images) for text in TEXTS]
    settings = {"max_new_tokens": options.tokens}
    ours = HuggingFace(str(folder), dtype="float32", generation=settings)
    plain = HuggingFace(str(folder), dtype="float32", capture="none", generation=settings)
    forced = HuggingFace(str(folder), dtype="float32", capture="forced", generation=settings)
    eager = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    processor = AutoProcessor.from_pretrained(folder)
    encoder = Encoder(processor, eager.config, str(folder), None, "native")
    prompts = [(image, encoder.chat(prompt.text)) for image, prompt in requests]

    def recipe() -> Any:
        return answer_and_attend(eager, processor, prompts, options.tokens)

    for (text, rows), generation in zip(recipe(), ours.generate(requests), strict=True):
        assert text == generation.text, (text, generation.text)
        assert generation.attention is not None
        assert np.abs(rows - generation.attention).max() < 1e-4
    plain.generate(requests[:1])
    forced.generate(requests[:1])
    count = len(requests)
    return [
        compare(
            "generate + capture vs one by one, eager", lambda: ours.generate(requests), recipe, count, options.repeats
        ),
        compare(
            "capture by step vs no capture",
            lambda: ours.generate(requests),
            lambda: plain.generate(requests),
            count,
            options.repeats,
        ),
        compare(
            "forced capture vs no capture",
            lambda: forced.generate(requests),
            lambda: plain.generate(requests),
            count,
            options.repeats,
        ),
    ]


def measure_extraction(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Masks of three answers about each image; both ways must give the same, but for pixels on a mask's very edge."""
    save_segmenter(folder, options.side)
    work = make_work(options.images)
    ours = Sam(str(folder), device="cpu")
    model, processor = SamModel.from_pretrained(folder).eval(), SamImageProcessor.from_pretrained(folder)
    differ = disagreement(together(ours, work), one_by_one(model, processor, work))
    assert differ < 1e-5, differ
    return compare(
        "extraction together vs point by point",
        lambda: together(ours, work),
        lambda: one_by_one(model, processor, work),
        PROMPTS * len(work),
        options.repeats,
    )


def measure_scoring(folder: Path, repeats: int) -> dict[str, Any]:
    """Scoring of 300 masks; both ways must give the same numbers."""
    outlines = write_files(folder, 300)
    assert from_records(folder, outlines) == from_files(folder, outlines)
    row = compare(
        "scoring 300 masks from records vs from files",
        lambda: from_records(folder, outlines),
        lambda: from_files(folder, outlines),
        len(outlines),
        repeats,
    )
    return {**row, "unit": "masks/s"}


def compare(
    name: str, ours: Callable[[], Any], baseline: Callable[[], Any], count: int, repeats: int
) -> dict[str, Any]:
    """Prompts a second of both, in turn; the ratio is the median over repeats of pairs measured side by side."""
    pairs = []
    for _ in range(repeats):
        a, b = _seconds(ours), _seconds(baseline)
        pairs.append((count / a, count / b))
    ratios = [a / b for a, b in pairs]
    return {
        "name": name,
        "ours": statistics.median(a for a, _ in pairs),
        "baseline": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "repeats": repeats,
        "unit": "prompts/s",
        "higher_is_better": True,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
    }


def save_model(folder: Path, layers: int, width: int) -> None:
    """A random LLaVA with 576 image tokens, `layers` decoder layers of `width`."""
    torch.manual_seed(0)
    words = AutoProcessor.from_pretrained(locate("embedded:tiny_llava", "bench"))
    tokenizer, chat = words.tokenizer, words.chat_template
    tokenizer.model_max_length = 2048
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
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=12, help="decoder layers")
    parser.add_argument("--width", type=int, default=512, help="decoder width")
    parser.add_argument("--tokens", type=int, default=64, help="new tokens at most")
    parser.add_argument("--images", type=int, default=4, help="images, each with three prompts")
    parser.add_argument("--side", type=int, default=512, help="pixels of the segmenter's square")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", default="outputs/bench/bench.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
