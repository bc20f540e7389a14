"""Weights & Biases: the metrics, and a table of pictures with mask overlays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pixfound.errors import UserError
from pixfound.interfaces import Tracker
from pixfound.pipeline.images import load
from pixfound.types import KINDS

if TYPE_CHECKING:
    from pixfound.pipeline.results import Result
    from pixfound.pipeline.run_data import RunData


class Wandb(Tracker):
    """mode: `auto` is online where WANDB_API_KEY is set, else offline. pictures: examples in the table."""

    def __init__(
        self,
        project: str = "pixfound",
        entity: str | None = None,
        mode: Literal["auto", "online", "offline"] = "auto",
        pictures: int = 32,
    ) -> None:
        if mode not in ("auto", "online", "offline"):
            raise UserError(f"tracker.mode={mode}: valid values are auto, online and offline")
        self.project, self.entity, self.pictures = project, entity, pictures
        self.mode = ("online" if os.environ.get("WANDB_API_KEY") else "offline") if mode == "auto" else mode

    def log(self, result: Result, run: RunData) -> None:
        """Publish a run under its fingerprint; publishing it again updates it. All files stay in its folder."""
        folder = result.folder / "wandb"
        folder.mkdir(exist_ok=True)
        for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
            os.environ[name] = str(folder)
        import wandb

        published = wandb.init(
            project=self.project,
            entity=self.entity,
            mode=self.mode,
            dir=str(result.folder),
            id=result.fingerprint,
            name="/".join(result.names.values()),
            config=dict(result.config),
            resume="allow",
            settings=wandb.Settings(silent=True),
        )
        try:
            published.summary.update(flat(result.metrics))
            if self.pictures:
                published.log({"examples": self._table(wandb, run)})
        finally:
            published.finish()

    def _table(self, wandb: Any, run: RunData) -> Any:
        """A line for each example: the picture with the choice and the truth of every row over it."""
        rows = list(run.parts.rows)
        columns = ["id", "question", "truth", "open", "choice", "ground", "expression"]
        grid = wandb.Table(columns=[*columns, *(f"{row} {column}" for row in rows for column in ("mask", "iou"))])
        for run_example in run.examples[: self.pictures]:
            example = run_example.example
            try:
                image = load(example)
            except Exception:  # whatever its source raises, which is listed among the failures
                continue
            scores = {(s.kind, s.row): s for s in run.scores_of(run_example)}
            responses = [scores[kind, None].response if kind in example.kinds else None for kind in KINDS]
            cells: list[Any] = [
                example.id,
                example.question,
                example.right_answer,
                *responses,
                example.expression,
            ]
            for row in rows:
                layers = {"truth": _layer(example.gt_mask.decode())}
                mask = run.mask(run_example, "ground", row)
                if mask is not None:
                    layers["choice"] = _layer(mask.decode())
                cells += [wandb.Image(image, masks=layers), scores["ground", row].iou]
            grid.add_data(*cells)
        return grid


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of nested mappings under dotted names; what is None is left out."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= flat(value, f"{prefix}{name}.")
        elif value is not None:
            leaves[f"{prefix}{name}"] = value
    return leaves


def _layer(mask: Any) -> dict[str, Any]:
    return {"mask_data": mask.astype(np.uint8), "class_labels": {1: "object"}}
