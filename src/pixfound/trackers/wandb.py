"""Weights & Biases: headline figures, and a table of pictures with mask overlays."""

from __future__ import annotations

import netrc
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import numpy as np

from pixfound.interfaces import Tracker
from pixfound.io.overlays import draw_heat
from pixfound.io.terminal import say
from pixfound.pipeline.images import load
from pixfound.pipeline.run_names import main_row, selectors_of, title
from pixfound.types import KINDS

_LONGEST_TAG = 64  # characters; W&B refuses more

if TYPE_CHECKING:
    from pixfound.pipeline.results import Result
    from pixfound.pipeline.run_data import RunData


class Wandb(Tracker):
    """mode: `auto` is online after `wandb login` or with WANDB_API_KEY, else offline. group: the benchmark by default.

    tags: beside the names of benchmark, model and extraction. pictures: examples in the table.
    """

    def __init__(
        self,
        project: str = "pixfound",
        entity: str | None = None,
        mode: Literal["auto", "online", "offline"] = "auto",
        group: str | None = None,
        tags: Sequence[str] = (),
        pictures: int = 32,
    ) -> None:
        self.project, self.entity, self.mode, self.pictures = project, entity, mode, pictures
        self.group, self.tags = group, list(tags)

    def log(self, result: Result, run: RunData) -> None:
        """Publish a run under its fingerprint; publishing it again updates it. All files stay in its folder.

        An offline run keeps the table's pictures there until it is synced, by the command that is printed.
        """
        folder = result.folder / "wandb"
        shutil.rmtree(folder, ignore_errors=True)  # what was published before, which this replaces
        folder.mkdir()
        for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR"):
            os.environ[name] = str(folder)
        import wandb

        mode = self.mode if self.mode != "auto" else "online" if has_login(wandb.setup().settings) else "offline"
        published = wandb.init(
            project=self.project,
            entity=self.entity,
            mode=mode,
            dir=str(result.folder),
            id=result.fingerprint,
            name=title(result.names, result.config),
            group=self.group or result.names["benchmark"],
            tags=[str(tag)[:_LONGEST_TAG] for tag in (*result.names.values(), *self.tags)],
            config=dict(result.config),
            resume="allow",
            settings=wandb.Settings(silent=True),
        )
        row = main_row(selectors_of(result.config))
        try:
            published.summary.update(headline_figures(result, row))
            for name in ("metrics.json", "report.md"):
                copied = shutil.copy(result.folder / name, published.dir)  # else W&B links to it, and warns
                published.save(copied, base_path=published.dir, policy="end")
            if self.pictures:
                published.log({"examples": self._table(wandb, run, row)})
        finally:
            published.finish()
        if mode == "offline":
            say(f"Weights & Biases, offline; to publish: wandb sync {published.sync_dir}")
        else:
            shutil.rmtree(folder / "artifacts", ignore_errors=True)  # copies of what is uploaded

    def _table(self, wandb: Any, run: RunData, main: str) -> Any:
        """A line for each example: the main row's attention, and the picture with each row's choice and the truth."""
        rows = list(run.parts.rows)
        columns = ["id", "question", "truth", "open", "choice", "ground", "expression", "attention"]
        grid = wandb.Table(columns=[*columns, *(f"{row} {column}" for row in rows for column in ("mask", "iou"))])
        for run_example in run.examples[: self.pictures]:
            example = run_example.example
            try:
                image = load(example)
            except Exception:  # whatever its source raises, which is listed among the failures
                continue
            scores = {(s.kind, s.row): s for s in run.scores_of(run_example)}
            responses = [scores[kind, None].response if kind in example.kinds else None for kind in KINDS]
            heat = run.attention(run_example, "ground", main)
            cells: list[Any] = [
                example.id,
                example.question,
                example.right_answer,
                *responses,
                example.expression,
                None if heat is None else wandb.Image(draw_heat(image, heat)),
            ]
            for row in rows:
                layers = {"truth": _layer(example.gt_mask.decode())}
                mask = run.mask(run_example, "ground", row)
                if mask is not None:
                    layers["choice"] = _layer(mask.decode())
                cells += [wandb.Image(image, masks=layers), scores["ground", row].iou]
            grid.add_data(*cells)
        return grid


def headline_figures(result: Result, row: str) -> dict[str, Any]:
    """The figures of a run's summary: answers, masks of the main row, and what is missing. metrics.json has all."""
    metrics, masks = result.metrics, result.metrics["rows"][row]
    figures = {
        "A": metrics["vqa"]["A"],
        "A_dagger": metrics["vqa"]["A_dagger"],
        "M": masks["M"],
        "M_dagger": masks["M_dagger"],
        "S": masks["S"],
        "M_dagger_present": masks["present_only"]["M_dagger"],
        "false_positives_on_absent": masks["false_positives_on_absent"]["M_dagger"],
        "grounded_given_correct": masks["grounded_given_correct"],
    }
    counts = {"unscored": sum(metrics["unscored"].values()), "failures": len(result.failures)}
    return {"row": row, **{name: figure["value"] for name, figure in figures.items()}, **counts}


def has_login(settings: Any) -> bool:
    """True if there is a key: in the environment, in W&B's settings, or in .netrc, where `wandb login` writes it.

    `wandb.login` would say so too, but asks the server, which a node of a cluster may not reach.
    """
    if os.environ.get("WANDB_API_KEY") or settings.api_key:
        return True
    hosts = {urlsplit(settings.base_url).hostname or ""}
    if settings.base_url == type(settings).model_fields["base_url"].default:
        hosts.add("api.wandb.ai")  # the name of W&B's own server in logins of before
    named = os.environ.get("NETRC")
    for file in [named] if named else ["~/.netrc", "~/_netrc"]:
        with suppress(OSError, netrc.NetrcParseError):
            if hosts & netrc.netrc(os.path.expanduser(file)).hosts.keys():
                return True
    return False


def _layer(mask: Any) -> dict[str, Any]:
    return {"mask_data": mask.astype(np.uint8), "class_labels": {1: "object"}}
