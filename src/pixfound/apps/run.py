"""A finished run in Python: `pixfound.evaluate` and `pixfound.open_run`."""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from pixfound.errors import UserError, nearest
from pixfound.pipeline.run_data import RunData
from pixfound.pipeline.run_examples import RunExample
from pixfound.pipeline.run_names import main_row
from pixfound.types import Generation, Kind
from pixfound.types.masks import BoolMask

if TYPE_CHECKING:
    import pandas

log = logging.getLogger(__name__)
ExampleName = str | int | RunExample  # its id, its place in the run, or itself


def evaluate(*overrides: str, **options: Any) -> Run:
    """Run an evaluation, or open it where it is finished already.

    overrides: as on the command line of `pixfound`: `evaluate("model=hf", "model.path=OWNER/NAME")`. options: the same
    by name, `evaluate(model="tiny", limit=20)`; a name with dots is given as `**{"model.path": "OWNER/NAME"}`.

    Examples that fail are warned about, and are tried again by the same call. UserError for wrong options or data.
    """
    from pixfound.apps.compose import compose_config
    from pixfound.apps.evaluate import evaluated

    result = evaluated(compose_config(as_overrides(overrides, options)))
    if result.failures:
        log.warning("%d scores are missing because of failures, see %s", len(result.failures), result.folder)
    return open_run(result.folder)


def open_run(folder: str | Path) -> Run:
    """A finished run by its folder; see `RunData.open`."""
    from pixfound.pipeline.run_folder import read_metrics

    folder = Path(folder).resolve()
    data, file = RunData.open(folder), read_metrics(folder)
    return Run(data, file["names"], file["metrics"], folder)


class Run:
    """A run, its examples and what is known of each.

    data: the run's records. names: of its benchmark, model and extraction. metrics: as in metrics.json. folder: None
    where nothing was written. An example is given by its id, its place in the run, or as an element of `examples`.
    """

    def __init__(
        self, data: RunData, names: Mapping[str, str], metrics: Mapping[str, Any], folder: Path | None = None
    ) -> None:
        self.data, self.names, self.metrics, self.folder = data, names, metrics, folder

    @property
    def examples(self) -> Sequence[RunExample]:
        """The examples in the order of the benchmark; each one's `example` has its question, options and truth."""
        return self.data.examples

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows of the table."""
        return tuple(self.data.parts.rows)

    @property
    def main_row(self) -> str:
        """The row that is the model's score: the first that chooses without the ground truth."""
        return main_row({row: selector for row, (_, selector) in self.data.parts.rows.items()})

    def example(self, name: ExampleName) -> RunExample:
        """The example of an id or a place. Raises UserError where there is none."""
        if isinstance(name, RunExample):
            return name
        if isinstance(name, int):
            if not -len(self.examples) <= name < len(self.examples):
                raise UserError(f"example {name}: the run has {len(self.examples)}")
            return self.examples[name]
        found = next((item for item in self.examples if item.id == name), None)
        if found is None:
            raise UserError(f"example {name!r}: the run has none; {nearest(name, [item.id for item in self.examples])}")
        return found

    def table(self) -> pandas.DataFrame:
        """A line for each row of the table; of each figure its `value`, and `low` and `high` of its 95 % interval.

        In percent, under two levels of columns: `run.table()["M†"]["low"]`.
        """
        vqa = self.metrics["vqa"]
        lines = {}
        for row, figures in self.metrics["rows"].items():
            shares = {
                "A": vqa["A"],
                "A†": vqa["A_dagger"],
                "M": figures["M"],
                "M†": figures["M_dagger"],
                "S": figures["S"],
                "M† present": figures["present_only"]["M_dagger"],
                "FP absent": figures["false_positives_on_absent"]["M_dagger"],
            }
            lines[row] = {
                (name, end): None if share[end] is None else 100 * share[end]
                for name, share in shares.items()
                for end in ("value", "low", "high")
            }
        return _pandas().DataFrame.from_dict(lines, orient="index", dtype=float)

    def scores(self) -> pandas.DataFrame:
        """A line for each example, kind of prompt and row, as in scores.jsonl; lines of answers have no row."""
        return _pandas().DataFrame([score.to_json() for item in self.examples for score in self.data.scores_of(item)])

    def image(self, example: ExampleName) -> Image.Image:
        """The example's image."""
        from pixfound.pipeline.images import load

        return load(self.example(example).example)

    def truth(self, example: ExampleName) -> BoolMask:
        """(H, W) the ground truth; empty for an absent object."""
        return self.example(example).example.gt_mask.decode()

    def mask(self, example: ExampleName, kind: Kind = "ground", row: str | None = None) -> BoolMask | None:
        """(H, W) the mask that a row shows, by default the main row's; None where no decision could be had."""
        row = self.main_row if row is None else row
        if row not in self.rows:
            raise UserError(f"row {row!r}: the table has none; {nearest(row, self.rows)}")
        mask = self.data.mask(self.example(example), kind, row)
        return None if mask is None else mask.decode()

    def attention(self, example: ExampleName, kind: Kind = "ground") -> Generation | None:
        """The answer with its attention, as `pixfound.attention` returns it; None where there is no answer."""
        return self.data.generation(self.example(example), kind)

    def overlay(
        self, example: ExampleName, words: str | tuple[int, int] | None = None, kind: Kind = "ground", **options: Any
    ) -> Image.Image:
        """The image with the attention of some words of the answer over it; see `pixfound.attention_map`."""
        from pixfound.apps.attend import overlay

        answer = self.attention(example, kind)
        if answer is None:
            raise UserError(f"example {self.example(example).id}: there is no answer to its {kind} prompt")
        return overlay(self.image(example), answer, words, **options)

    def __repr__(self) -> str:
        about = ", ".join(f"{key}={name}" for key, name in self.names.items())
        return f"Run({about}, {len(self.examples)} examples{f', {self.folder}' if self.folder else ''})"

    def _repr_html_(self) -> str:
        """The table, which a notebook shows."""
        from pixfound.report.table import HEADERS, table

        title = f"{self.names['model']} on {self.names['benchmark']}, {self.names['extraction']}"
        where = (
            ""
            if self.folder is None
            else f"<p><code>{html.escape(str(self.folder / 'page' / 'index.html'))}</code></p>"
        )
        head, lines = _html_row(HEADERS, "th"), "".join(_html_row(cells, "td") for cells in table(self.metrics))
        caption = html.escape(f"{title}: {len(self.examples)} examples, in percent")
        return f"<table><caption>{caption}</caption><thead>{head}</thead><tbody>{lines}</tbody></table>{where}"


def _html_row(cells: Iterable[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"


def as_overrides(overrides: Sequence[str], options: Mapping[str, Any]) -> list[str]:
    """Overrides of Hydra from those that are written as such and those by name."""
    return [*overrides, *(f"{name}={_hydra_value(value)}" for name, value in options.items())]


def _hydra_value(value: Any) -> str:
    from pixfound.config.errors import quoted

    if isinstance(value, str | Path):
        text = str(value)
        if text.isidentifier() and text.lower() not in ("true", "false", "null", "nan", "inf", "infinity"):
            return text
        return quoted(text)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_hydra_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Iterable):
        return "[" + ",".join(map(_hydra_value, value)) + "]"
    return json.dumps(value)


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise UserError('tables need the package pandas; type: pip install "pixfound[notebook]"') from error
    return pandas
