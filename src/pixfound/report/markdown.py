"""report.md: what came out in five lines, the table, what explains it, and the picture sheet."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from pixfound.checkpoints.locating import EMBEDDED
from pixfound.io.atomic import write_atomic, write_picture
from pixfound.io.charts import chart_lines, write_chart
from pixfound.io.text import escape, grid
from pixfound.pipeline.run_names import main_row, selectors_of, title
from pixfound.pipeline.stage_loop import by_cause
from pixfound.report.certificate import certificate_lines
from pixfound.report.pictures import draw_sheet
from pixfound.report.published_tables import published_lines
from pixfound.report.row_chart import draw_rows
from pixfound.report.summary import summary
from pixfound.report.table import HEADERS, legend, region_table, table
from pixfound.scoring.formatting import FEW, enough, figure
from pixfound.scoring.quadrants import QUADRANTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pixfound.pipeline.results import Result
    from pixfound.pipeline.run_data import RunData

Charts = Mapping[str | None, Mapping[str, "Figure"]]  # analysis, None: of the table -> name -> chart
_FAILURES = 50  # causes that are listed
_ACCURACIES = ("A_item", "A_pair", "A_dagger_item", "A_dagger_pair")
_CONDITIONALS = ("grounded_given_correct", "grounded_given_wrong", "correct_given_grounded")


def write_report(result: Result, run: RunData, pictures: int, charts: bool) -> None:
    """Write report.md and beside it its charts and, where there are pictures to show, pictures.png."""
    sheet = draw_sheet(run, result.metrics, pictures) if pictures else None
    if sheet is not None:
        write_picture(result.folder / "pictures.png", sheet)
    drawn = _charts(result.metrics, run) if charts else {}
    for about in drawn.values():
        for name, chart in about.items():
            write_chart(result.folder / name, chart)
    write_atomic(result.folder / "report.md", "\n\n".join(_sections(result, run, drawn, sheet is not None)) + "\n")


def _charts(metrics: Mapping[str, Any], run: RunData) -> Charts:
    charts: dict[str | None, Mapping[str, Figure]] = {None: {"rows": draw_rows(metrics)}}
    for name, results in metrics["analyses"].items():
        charts[name] = run.parts.analyses[name].built.charts(results)
    return charts


def _sections(result: Result, run: RunData, charts: Charts, pictures: bool) -> list[str]:
    metrics, row = result.metrics, main_row(selectors_of(result.config))
    name = title(result.names, result.config)
    sections = [
        escape(f"# {name}"),
        "\n".join(f"- {escape(line)}" for line in summary(metrics, name, row, len(result.failures))),
        grid(HEADERS, table(metrics)),
        legend(metrics),
        *_region_metrics(metrics, run),
        *map(chart_lines, charts.get(None, ())),
        *_caveats(result, run),
        *_bare(metrics),
        *certificate_lines(result.config, run.parts.model),
        *_joint(metrics),
        "## Accuracy",
        f"Open answers are graded by the judge `{escape(result.config['judge']['_target_'])}`, letters as "
        f"`{escape(result.config['scoring']['letters'])}` says (pixfound.scoring.choice_grading). "
        "Item: each answer counts; pair: both answers of a pair must be right.",
        *_usage(run),
        grid(
            ("", "A item", "A pair", "A† item", "A† pair"),
            [["all", *(figure(metrics["vqa"][name]) for name in _ACCURACIES)]],
        ),
    ]
    by_row = [figures["by_tag"] for figures in metrics["rows"].values()]
    for tag in sorted({*metrics["vqa_by_tag"], *chain.from_iterable(by_row)}):
        sections += _tag_sections(metrics, tag)
    for name, results in metrics["analyses"].items():
        sections += [*run.parts.analyses[name].built.sections(results), *map(chart_lines, charts.get(name, ()))]
    sections += published_lines(metrics.get("published", ()))
    if metrics["unscored"]:
        sections += ["## Unscored", "Neither right nor wrong, and left out of every mean."]
        sections.append(grid(("what", "count"), [[k, str(v)] for k, v in metrics["unscored"].items()]))
    if metrics.get("cut"):
        sections += ["## Cut answers", "Ended by the limit of new tokens and not by the model; graded as they are."]
        sections.append(grid(("prompt", "count"), [[k, str(v)] for k, v in metrics["cut"].items()]))
    if result.failures:
        parted = (_parted(failure, metrics["analyses"]) for failure in result.failures)
        causes = by_cause(parted)
        listed = [f"- {escape(cause)}" for cause in causes[:_FAILURES]]
        if len(causes) > _FAILURES:
            listed.append(f"- and {len(causes) - _FAILURES} other causes")
        sections += ["## Failures", "\n".join(listed), "All of them: `failed:` in the reasons of scores.jsonl."]
    if pictures:
        sections += [
            "## Pictures",
            "Pairs, one example a line: the image; the attention of the chosen phrase with its peak; the phrase's "
            "candidates; the choice; the ground truth. The frame's colour is the quadrant: green both, yellow "
            "answered only, blue grounded only, red neither, grey unscored.",
            "![pictures](pictures.png)",
        ]
    return sections


def _region_metrics(metrics: Mapping[str, Any], run: RunData) -> list[str]:
    """The table of `scoring.region_metrics`, where any was asked for, and which rows keep several objects apart."""
    headers, lines = region_table(metrics)
    if not lines:
        return []
    options = {row: run.parts.extractors[extractor].config for row, (extractor, _) in run.parts.rows.items()}
    one_by_one = [row for row in metrics["rows"] if options.get(row, {}).get("combine") == "instances"]
    counted = f" Several objects count one by one in {', '.join(one_by_one)}, as one elsewhere." if one_by_one else ""
    about = f"In percent, under the grounding prompt; docs/scoring.md has the metrics.{escape(counted)}"
    return [about, grid(headers, lines)]


def _bare(metrics: Mapping[str, Any]) -> list[str]:
    """The note on prompts without a chat template; [] where there were none."""
    if not metrics.get("bare"):
        return []
    counts = ", ".join(f"{count} {kind}" for kind, count in metrics["bare"].items())
    return [
        f"**Asked without a chat template:** {counts}. The model was given the bare text, as `prompt` in scores.jsonl "
        "shows; one that was trained with a template answers worse for it."
    ]


def _usage(run: RunData) -> list[str]:
    """The judge's requests, tokens and cost; [] for a judge that does not count them."""
    used = run.parts.judge.built.usage()
    if not used:
        return []
    cost = "unknown" if used["cost"] is None else f"{used['cost']:.4g}"
    return [
        f"The judge was sent {used['requests']:.0f} requests by the first process ({used['cached']:.0f} replies came "
        f"from the cache): {used['input_tokens']:.0f} tokens in, {used['output_tokens']:.0f} out, cost {cost}."
    ]


def _joint(metrics: Mapping[str, Any]) -> list[str]:
    """The quadrants, and what answering and grounding say about each other."""
    unit = "examples, and in brackets pairs" if metrics["pairs"] else "examples"
    lines = []
    for row, figures in metrics["rows"].items():
        pairs = figures["quadrants_of_pairs"]
        cells = [f"{figures['quadrants'][q]}{f' ({pairs[q]})' if metrics['pairs'] else ''}" for q in QUADRANTS]
        lines.append([row, *cells, *(enough(figures[name]) for name in _CONDITIONALS)])
    thresholds = list(
        dict.fromkeys(t for figures in metrics["rows"].values() for t in figures["quadrants_by_threshold"])
    )
    curves = [
        [row, *(str(figures["quadrants_by_threshold"][t]["both"]) for t in thresholds)]
        for row, figures in metrics["rows"].items()
    ]
    return [
        "## Answered and grounded",
        f"Number of {unit}, by whether the better kind of question is answered and the better prompt's mask has an IoU "
        f"over {metrics['iou_threshold']} (an absent object: shows nothing). P(grounded | right): how often a rightly "
        f"answered example is grounded; `n = ` in place of a share of fewer than {FEW} examples.",
        grid(("row", *QUADRANTS, "P(grounded | right)", "P(grounded | wrong)", "P(right | grounded)"), lines),
        "Examples in `both` over the IoU that counts as grounded:",
        grid(("row", *thresholds), curves),
    ]


def _tag_sections(metrics: Mapping[str, Any], tag: str) -> list[str]:
    """The columns of the table for each value of a tag that is asked for them, and their mean over the values."""
    counts = _counts(metrics, tag)
    few = [f"{value} ({count})" for value, count in counts.items() if count < FEW]
    sections = [f"## By {escape(tag)}"]
    if few:
        sections.append(f"Left out, as fewer than {FEW} examples show nothing: {escape(', '.join(few))}.")
    if len(few) == len(counts):
        return sections
    by = "pair" if metrics["accuracy_unit"] == "pair" else "item"
    lines = []
    for name, figures in _of_values(metrics["vqa_by_tag"], tag, counts):
        lines.append([name, str(figures["A_dagger_item"]["count"]), *(figure(figures[a]) for a in _ACCURACIES)])
    if lines:
        sections.append(grid((tag, "n", "A item", "A pair", "A† item", "A† pair"), lines))
    lines = []
    for row, row_figures in metrics["rows"].items():
        for name, figures in _of_values(row_figures["by_tag"], tag, counts):
            cells = row_figures["quadrants_by_tag"].get(tag, {}).get(name)
            counted = [str(cells[q]) for q in QUADRANTS] if cells else [""] * len(QUADRANTS)
            lines.append([row, name, *(figure(figures[m]) for m in ("M", "M_dagger", "S")), *counted])
    if lines:
        sections.append(grid(("row", tag, "M", "M†", f"S ({by})", *QUADRANTS), lines))
    return sections


def _of_values(by_tag: Mapping[str, Any], tag: str, counts: Mapping[str, int]) -> list[tuple[str, Mapping[str, Any]]]:
    """(value, its figures) of each value of a tag with enough examples, and the mean; [] where nothing is scored."""
    if tag not in by_tag:
        return []
    enough_of = [(value, figures) for value, figures in by_tag[tag]["values"].items() if counts[value] >= FEW]
    return [*enough_of, ("mean over all values", by_tag[tag]["mean"])]


def _counts(metrics: Mapping[str, Any], tag: str) -> dict[str, int]:
    """The number of examples of each value of a tag that have been scored in any way."""
    tables = [metrics["vqa_by_tag"], *(figures["by_tag"] for figures in metrics["rows"].values())]
    counts: dict[str, int] = {}
    for by_tag in tables:
        for value, figures in by_tag.get(tag, {"values": {}})["values"].items():
            names = [name for name in ("A_item", "A_dagger_item", "M", "M_dagger") if name in figures]
            counts[value] = max([counts.get(value, 0), *(int(figures[name]["count"]) for name in names)])
    return counts


def _caveats(result: Result, run: RunData) -> list[str]:
    """Caveats that a reader must know before believing the numbers."""
    segments = any("segmenter" in part.uses for part in run.parts.extractors.values())
    roles = ("model", "segmenter") if segments else ("model",)
    embedded = [name for name in roles if str(result.config[name].get("path", "")).startswith(EMBEDDED)]
    if not embedded or result.config["benchmark"]["_target_"].endswith(".PixShapes"):
        return []
    texts = {
        "model": "The model is the embedded miniature, which has seen PixShapes' drawings only, knows about ninety "
        "words, and reads an image at 64 x 64 pixels.",
        "segmenter": "The segmenter is the embedded miniature, which has seen PixShapes' drawings only, and reads an "
        "image at 128 x 128 pixels.",
    }
    return [
        f"**These numbers are expected to be poor.** {' '.join(texts[name] for name in embedded)} The run shows that "
        "every stage works at the pictures' true sizes, and nothing about real models."
    ]


def _parted(failure: str, analyses: Mapping[str, Any]) -> tuple[str, str]:
    """The place and the reason of a failure; those of an analysis begin with its name."""
    where, _, why = failure.partition(": ")
    if where in analyses:
        inner, _, why = why.partition(": ")
        where = f"{where}: {inner}"
    return where, why
