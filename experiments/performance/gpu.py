"""Figures on a GPU: models of the published sizes with random weights, for experiments/performance/RESULTS.md.

    python -m experiments.performance.gpu                    # about 20 minutes and 40 GB of a GPU's memory
    python -m experiments.performance.gpu --small --device cpu   # whether it runs, anywhere

For each model and batch size: prompts a second with and without capture, the recipe's (one by one, eager, all attention
kept), peak memory, and how near decoding is to what the memory's bandwidth allows: the weights and the keys and
values of a step, read once. For SAM: images encoded a second. A table is printed in Markdown, ready to be pasted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from experiments.performance.answering import TEXTS, ask, noise
from experiments.performance.recipe import answer_and_attend
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaProcessor,
    Qwen2_5_VLConfig,
    Qwen2VLImageProcessor,
    SamConfig,
    SamModel,
    SamVisionConfig,
)

from pixfound.models.encoding import Encoder
from pixfound.models.huggingface import HuggingFace
from pixfound.models.processors import load_processor
from pixfound.weights import locate

VISION = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
CHAT = (
    "{% for m in messages %}{% for part in m.content %}{% if part.type == 'image' %}<|vision_start|><|image_pad|>"
    "<|vision_end|>{% else %}{{ part.text }}{% endif %}{% endfor %}{% endfor %}"
)


def main() -> None:
    """Measure and print."""
    options = _options()
    torch.manual_seed(0)
    print(f"{_machine(options.device)}, torch {torch.__version__}, bfloat16, {options.tokens} new tokens a prompt\n")
    print("| model | batch | prompts/s | no capture | capture costs | recipe | against it | of bandwidth | peak GB |")
    print("|---|---|---|---|---|---|---|---|---|")
    with TemporaryDirectory() as folder:
        for name, make in {"LLaVA-1.5-7B": llava, "Qwen2.5-VL-7B": qwen}.items():
            config, processor = make(Path(folder) / name, options.small)
            called = f"{name} (small)" if options.small else name
            for line in measure(called, config, processor, options):
                print(line, flush=True)
    print("\n| segmenter | batch | images/s | peak GB |\n|---|---|---|---|")
    for line in measure_sam(options):
        print(line, flush=True)


def measure(name: str, config: Any, processor: Any, options: argparse.Namespace) -> Iterator[str]:
    """A line of the table for each batch size."""
    device = torch.device(options.device)
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16).eval()
    model.generation_config.eos_token_id = None
    speakers = {capture: _speaker(model, processor, capture, options) for capture in ("step", "none")}
    encoder = Encoder(processor, model.config, name, None, "native")
    requests = ask(noise(-(-max(options.batches) // len(TEXTS))), TEXTS)
    few = [(image, encoder.chat(prompt.text)) for image, prompt in requests[: options.alone]]
    implementation = model.config.get_text_config()._attn_implementation
    model.set_attn_implementation({"text_config": "eager"})
    recipe = options.alone / _best(
        lambda: answer_and_attend(model, processor, few, options.tokens, options.tokens, device), options, device
    )
    model.set_attn_implementation({"text_config": implementation})
    for batch in options.batches:
        now = requests[:batch]
        _reset_peak(device)
        captured = _best(lambda now=now: speakers["step"].generate(now), options, device)
        peak = _peak(device)
        plain = _best(lambda now=now: speakers["none"].generate(now), options, device)
        first = _best(lambda now=now: _first(speakers["step"], now), options, device)
        step = max(captured - first, 1e-9) / (options.tokens - 1)
        share = _bytes_read(model, encoder, now, options.tokens) / _bandwidth(device) / step
        yield (
            f"| {name} | {batch} | {batch / captured:.1f} | {batch / plain:.1f} | {captured / plain - 1:+.1%} | "
            f"{recipe:.2f} | x{batch / captured / recipe:.1f} | {share:.0%} | {peak:.1f} |"
        )


def measure_sam(options: argparse.Namespace) -> Iterator[str]:
    """A line for each number of images that SAM ViT-H encodes in a call."""
    device = torch.device(options.device)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_dim": 32, "num_pos_feats": 16}
    large = {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16, "mlp_dim": 5120}
    vision = SamVisionConfig(
        **(size if options.small else {**large, "num_pos_feats": 128}),
        global_attn_indexes=[] if options.small else [7, 15, 23, 31],
    )
    with torch.device(device):
        model = SamModel(SamConfig(vision_config=vision)).to(torch.bfloat16).eval()
    for batch in (1,) if options.small else (1, 2, 4, 8):
        pixels = torch.randn(batch, 3, 1024, 1024, device=device, dtype=torch.bfloat16)
        _reset_peak(device)
        with torch.inference_mode():
            taken = _best(lambda pixels=pixels: model.get_image_embeddings(pixels), options, device)
        name = "SAM (small)" if options.small else "SAM ViT-H"
        yield f"| {name} | {batch} | {batch / taken:.1f} | {_peak(device):.1f} |"


def llava(folder: Path, small: bool) -> tuple[Any, Any]:
    """LLaVA-1.5-7B's config and a processor with 576 image tokens."""
    words = AutoProcessor.from_pretrained(locate("embedded:tiny_llava", "bench"))
    words.tokenizer.model_max_length = 4096
    image = CLIPImageProcessor(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336})
    processor = LlavaProcessor(
        image,
        words.tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=words.chat_template,
        image_token="<image>",
        num_additional_image_tokens=1,
    )
    deep = 2 if small else 24
    width = {"hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 4}
    vision = width if small else {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16}
    text = {**width, "num_hidden_layers": 2} if small else {}  # LlamaConfig's own sizes are those of the 7B
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**vision, num_hidden_layers=deep, image_size=336, patch_size=14),
        text_config=LlamaConfig(**text, vocab_size=32064),
        image_token_id=words.tokenizer.convert_tokens_to_ids("<image>"),
    )
    return config, processor


def qwen(folder: Path, small: bool) -> tuple[Any, Any]:
    """Qwen2.5-VL-7B's config, and its processor with another vocabulary."""
    words = AutoProcessor.from_pretrained(locate("embedded:tiny_llava", "bench")).tokenizer
    words.model_max_length = 32768
    words.add_special_tokens({"additional_special_tokens": list(VISION)})
    words.chat_template = CHAT
    words.image_token, words.video_token = VISION[2:]
    ids = {
        name: words.convert_tokens_to_ids(token)
        for name, token in zip(("start", "end", "image", "video"), VISION, strict=True)
    }
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 2}
    text = {"hidden_size": 64, "intermediate_size": 64, **heads}
    large = {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28}
    vision = {"depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 32, "out_hidden_size": 64}
    sections = [2, 3, 3] if small else [16, 24, 24]
    config = Qwen2_5_VLConfig(
        text_config={
            **(text if small else {**large, "num_key_value_heads": 4}),
            "vocab_size": 152064,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": sections},
        },
        vision_config={**vision, "fullatt_block_indexes": [1]} if small else {"out_hidden_size": 3584},
        image_token_id=ids["image"],
        video_token_id=ids["video"],
        vision_start_token_id=ids["start"],
        vision_end_token_id=ids["end"],
    )
    config.save_pretrained(folder)
    words._set_processor_class("Qwen2_5_VLProcessor")  # it came with LLaVA's
    words.save_pretrained(folder)
    Qwen2VLImageProcessor(patch_size=14, merge_size=2, temporal_patch_size=2).save_pretrained(folder)
    return config, load_processor(str(folder), "bench")


def _speaker(model: Any, processor: Any, capture: Any, options: argparse.Namespace) -> HuggingFace:
    settings = {"min_new_tokens": options.tokens, "max_new_tokens": options.tokens}
    speaker = HuggingFace("random", dtype="bfloat16", device=options.device, capture=capture, generation=settings)
    speaker.speak_with(model, processor)
    return speaker


def _first(speaker: HuggingFace, requests: Any) -> None:
    """All that comes before decoding: one token of each answer."""
    settings = speaker.generation
    speaker.generation = {**settings, "min_new_tokens": 1, "max_new_tokens": 1}
    try:
        speaker.generate(requests)
    finally:
        speaker.generation = settings


def _bytes_read(model: Any, encoder: Encoder, requests: Any, tokens: int) -> float:
    """What a decoding step must read at least: the decoder's weights, each picture's prefix, each row's own keys."""
    text = model.config.get_text_config(decoder=True)
    decoder = [*model.model.language_model.layers.parameters(), *model.lm_head.parameters()]
    length = int(encoder.encode(requests[:1])["input_ids"].shape[1])
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    token = 2 * 2 * text.num_hidden_layers * text.num_key_value_heads * width  # keys and values, two bytes each
    pictures = len({id(image) for image, _ in requests})
    return sum(p.numel() * 2 for p in decoder) + token * (pictures * length + len(requests) * tokens / 2)


def _bandwidth(device: torch.device) -> float:
    """Bytes a second that the memory gives, read and written, in a copy."""
    source = torch.empty((2**28 if device.type == "cuda" else 2**24,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    taken = min(_timed(lambda: target.copy_(source), device) for _ in range(10))
    return 2 * source.numel() / taken


def _best(work: Callable[[], Any], options: argparse.Namespace, device: torch.device) -> float:
    work()
    return min(_timed(work, device) for _ in range(options.repeats))


def _timed(work: Callable[[], Any], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> float:
    return torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else float("nan")


def _machine(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "CPU"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 3, 6, 12, 24, 48, 64], help="prompts together")
    parser.add_argument("--tokens", type=int, default=64, help="new tokens")
    parser.add_argument("--alone", type=int, default=6, help="prompts that the recipe answers")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--small", action="store_true", help="the same architectures, two layers of width 64")
    return parser.parse_args()


if __name__ == "__main__":
    main()
