"""Writing the trained models as ordinary folders: half-precision weights that load as float32."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, ProcessorMixin

_LOCAL = ("_name_or_path", "_from_model_config", "is_local", "local_files_only")  # say where a model was made


def export(model: PreTrainedModel, processor: ProcessorMixin, folder: Path) -> None:
    """Save model and processor. The weights are rounded to float16; the configuration still asks for float32.

    So `from_pretrained(folder)` computes in float32, and 2 bytes a weight are stored.
    """
    model.to(torch.float16).save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    for path in folder.glob("*config.json"):
        config = _portable(json.loads(path.read_text(encoding="utf-8")))
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _portable(value: Any) -> Any:
    """The configuration with every dtype float32 and without traces of the folder that it came from."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in _LOCAL}
        return {k: "float32" if k == "dtype" else _portable(v) for k, v in kept.items()}
    return value
