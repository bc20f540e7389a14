"""What tests of the models that draw masks share: the tiny checkpoints' folder, a picture, a whole run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from pixfound.apps.certify.certificate import certify
from pixfound.apps.evaluation import evaluate
from pixfound.models.pixel.lisa import Lisa
from pixfound.models.pixel.sa2va import Sa2VA
from pixfound.types import Prompt
from tests.support.run import QUIET, config_of

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
PICTURE = Image.open(DATA / "pixel_mllm.png").convert("RGB")  # 40 x 56


def prompt_of(name: str) -> str:
    """The prompt of conf/model/NAME.yaml."""
    return str(yaml.safe_load((ROOT / "conf" / "model" / f"{name}.yaml").read_text())["prompt"])


def run_whole(outputs: Path, *overrides: str) -> dict[str, Any]:
    """metrics.json of a run on four examples with the masks that the model draws."""
    tiny = ["model.dtype=float32", "model.generation.max_new_tokens=16", "scoring.resamples=100", *QUIET]
    common = ["benchmark=pixshapes", "extraction=native", "limit=4", f"outputs_dir={outputs}"]
    result = evaluate(config_of(*tiny, *common, *overrides))
    return dict(json.loads((result.folder / "metrics.json").read_text()))


def gates_of(outputs: Path, *overrides: str) -> dict[str, bool | None]:
    """Gate -> whether it passed, of the certificate of a model that captures its attention."""
    tiny = ["model.dtype=float32", "model.device=cpu", "model.generation.max_new_tokens=8", "model.capture=step"]
    return {gate.name: gate.passed for gate in certify(config_of(*tiny, f"outputs_dir={outputs}", *overrides)).gates}


GATES = ("chat template", "text with and without capture", "batch", "attention", "forced pass", "geometry")


def furthest_from_eager(
    model: Lisa | Sa2VA,
    request: tuple[Image.Image, Prompt],
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
) -> float:
    """The largest difference between the rows that were captured and those of eager attention, of one answer.

    Eager is transformers' own `generate` of the composed model with `output_attentions=True`, which must write the
    same answer. layers, heads: what the model's rows are the mean of.
    """
    ((found, ids),) = model.answer([request])
    assert found.attention is not None and found.penultimate is not None
    inputs, language = model.encode([request]), model.loaded()
    columns = (inputs["input_ids"][0] == language.config.image_token_id).nonzero()[:, 0]
    language.set_attn_implementation("eager")
    with torch.inference_mode():
        out = language.generate(
            **inputs, max_new_tokens=len(ids), do_sample=False, output_attentions=True, return_dict_in_generate=True
        )
    assert out.sequences[0, inputs["input_ids"].shape[1] :].tolist() == ids
    rows = []
    for step, maps in enumerate(out.attentions):
        chosen = torch.stack([maps[i][0] for i in (range(len(maps)) if layers is None else layers)])  # (L, H, Q, K)
        mean = (chosen if heads is None else chosen[:, list(heads)]).mean((0, 1))[:, columns]
        rows += [mean[-2], mean[-1]] if step == 0 else [mean[-1]]
    ours = np.concatenate([found.penultimate[None], found.attention])
    assert len(ours) == len(rows) > 2 and ours.max() > 1e-3
    return float(np.abs(ours - torch.stack(rows).numpy()).max())
