"""Figures on a GPU: models of the published sizes with random weights, for experiments/speed/RESULTS.md.

    python -m experiments.speed.gpu                    # at most 8 minutes and 40 GB of a GPU's memory
    python -m experiments.speed.gpu --small --device cpu   # whether it runs, anywhere

The most important figures come first, and each is a line of JSON in `--out` as soon as it is known. What is in that
file is not measured again, so the same command goes on where an earlier one ended; no part is begun after `--minutes`.

Of a model: prompts a second with and without capture, peak memory, and how near decoding is to what the memory's
bandwidth allows (the weights and the keys and values of a step, read once); the recipe (one by one, eager, all
attention kept); captured rows against eager ones in bf16; the batch that `batch_size=auto` finds, and whether it fits.
Then whether two processes that share the GPU give the scores of one, and the images a second that SAM encodes. At the
end everything is printed as tables in Markdown, ready to be pasted.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from experiments.speed.answering import TEXTS, ask, noise
from experiments.speed.recipe import answer_and_attend
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

from pixfound.checkpoints.locating import locate
from pixfound.checkpoints.processors import load_processor
from pixfound.models.decoder_model import DecoderModel
from pixfound.models.geometry.batch_encoder import Encoder

VISION = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
CHAT = (
    "{% for m in messages %}{% for part in m.content %}{% if part.type == 'image' %}<|vision_start|><|image_pad|>"
    "<|vision_end|>{% else %}{{ part.text }}{% endif %}{% endfor %}{% endfor %}"
)


ROOT = Path(__file__).parents[2]
Figures = dict[str, Any]
Part = tuple[str, Callable[[], Figures]]


def main() -> None:
    """Measure what the file lacks, in order, and print all that it has."""
    options = _options()
    torch.manual_seed(0)
    target, setting, start = Path(options.out), _setting(options), time.monotonic()
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        for name, measure in parts(Path(folder), options):
            if "error" not in _rows(target, setting).get(name, {"error": "not measured"}):
                continue
            if time.monotonic() - start > 60 * options.minutes:
                print(f"{options.minutes:g} minutes are over: the same command goes on with {name}")
                break
            row = {"name": name, **_figures(measure)}
            with target.open("a") as stream:
                stream.write(json.dumps({**row, "setting": setting}) + "\n")
            print(json.dumps(row), flush=True)
    rows = _rows(target, setting)
    print("\n".join(["", setting, "", *tables(list(rows.values()))]))
    failed = [name for name, row in rows.items() if "error" in row]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def parts(folder: Path, options: argparse.Namespace) -> Iterator[Part]:
    """The name of each part and what measures it, the most important first. One model is in memory at a time."""
    tag = " (small)" if options.small else ""
    subjects = [
        Subject(f"LLaVA-1.5-7B{tag}", llava, folder / "llava", options),
        Subject(f"Qwen2.5-VL-7B{tag}", qwen, folder / "qwen", options),
    ]
    shared: Part = (f"one and two processes{tag}", partial(measure_processes, folder, options))
    for subject, after in zip(subjects, ([shared], []), strict=True):
        yield f"{subject.name}, batch {options.batches[0]}", partial(subject.answers, options.batches[0])
        yield f"{subject.name}, recipe", subject.recipe
        yield f"{subject.name}, capture vs eager", subject.against_eager
        yield f"{subject.name}, batch_size=auto", subject.auto
        subject.forget()
        yield from after
    sam = Segmenter(options)
    for count in (1,) if options.small else (8, 1):
        yield f"SAM ViT-H{tag}, {count} images", partial(sam.images, count)
    sam.forget()
    for subject in subjects:
        for batch in options.batches[1:]:
            yield f"{subject.name}, batch {batch}", partial(subject.answers, batch)
        subject.forget()


class _Made:
    """Something large on the device, made when it is first asked for."""

    def forget(self) -> None:
        """Give its memory back."""
        vars(self).pop("model", None)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@dataclass(eq=False, kw_only=True)
class _Adapter(DecoderModel):
    """An adapter of a transformers model and a processor that exist already."""

    model: Any
    its_processor: Any

    def _load_config(self) -> Any:
        return self.model.config

    def _load_processor(self) -> Any:
        return self.its_processor

    def _load_model(self) -> Any:
        return self.model


class Subject(_Made):
    """A multi-modal model with random weights. make: its config and its processor, from a folder and whether small."""

    def __init__(self, name: str, make: Callable[..., Any], folder: Path, options: argparse.Namespace) -> None:
        self.name, self.make, self.folder, self.options = name, make, folder, options
        self.device = torch.device(options.device)

    @cached_property
    def made(self) -> Any:
        """The config and the processor."""
        return self.make(self.folder, self.options.small)

    @cached_property
    def model(self) -> Any:
        """The model, on its device."""
        with self.device:
            model = AutoModelForImageTextToText.from_config(self.made[0], dtype=torch.bfloat16).eval()
        model.generation_config.eos_token_id = None
        return model

    def answers(self, batch: int) -> Figures:
        """Prompts a second of a batch, with capture and without."""
        step, plain, now = self._adapter("step"), self._adapter("none"), _requests(batch)
        _reset_peak(self.device)
        captured = self._best(lambda: step.generate(now))
        peak = _peak(self.device)
        uncaptured = self._best(lambda: plain.generate(now))
        first = self._best(lambda: _first(step, now))
        each = max(captured - first, 1e-9) / (self.options.tokens - 1)
        read = _bytes_read(self.model, self._encoder(), now, self.options.tokens)
        return {
            "model": self.name,
            "batch": batch,
            "prompts_per_s": batch / captured,
            "no_capture": batch / uncaptured,
            "capture_costs": captured / uncaptured - 1,
            "of_bandwidth": read / _bandwidth(self.device) / each,
            "peak_gb": peak,
        }

    def recipe(self) -> Figures:
        """Prompts a second of the recipe."""
        few = [(image, self._encoder().chat(prompt.text)) for image, prompt in _requests(self.options.alone)]

        def answer(prompts: Sequence[Any], tokens: int) -> None:
            answer_and_attend(self.model, self.made[1], prompts, tokens, tokens, self.device)

        with self._eagerly():
            answer(few[:1], 2)
            taken = min(
                _timed(lambda: answer(few, self.options.tokens), self.device) for _ in range(self.options.repeats)
            )
        return {"model": self.name, "prompts_per_s": len(few) / taken}

    def against_eager(self) -> Figures:
        """Rows captured in a batch, step by step, against eager attention's in one pass over prompt and answer.

        Both are bf16, so they are compared to the largest value. Differences are of the prompt's last row and of all
        rows; `same_tokens` is the share of the answers' tokens that eager finds the most likely, too.
        """
        requests = _requests(self.options.alone)
        answers, first, furthest, largest, same = self._adapter("step").answer(requests), 0.0, 0.0, 0.0, []
        encoder = self._encoder()
        with self._eagerly(), torch.inference_mode():
            for request, (said, ids) in zip(requests, answers, strict=True):
                assert said.attention is not None
                inputs = _on(encoder.encode([request]), self.model)
                prompt = inputs["input_ids"]
                told = torch.tensor([ids[:-1]], device=prompt.device)
                inputs["input_ids"] = torch.cat([prompt, told], dim=1)
                for name in ("attention_mask", "mm_token_type_ids"):
                    if name in inputs:
                        fill = torch.full_like(told, int(name == "attention_mask"))
                        inputs[name] = torch.cat([inputs[name], fill], dim=1)
                out = self.model(**inputs, output_attentions=True, use_cache=False)
                where = (prompt[0] == self.model.config.image_token_id).nonzero()[:, 0]
                begin = prompt.shape[1] - 1
                rows = torch.stack([layer[0, :, begin:, where].float().mean(0) for layer in out.attentions]).mean(0)
                apart = (torch.from_numpy(said.attention) - rows.cpu()).abs()
                first, furthest = max(first, float(apart[0].max())), max(furthest, float(apart.max()))
                largest = max(largest, float(rows.max()))
                likely = out.logits[0, begin:].argmax(-1).tolist()
                same += [a == b for a, b in zip(likely, ids, strict=True)]
        return {
            "model": self.name,
            "first_row": first,
            "all_rows": furthest,
            "largest_value": largest,
            "same_tokens": sum(same) / len(same),
        }

    def auto(self) -> Figures:
        """The batch that `batch_size=auto` finds, and whether it fits: peak memory beside what the device has."""
        step = self._adapter("step")
        found = step.max_batch(_requests(len(TEXTS)))
        now = _requests(min(found.prompts, 3) if self.options.small else found.prompts)
        _reset_peak(self.device)
        taken = _timed(lambda: step.generate(now), self.device)
        return {
            "model": self.name,
            "batch": found.prompts,
            "prompts_per_s": len(now) / taken,
            "mb_a_prompt": found.each / 2**20 if found.each else None,
            "free_gb": found.free / 2**30 if found.free else None,
            "peak_gb": _peak(self.device),
            "device_gb": _memory(self.device),
        }

    def _adapter(self, capture: Any) -> DecoderModel:
        settings = {"min_new_tokens": self.options.tokens, "max_new_tokens": self.options.tokens}
        options = {"dtype": "bfloat16", "device": self.options.device, "capture": capture, "generation": settings}
        return _Adapter(str(self.folder), model=self.model, its_processor=self.made[1], **options)

    def _encoder(self) -> Encoder:
        return Encoder(self.made[1], self.model.config, self.name)

    def _best(self, work: Callable[[], Any]) -> float:
        return _best(work, self.options.repeats, self.device)

    @contextmanager
    def _eagerly(self) -> Iterator[None]:
        before = self.model.config.get_text_config()._attn_implementation
        self.model.set_attn_implementation({"text_config": "eager"})
        try:
            yield
        finally:
            self.model.set_attn_implementation({"text_config": before})


class Segmenter(_Made):
    """SAM ViT-H with random weights."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.device = options, torch.device(options.device)

    @cached_property
    def model(self) -> Any:
        """The model, on its device."""
        small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_dim": 32}
        large = {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16, "mlp_dim": 5120}
        vision = (
            SamVisionConfig(**small, num_pos_feats=16, global_attn_indexes=[])
            if self.options.small
            else SamVisionConfig(**large, num_pos_feats=128, global_attn_indexes=[7, 15, 23, 31])
        )
        with self.device:
            return SamModel(SamConfig(vision_config=vision)).to(torch.bfloat16).eval()

    def images(self, count: int) -> Figures:
        """Images a second that are encoded, `count` in a call."""
        pixels = torch.randn(count, 3, 1024, 1024, device=self.device, dtype=torch.bfloat16)
        model = self.model
        _reset_peak(self.device)
        with torch.inference_mode():
            taken = _best(lambda: model.get_image_embeddings(pixels), self.options.repeats, self.device)
        return {"batch": count, "images_per_s": count / taken, "peak_gb": _peak(self.device)}


def measure_processes(folder: Path, options: argparse.Namespace) -> Figures:
    """The same run by one process and by two that share the GPU: seconds, and lines of scores.jsonl that differ."""
    limit = 4 if options.small else 60
    line = [sys.executable, "-m", "pixfound", f"limit={limit}", "batch_size=6", "report.pictures=0"]
    line += [f"model.device={_shared(options)}", f"segmenter.device={_shared(options)}"]
    seconds, files = [], []
    for count in (1, 2):
        outputs = folder / f"processes{count}"
        work = [*line, f"outputs_dir={outputs}", *([f"launch.num_processes={count}"] if count > 1 else [])]
        start = time.perf_counter()
        done = subprocess.run(work, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        seconds.append(time.perf_counter() - start)
        (run,) = outputs.glob("runs/*/*/*/*")
        files.append([(run / name).read_text().splitlines() for name in ("scores.jsonl", "metrics.json")])
    (scores, metrics), (other, other_metrics) = files
    return {
        "lines": len(scores),
        "lines_that_differ": sum(a != b for a, b in zip(scores, other, strict=True)),
        "same_metrics": metrics == other_metrics,
        "seconds": seconds,
    }


def tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The rows in Markdown: answers first, with the recipe beside them, and then whatever else there is."""
    recipe = {row["model"]: row["prompts_per_s"] for row in rows if row["name"].endswith(", recipe") and "model" in row}
    answers = sorted((r for r in rows if "no_capture" in r), key=lambda r: (r["model"], r["batch"]))
    yield "| model | batch | prompts/s | no capture | capture costs | recipe | against it | of bandwidth | peak GB |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in answers:
        alone = recipe.get(row["model"], float("nan"))
        yield (
            f"| {row['model']} | {row['batch']} | {row['prompts_per_s']:.1f} | {row['no_capture']:.1f} | "
            f"{row['capture_costs']:+.1%} | {alone:.2f} | x{row['prompts_per_s'] / alone:.1f} | "
            f"{row['of_bandwidth']:.0%} | {row['peak_gb']:.1f} |"
        )
    yield from ("", "| figure | value |", "|---|---|")
    for row in rows:
        if row not in answers:
            said = ", ".join(f"{k} {_short(v)}" for k, v in row.items() if k not in ("name", "model", "setting"))
            yield f"| {row['name']} | {said} |"


def _short(value: Any) -> str:
    if isinstance(value, list):
        return " and ".join(_short(one) for one in value)
    if isinstance(value, str):
        return value.splitlines()[0]
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _figures(measure: Callable[[], Figures]) -> Figures:
    """What a part found and how long it took; its `error` where it fails, and the others go on."""
    start = time.perf_counter()
    try:
        found = measure()
    except Exception as error:  # also want of memory
        traceback.print_exc()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        found = {"error": f"{type(error).__name__}: {error}"}
    return {**found, "took_s": round(time.perf_counter() - start, 1)}


def _rows(target: Path, setting: str) -> dict[str, Any]:
    """The rows of a file that were measured like this, by name, the last of each. A torn line is none."""
    found = {}
    for line in target.read_text().splitlines() if target.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["setting"] == setting:
            found[row["name"]] = row
    return found


def _setting(options: argparse.Namespace) -> str:
    machine = torch.cuda.get_device_name(options.device) if options.device.startswith("cuda") else "CPU"
    return (
        f"{machine}, torch {torch.__version__}, transformers {transformers.__version__}, bfloat16, "
        f"{options.tokens} new tokens a prompt"
    )


def _requests(count: int) -> Any:
    return ask(noise(-(-count // len(TEXTS))), TEXTS)[:count]


def _shared(options: argparse.Namespace) -> str:
    return "cpu" if options.device == "cpu" else "auto"


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
    config.save_pretrained(folder)
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


def _first(adapter: DecoderModel, requests: Any) -> None:
    """All that comes before decoding: one token of each answer."""
    settings = adapter.generation
    adapter.generation = {**settings, "min_new_tokens": 1, "max_new_tokens": 1}
    try:
        adapter.generate(requests)
    finally:
        adapter.generation = settings


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


def _best(work: Callable[[], Any], repeats: int, device: torch.device) -> float:
    work()
    return min(_timed(work, device) for _ in range(repeats))


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
    """GB; 0 on a CPU."""
    return torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0.0


def _memory(device: torch.device) -> float:
    """GB that the device has; 0 on a CPU."""
    return torch.cuda.get_device_properties(device).total_memory / 2**30 if device.type == "cuda" else 0.0


def _on(inputs: Mapping[str, Any], model: Any) -> dict[str, Any]:
    moved = {name: value.to(model.device) for name, value in inputs.items()}
    return {name: v.to(model.dtype) if v.is_floating_point() else v for name, v in moved.items()}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[24, 1, 64, 3, 6, 12, 48], help="prompts together, in this order"
    )
    parser.add_argument("--tokens", type=int, default=64, help="new tokens")
    parser.add_argument("--alone", type=int, default=3, help="prompts that the recipe answers")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=7, help="after these no part is begun")
    parser.add_argument("--small", action="store_true", help="the same architectures, two layers of width 64")
    parser.add_argument("--out", default="outputs/bench/gpu.jsonl")
    return parser.parse_args()


if __name__ == "__main__":
    main()
