"""Stored form of generations and candidates: their JSON values and their arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from pixfound.store.store import Record
from pixfound.types import Candidate, Generation, Tile
from pixfound.types.layer_attention import LayerAttention
from pixfound.types.lens import Lens
from pixfound.types.masks import RLE


def pack_generation(generation: Generation) -> Value:
    """The stored form of a generation."""
    data = {
        "text": generation.text,
        "image_size": list(generation.image_size),
        "spans": [list(span) for span in generation.spans],
        "tiles": [[t.first, list(t.grid), t.stride, list(t.box)] for t in generation.tiles],
        "masks": [mask.to_json() for mask in generation.masks],
        **({"mask_scores": list(generation.mask_scores)} if generation.mask_scores else {}),
        "captured": generation.attention is not None,
        "candidates": [candidate.to_json() for candidate in generation.candidates],
        "input_size": generation.input_size and list(generation.input_size),
        "cut": generation.cut,
        "prompt": generation.prompt,
        "bare": generation.bare,
        "unanswered": generation.unanswered,
        "ungrounded": generation.ungrounded,
        **(
            {"kept": {"layers": layer_attention.layers, "heads": layer_attention.heads}}
            if (layer_attention := generation.kept)
            else {}
        ),
        **({"lens": generation.lens.to_json()} if generation.lens else {}),
    }
    arrays = generation.lens.arrays() if generation.lens else {}
    if generation.attention is not None and generation.penultimate is not None:
        arrays |= {"attention": generation.attention, "penultimate": generation.penultimate}
        arrays |= {"kept": layer_attention.rows} if layer_attention else {}
    return Value(data, arrays)


def has_arrays(data: Mapping[str, Any]) -> bool:
    """Return True where `pack_generation` made arrays beside these JSON values."""
    return bool(data["captured"] or data.get("lens"))


def unpack_generation(data: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Generation:
    """Read what `pack_generation` made. arrays: may be empty where no attention is needed."""
    return Generation(
        text=data["text"],
        image_size=(data["image_size"][0], data["image_size"][1]),
        spans=tuple((start, end) for start, end in data["spans"]),
        tiles=tuple(Tile(first, (g[0], g[1]), stride, tuple(box)) for first, g, stride, box in data["tiles"]),
        attention=arrays.get("attention"),
        penultimate=arrays.get("penultimate"),
        masks=tuple(RLE.from_json(mask) for mask in data["masks"]),
        mask_scores=tuple(data.get("mask_scores", ())),
        candidates=tuple(Candidate.from_json(candidate) for candidate in data.get("candidates", ())),
        input_size=(size[0], size[1]) if (size := data.get("input_size")) else None,
        cut=data.get("cut", False),
        prompt=data.get("prompt", ""),
        bare=data.get("bare", False),
        unanswered=data.get("unanswered", ""),
        ungrounded=data.get("ungrounded", ""),
        kept=LayerAttention(arrays["kept"], tuple(of["layers"]), tuple(of["heads"]))
        if (of := data.get("kept")) and "kept" in arrays
        else None,
        lens=Lens.read(lens, arrays) if (lens := data.get("lens")) and "lens_logits" in arrays else None,
    )


def candidates_of(record: Record) -> list[Candidate]:
    """The candidates of a record of the stage extract."""
    return [Candidate.from_json(data) for data in value_of(record)["candidates"]]


def value_of(record: Record) -> Mapping[str, Any]:
    """The value of a record that is known to have one."""
    assert record.value is not None
    return record.value


@dataclass(frozen=True)
class Value:
    """Result of a task: JSON values, and arrays by name that are stored beside them."""

    data: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
