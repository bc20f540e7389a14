"""The paper's questions on the miniatures, as a page: python -m experiments.miniature [HYDRA OVERRIDES].

Runs `pixfound -m experiment=miniature` (cells that are done are not run again), and writes docs/miniature.md with its
charts from those runs and from experiments/training/pixel_runs.json. No figure of the page is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.training.intervals import over_seeds
from matplotlib.figure import Figure

from pixfound.apps.compare.runs import contestants
from pixfound.apps.compare.significance import Difference, Settings
from pixfound.apps.compare.tournament import play
from pixfound.apps.sensitivity.cells import Cell, read_cells
from pixfound.apps.sensitivity.study import ALL, study
from pixfound.io.charts import Panel, Series, bar_chart, write_chart
from pixfound.io.text import grid
from pixfound.pipeline.run_folder import find_runs
from pixfound.prompts.perturbations import NONE

RUNS = Path(__file__).parent / "training" / "pixel_runs.json"
# Model and extraction of a cell -> its name on the page, and the row that stands for it.
SUBJECTS = {
    "tiny attend_segment": ("plain, attention", "similarity"),
    "tiny_pixel native": ("pixel-level, its own masks", "native"),
    "tiny_pixel attend_segment": ("pixel-level, attention", "similarity"),
}
PLAIN, NATIVE, ATTENTION = SUBJECTS
TRAINED = {  # figures of experiments/training/evaluate.py
    "choice": "letter right",
    "open": "open answer right",
    "point_on_referred": "attended point on the referred thing",
    "iou_present": "mIoU of its own masks, present",
}


def main() -> None:
    """Run the grid, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outputs", default="outputs", help="where the runs lie")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder of miniature.md")
    options, overrides = parser.parse_known_args()
    command = [sys.executable, "-m", "pixfound", "-m", "experiment=miniature", f"outputs_dir={options.outputs}"]
    subprocess.run([*command, *overrides], check=True)
    cells = read(Path(options.outputs) / "runs" / "miniature")
    page, charts = describe(cells, json.loads(RUNS.read_text(encoding="utf-8")))
    (options.docs / "miniature").mkdir(parents=True, exist_ok=True)
    for name, chart in charts.items():
        write_chart(options.docs / "miniature" / name, chart)
    (options.docs / "miniature.md").write_text(page, encoding="utf-8")
    print(f"page: {options.docs / 'miniature.md'}")


def read(runs: Path) -> list[Cell]:
    """The cells of runs/MODEL/EXTRACTION, each folder apart: that models have wordings of their own is no variation."""
    return [
        replace(cell, subject=f"{folder.parent.name} {folder.name}")
        for folder in sorted(runs.glob("*/*"))
        for cell in read_cells(find_runs([folder]))
    ]


def describe(cells: Sequence[Cell], trainings: Mapping[str, Any]) -> tuple[str, dict[str, Figure]]:
    """The page as Markdown, and its charts by name. cells: of the three subjects. trainings: by model and seed."""
    bases = {cell.subject: cell for cell in cells if cell.variation == NONE}
    compared = [f"{bases[subject].folder}:{row}" for subject, (_, row) in SUBJECTS.items()]
    tournament = play(contestants(compared, ()), Settings())
    masks, attention, _ = (comparison.differences for comparison in tournament.comparisons)
    studies = {name: study([c for c in cells if c.subject == name]) for name in SUBJECTS}
    count = len(bases[PLAIN].table.examples)
    parts = [
        _INTRODUCTION.format(examples=count),
        _TRAINED.format(runs=_runs(trainings)),
        _trainings(trainings),
        f"The shipped weights (run 0) on the same {count} examples, pixel-level minus plain, by pair:",
        _differences(masks, ("A", "A_dagger")),
        _ATTENTION,
        _differences(attention, ("M", "M_dagger", "S", "joint")),
        "The pixel-level model's own masks minus the plain one's attention:",
        _differences(masks, ("M", "M_dagger", "S", "joint")),
        _WHEN,
        _when(bases),
        "![when](miniature/when.png)",
        _SENSITIVITY,
        _sensitivities(studies),
        "![sensitivity](miniature/sensitivity.png)",
        "## All rows",
        _rows(bases),
    ]
    return "\n\n".join(parts) + "\n", {"when": _draw_when(bases), "sensitivity": _draw_sensitivity(studies)}


_INTRODUCTION = """# The paper's questions, in miniature

Made by `make miniature`: `pixfound -m experiment=miniature` asks a plain miniature MLLM (`model=tiny`) and a
pixel-level one made from it by LISA's recipe (`model=tiny_pixel`) {examples} examples of `benchmark=pixshapes
benchmark.level=medium`, under nine variations each. The models know nothing but these drawn scenes. The page shows how
the questions of [the paper](https://arxiv.org/abs/2502.04192) are asked and answered, with intervals; of large models
it says nothing."""

_TRAINED = """## Does mask supervision cost answers?

Trainings: {runs}. The control starts from the same weights and is trained
as long, on questions alone. In percent; in brackets 95 % intervals over trainings; difference: pixel-level minus
control (Welch)."""

_ATTENTION = """## Does it cost the grounding that attention shows?

Attend-and-segment on both models, pixel-level minus plain:"""

_WHEN = """## When in the answer does grounding emerge?

The position of the phrase whose mask is best (the oracle's), under the grounding prompt. By chance: the masks shuffled
among the phrases of an answer. An answer of a single phrase has no choice to show."""

_SENSITIVITY = """## How sensitive are both to wording?

Varied are the templates of the questions (`vqa_`) and of the grounding request (`ground_`), the spelling (typing
errors), and the picture (a crop through the object, a blackened part of it). The miniatures were taught one wording; a
word that they never met is `<unk>` to them. In percent; spread: best minus worst; flips: how often two variations give
an example another outcome. More about it: [prompts](prompts.md)."""


def _runs(trainings: Mapping[str, Any]) -> str:
    return "; ".join(f"{model}: runs {', '.join(runs)}" for model, runs in trainings.items())


def _trainings(trainings: Mapping[str, Any]) -> str:
    """Figures over trainings, of the control, of the pixel-level model, and their difference."""
    lines = []
    for level in ("easy", "medium"):
        for name, title in TRAINED.items():
            values = {
                model: [100 * run[level][name]["mean"] for run in runs.values() if name in run[level]]
                for model, runs in trainings.items()
            }
            if not values["pixel-level"]:
                continue
            pixel = over_seeds(values["pixel-level"])
            control, difference = "-", "-"
            if values["control"]:
                control = _interval(over_seeds(values["control"]))
                difference = _interval(over_seeds(values["pixel-level"], values["control"]), "+")
            lines.append([f"{title}, {level}", control, _interval(pixel), difference])
    return grid(["", "control", "pixel-level", "difference"], lines)


def _differences(differences: Mapping[str, Difference], names: Iterable[str]) -> str:
    titles = {"A_dagger": "A†", "M_dagger": "M†", "joint": "answered and grounded"}
    lines = []
    for name in names:
        d = differences[name]
        values = [f"{100 * value:.1f}" for value in (d.first, d.second)]
        p = "< 0.001" if d.p < 0.001 else f"{d.p:.3f}"
        change = _interval((100 * d.value, 100 * d.low, 100 * d.high), "+")
        detectable = "-" if d.detectable is None else f"{100 * d.detectable:.1f}"
        lines.append([titles.get(name, name), *values, change, p, detectable])
    return grid(["", "plain", "pixel-level", "difference [95 %]", "p", "detectable with 80 % power"], lines)


def _when_of(cell: Cell) -> Mapping[str, Any]:
    prompt: Mapping[str, Any] = cell.metrics["analyses"]["when"]["prompts"]["ground"]
    return prompt


def _when(bases: Mapping[str, Cell]) -> str:
    lines = []
    for subject in (PLAIN, ATTENTION):
        when = _when_of(bases[subject])
        mean, chance = when["mean"], when["mean"]["nulls"]["shuffled"]
        lines.append(
            [
                SUBJECTS[subject][0],
                str(when["examples"]),
                f"{when['phrases_per_answer']:.1f}",
                _percent(mean),
                f"{100 * chance['value']:.1f}",
                f"{chance['p']:.3f}",
                _percent(when["deciles"][0]),
            ]
        )
    headers = ["", "examples", "phrases", "mean position, %", "by chance, %", "p", "in the first tenth, %"]
    return grid(headers, lines)


def _draw_when(bases: Mapping[str, Cell]) -> Figure:
    panels = []
    for subject in (PLAIN, ATTENTION):
        deciles = _when_of(bases[subject])["deciles"]
        panels.append(
            Panel(
                title=SUBJECTS[subject][0],
                x="start of the best phrase in the answer, % of its characters",
                y="% of examples",
                series=[Series("best phrase", deciles)],
                ticks=[f"{10 * i}-{10 * (i + 1)}" for i in range(len(deciles))],
                references=[Series("masks shuffled", [ten["nulls"]["shuffled"] for ten in deciles])],
            )
        )
    return bar_chart(panels, "Lines: 95 % intervals over pairs; of chance: over draws.")


def _figures(subject: str) -> dict[str, str]:
    row = SUBJECTS[subject][1]
    return {"A†": "A_dagger", "M†": f"M_dagger.{row}", "S": f"S.{row}"}


def _sensitivities(studies: Mapping[str, Any]) -> str:
    lines = []
    for subject, results in studies.items():
        summaries = next(iter(results["subjects"].values()))["families"][ALL]["figures"]
        for title, key in _figures(subject).items():
            s = summaries[key]
            worst, best = (f"{100 * s[end]['value']:.1f} ({s[end]['variation']})" for end in ("worst", "best"))
            spread = _percent(s["spread"])
            flips = f"{100 * s['flips']['value']:.1f}" if s.get("flips") else "-"
            lines.append(
                [f"{SUBJECTS[subject][0]}: {title}", f"{100 * s['base']['value']:.1f}", worst, best, spread, flips]
            )
    return grid(["", "as it is", "worst", "best", "spread [95 %]", "flips"], lines)


def _draw_sensitivity(studies: Mapping[str, Any]) -> Figure:
    of = {subject: next(iter(results["subjects"].values()))["variations"] for subject, results in studies.items()}
    variations = list(of[PLAIN])
    panels = [
        Panel(
            title={"A†": "Letters, A† by pair", "M†": "Masks, M†"}[title],
            x="variation",
            y="%",
            series=[
                Series(SUBJECTS[subject][0], [of[subject][v]["figures"][_figures(subject)[title]] for v in variations])
                for subject in studies
                if title != "A†" or subject != ATTENTION  # its answers are those of the other pixel-level row
            ],
            ticks=variations,
        )
        for title in ("A†", "M†")
    ]
    return bar_chart(panels, "Lines: 95 % bootstrap intervals over pairs.")


def _rows(bases: Mapping[str, Cell]) -> str:
    lines = []
    for subject, (name, _) in SUBJECTS.items():
        metrics = bases[subject].metrics
        answers = [f"{100 * metrics['vqa'][key]['value']:.1f}" for key in ("A", "A_dagger")]
        for row, figures in metrics["rows"].items():
            if subject == PLAIN or row in ("native", "oracle", "similarity"):
                masks = [_percent(figures[key]) for key in ("M", "M_dagger", "S")]
                lines.append([name, row, *answers, *masks])
    return grid(["", "row", "A", "A†", "M", "M†", "S"], lines)


def _percent(figure: Mapping[str, float]) -> str:
    return _interval([100 * figure[k] for k in ("value", "low", "high")])


def _interval(value: Sequence[float], sign: str = "") -> str:
    middle, low, high = value
    return f"{middle:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


if __name__ == "__main__":
    main()
