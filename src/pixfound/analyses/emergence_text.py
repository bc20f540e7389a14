"""The report's part about when grounding emerges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pixfound.analyses.concepts import TITLES
from pixfound.io.text import escape, grid
from pixfound.scoring.formatting import FEW, FEW_FOR_TENTHS, figure, left_out

NULL_TITLES: Mapping[str, str] = {
    "shuffled": "any phrase",
    "permuted": "IoUs permuted",
    "length_matched": "phrase of like length",
}
_WORDING_TITLES = {
    "other_words": "other words",
    "other_head": "other words, other main word",
    "no_shared_word": "no word in common",
}
_CONCEPT_TITLES: Mapping[str, str] = {
    **{str(key): title for key, title in TITLES.items()},
    "no_object": "any but objects/entities",
}
_SHOWN = 10  # of the replies that could not be read


def sections(results: Mapping[str, Any]) -> list[str]:
    """Blocks of Markdown from what `When.compute` found."""
    of = "what the original's meta file leaves of the answer" if results["length"] == "original" else "the answer"
    floor = f"; only where its IoU is {results['iou_floor']} or more" if results["iou_floor"] is not None else ""
    blocks = [
        "## When grounding emerges",
        f"For each present object, the phrase whose mask fits best (candidates of the row `{escape(results['row'])}`"
        f"{floor}). Position: {results['place']} of the phrase in {results['unit']}, in per cent of {of}. In brackets: "
        f"{100 * results['level']:g} % bootstrap intervals clustered by pair. Nulls, all within the same answer: "
        "*any phrase* of it is the best; *IoUs permuted* over its candidates, so that a phrase with more masks and the "
        "rule for ties keep their weight; a *phrase of like length* (as many words) is the best. Behind a null's "
        "figure: the interval of its draws, and p (two-sided; for deciles adjusted for all ten).",
    ]
    for kind, prompt in results["prompts"].items():
        if prompt["examples"] >= FEW:
            blocks += _about(kind, prompt, results["concepts_by"])
        elif prompt["examples"]:
            blocks += [f"### Prompt `{escape(kind)}`", left_out(prompt["examples"])]
    return blocks


def _about(kind: str, results: Mapping[str, Any], concepts_by: str | None) -> list[str]:
    nulls = list(results["mean"]["nulls"])
    titles = [NULL_TITLES[null] for null in nulls]
    left_out = ", ".join(f"{count} {why}" for why, count in results["left_out"].items())
    figures = [("mean position", results["mean"])]
    figures += [(_WORDING_TITLES[name], value) for name, value in results["not_the_expression"].items()]
    blocks = [
        f"### Prompt `{escape(kind)}`",
        f"{results['examples']} examples{f' (left out: {left_out})' if left_out else ''}, "
        f"{results['phrases_per_answer']:.1f} phrases an answer, mean IoU of the best {figure(results['best_iou'])} %, "
        f"median position {figure(results['median'])} %. The best phrase is not the referring expression itself in "
        f"{figure(results['not_the_expression']['other_head'])} % (neither the same words nor the same main word).",
        grid(
            ("%", "best phrase", *titles),
            [
                *(_line(name, value, nulls) for name, value in figures),
                ["answers with a choice", "", *(f"{results['answers_with_a_choice'][null]}" for null in nulls)],
            ],
        ),
        _deciles(results, nulls),
    ]
    if results["concepts"]:
        nulls_shown = [null for null in nulls if all(null in value["nulls"] for value in results["concepts"].values())]
        blocks.append(
            f"What the best phrase is about, by `{escape(str(concepts_by))}`. A phrase may be about several, so the "
            "shares of the six may add up to more than 100 %."
        )
        lines = [_line(_CONCEPT_TITLES[concept], value, nulls_shown) for concept, value in results["concepts"].items()]
        blocks.append(grid(("concept, %", "best phrase", *(NULL_TITLES[null] for null in nulls_shown)), lines))
    if results["concepts_unscored"]:
        blocks.append(_unscored(results["concepts_unscored"]))
    return blocks


def _deciles(results: Mapping[str, Any], nulls: Sequence[str]) -> str:
    """The table of positions in tenths of the answer."""
    if results["examples"] < FEW_FOR_TENTHS:
        return f"Positions by tenths: {left_out(results['examples'], needed=FEW_FOR_TENTHS)}"
    lines = [
        [f"{10 * i}-{10 * (i + 1)} %", str(ten["examples"]), *_line("", ten, nulls)[1:]]
        for i, ten in enumerate(results["deciles"])
    ]
    return grid(("position", "examples", "% of them", *(NULL_TITLES[null] for null in nulls)), lines)


def _line(name: str, value: Mapping[str, Any], nulls: Sequence[str]) -> list[str]:
    against = [value["nulls"][null] for null in nulls]
    return [name, figure(value), *(f"{figure(null)} {_p(null['p'])}" for null in against)]


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _unscored(reasons: Sequence[str]) -> str:
    more = f"\n- and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    listed = "\n".join(f"- {escape(reason)}" for reason in reasons[:_SHOWN])
    return f"{len(reasons)} phrases without a concept, left out of the shares:\n\n{listed}{more}"
