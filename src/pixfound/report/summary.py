"""What came out of a run, in five lines and in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixfound.scoring.formatting import FEW, figure, plain

_BOUNDS = ("random", "oracle")  # rows of the same candidates, between which a selector's lies
_PROMPTS = {"M": "open", "M_dagger": "grounding"}
_QUADRANTS = {
    "both": "answered and grounded",
    "vqa_only": "answered only",
    "grounding_only": "grounded only",
    "neither": "neither",
}


def summary(metrics: Mapping[str, Any], title: str, row: str, failures: int = 0) -> list[str]:
    """Five lines: what was evaluated, answers, masks, both together, and what to beware of."""
    pairs = f" in {metrics['pairs']} pairs" if metrics["pairs"] else ""
    head = f"{title}: {metrics['examples']} examples{pairs}, {metrics['absent']} with an absent object."
    return [head, _answers(metrics), _masks(metrics, row), _together(metrics, row), _beware(metrics, row, failures)]


def headline(metrics: Mapping[str, Any], row: str) -> str:
    """The shortest thing that matters: accuracy, mean IoU and S of the main row."""
    figures, best = metrics["rows"][row], metrics["vqa"]["best"]
    name = better_mask(figures)
    right = f"{plain(best)} % of the {unit(metrics)} right, " if best["value"] is not None else ""
    if figures[name]["value"] is None:
        return f"{right}no mask was scored"
    score = f", S {figure(figures['S'])}" if figures["S"]["value"] is not None else ""
    return f"{right}mean IoU {figure(figures[name])} ({_PROMPTS[name]} prompt){score}; row {row}"


def better_mask(figures: Mapping[str, Any]) -> str:
    """The better of M and M_dagger, by its name."""
    return "M_dagger" if figures["grounding_prompt"] == "ground" else "M"


def unit(metrics: Mapping[str, Any]) -> str:
    """What accuracy counts, in the plural."""
    return "pairs" if metrics["accuracy_unit"] == "pair" else "questions"


def unscored_words(unscored: Mapping[str, int]) -> str:
    """What is unscored, as metrics.json counts it, in words: rows with the same counts together; "" for nothing."""
    counts: dict[str, list[str]] = {}
    for key, count in unscored.items():
        what, _, kind = key.rpartition(".")
        counts.setdefault(what, []).append(f"{count} {kind}")
    rows_by_counts: dict[str, list[str]] = {}
    for what, of in counts.items():
        if what != "answers":
            rows_by_counts.setdefault(", ".join(of), []).append(what.removeprefix("masks."))
    answers = [f"answers: {', '.join(counts['answers'])}"] if "answers" in counts else []
    return "; ".join(answers + [f"masks of {', '.join(rows)}: {of}" for of, rows in rows_by_counts.items()])


def _answers(metrics: Mapping[str, Any]) -> str:
    vqa = metrics["vqa"]
    if vqa["best"]["value"] is None:
        return "Answers: none was graded."
    ways = [f"{figure(vqa[name])} % {how}" for name, how in (("A", "openly"), ("A_dagger", "by letter"))]
    known = [way for way in ways if not way.startswith("-")]
    return f"Answers: of the {unit(metrics)} are right {' and '.join(known)}."


def _masks(metrics: Mapping[str, Any], row: str) -> str:
    name = better_mask(metrics["rows"][row])
    if metrics["rows"][row][name]["value"] is None:
        return "Masks: none was scored."
    others = [other for other in _BOUNDS if other in metrics["rows"] and other != row]
    beside = ", ".join(f"{other} {plain(metrics['rows'][other][name])}" for other in others)
    found = f"Masks: the row {row} has a mean IoU of {figure(metrics['rows'][row][name])} % under the {_PROMPTS[name]}"
    return f"{found} prompt{f' ({beside})' if beside else ''}."


def _together(metrics: Mapping[str, Any], row: str) -> str:
    figures = metrics["rows"][row]
    counts = figures["quadrants"]
    if not sum(counts.values()):
        return "Together: no example has both an answer and a mask that were scored."
    given = figures["grounded_given_correct"]
    share = f", and of the rightly answered {figure(given)} % are grounded" if given["count"] >= FEW else ""
    listed = ", ".join(f"{counts[name]} {words}" for name, words in _QUADRANTS.items())
    return f"Together: {listed}; S {figure(figures['S'])}{share}."


def _beware(metrics: Mapping[str, Any], row: str, failures: int) -> str:
    notes = []
    if failures:
        notes.append(f"{failures} scores are missing because something failed")
    if metrics["unscored"]:
        notes.append(f"{sum(metrics['unscored'].values())} are unscored")
    if metrics.get("cut"):
        notes.append(f"{sum(metrics['cut'].values())} answers were cut by the limit of new tokens")
    if (metrics["pairs"] or metrics["examples"]) < FEW:
        notes.append(f"fewer than {FEW} {'pairs' if metrics['pairs'] else 'examples'}, so that intervals say little")
    figures = metrics["rows"][row]
    shown = figures["false_positives_on_absent"][better_mask(figures)]
    if shown["value"]:
        notes.append(f"a mask is shown for {plain(shown)} % of the absent objects")
    return f"Beware: {'; '.join(notes)}." if notes else "Beware: of nothing; all is scored and nothing failed."
