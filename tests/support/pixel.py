"""What tests of the models that draw masks share: the tiny checkpoints' folder, a picture, a whole run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from pixfound.pipeline.evaluate import evaluate
from tests.support.run import config_of

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
PICTURE = Image.open(DATA / "pixel_mllm.png").convert("RGB")  # 40 x 56


def prompt_of(name: str) -> str:
    """The prompt of conf/model/NAME.yaml."""
    return str(yaml.safe_load((ROOT / "conf" / "model" / f"{name}.yaml").read_text())["prompt"])


def run_whole(outputs: Path, *overrides: str) -> dict[str, Any]:
    """metrics.json of a run on four examples with the masks that the model draws."""
    tiny = ["model.dtype=float32", "model.generation.max_new_tokens=16", "scoring.resamples=100", "report.pictures=0"]
    common = ["benchmark=pixshapes", "extraction=native", "limit=4", f"outputs_dir={outputs}"]
    result = evaluate(config_of(*tiny, *common, *overrides))
    return dict(json.loads((result.folder / "metrics.json").read_text()))
