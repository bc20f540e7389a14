"""Writing the trained models as ordinary folders: half-precision weights that load as float32."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, ProcessorMixin


def export(model: PreTrainedModel, processor: ProcessorMixin, folder: Path) -> None:
    """Save model and processor. The weights are rounded to float16; the configuration still asks for float32.

    So `from_pretrained(folder)` computes in float32, and 2 bytes a weight are stored.
    """
    model.to(torch.float16).save_pretrained(folder)
    processor.save_pretrained(folder)
    path = folder / "config.json"
    config = _wide(json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _wide(value: Any) -> Any:
    """The configuration with every dtype float32."""
    if isinstance(value, dict):
        return {k: "float32" if k == "dtype" else _wide(v) for k, v in value.items()}
    return value
