"""report.md: the table, what explains it, and the picture sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixfound.pipeline.store import write_atomic
from pixfound.report.pictures import draw_sheet
from pixfound.report.table import HEADERS, figure, legend, table
from pixfound.report.text import escape, grid
from pixfound.scoring.metrics import QUADRANTS
from pixfound.weights import EMBEDDED

if TYPE_CHECKING:
    from pixfound.pipeline.evaluate import Evidence, Result


def write_report(result: Result, evidence: Evidence, pictures: int) -> None:
    """Write report.md and, where there are pictures to show, pictures.png beside it."""
    sheet = draw_sheet(evidence, result.metrics, pictures) if pictures else None
    if sheet is not None:
        sheet.save(result.folder / "pictures.png")
    write_atomic(result.folder / "report.md", "\n\n".join(_sections(result, evidence, sheet is not None)) + "\n")


def _sections(result: Result, evidence: Evidence, pictures: bool) -> list[str]:
    names, metrics = result.names, result.metrics
    head = f"{metrics['examples']} examples, {metrics['pairs']} pairs, {metrics['absent']} with an absent object."
    sections = [
        f"# {names['model']} on {names['benchmark']}, {names['extraction']}",
        head,
        grid(HEADERS, table(metrics)),
        legend(metrics),
        *_caveats(result),
        "## Answered and grounded",
        "Examples by whether the better kind of question is answered and the better prompt's mask has an IoU over "
        f"{result.config['scoring']['iou_threshold']} (an absent object: shows nothing).",
        grid(
            ("row", *QUADRANTS),
            [[row, *(str(found["quadrants"][q]) for q in QUADRANTS)] for row, found in metrics["rows"].items()],
        ),
        "## Accuracy",
        f"Open answers are graded by the judge `{result.config['judge']['_target_']}`, letters by "
        "`pixfound.grading.pick_option`.",
        grid(
            ("", "A item", "A pair", "A† item", "A† pair"),
            [["all", *(figure(metrics["vqa"][n][u]) for n in ("A", "A_dagger") for u in ("item", "pair"))]],
        ),
    ]
    for tag, values in metrics["responses_by_tag"].items():
        lines = [[value, figure(found["A"]), figure(found["A_dagger"])] for value, found in values.items()]
        sections.append(grid((tag, "A item", "A† item"), lines))
    for name, found in metrics["analyses"].items():
        sections += evidence.parts.analyses[name].built.sections(found)
    if metrics["unscored"]:
        sections += ["## Unscored", "Neither right nor wrong, and left out of every mean."]
        sections.append(grid(("what", "count"), [[k, str(v)] for k, v in metrics["unscored"].items()]))
    if result.failures:
        shown = [f"- {escape(failure)}" for failure in result.failures[:50]]
        sections += ["## Failures", "\n".join(shown)]
    if pictures:
        sections += [
            "## Pictures",
            "Pairs, one example a line: the image; the attention of the chosen phrase with its peak; the phrase's "
            "candidates; the choice; the ground truth. The frame's colour is the quadrant: green both, yellow "
            "answered only, blue grounded only, red neither, grey unscored.",
            "![pictures](pictures.png)",
        ]
    return sections


def _caveats(result: Result) -> list[str]:
    """What a reader must know before believing the numbers."""
    embedded = [
        name for name in ("model", "segmenter") if str(result.config[name].get("path", "")).startswith(EMBEDDED)
    ]
    if not embedded or result.config["benchmark"]["_target_"].endswith(".PixShapes"):
        return []
    return [
        f"**These numbers are expected to be poor.** The {' and the '.join(embedded)} of this run are the embedded "
        "miniature models: they have seen PixShapes' drawings only, know about ninety words, and read an image at "
        "64 x 64 pixels. They show that every stage works at the pictures' true sizes, and nothing about real models."
    ]
