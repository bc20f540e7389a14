"""The atlas of layers and heads as Markdown and as heat maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pixfound.analyses.head_maps import Word
from pixfound.io.charts import HeatPanel, heat_map
from pixfound.io.text import escape, grid
from pixfound.scoring.formatting import figure as shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TITLES: Mapping[Word, str] = {
    "prompt": "last token of the prompt",
    "phrase": "noun phrases",
    "noun": "their main words",
    "modifier": "their other words",
    "other": "words outside of them",
}


def sections(results: Mapping[str, Any]) -> list[str]:
    """What the best head gains by kind of word and by tag, the heads without labels, and the best heads."""
    names, words = list(_names(results)), results["words"]
    free = all(r["overlap"] for r in words.values())
    columns = {"best head": "best", "all together": "together", "gain": "gain"}
    columns |= ({"without labels": "label_free"} if free else {}) | {"by chance": "chance"}

    def figures(found: Mapping[str, Any]) -> list[str]:
        return [shown(found[key]) for key in columns.values()]

    blocks = [
        "## Atlas of layers and heads",
        f"Present objects, prompt {results['kind']}. Pointing: how often the highest point of a map lies on the "
        "object. Best head: chosen on one half of the pairs and measured on the other, both ways. All together: "
        "the mean of all heads. Stability: Spearman's correlation of the heads' pointing in the two halves."
        + (" Without labels: the head that localization heads chooses most often." if free else ""),
        grid(
            ("while it says", "examples", *columns, "stability"),
            [[_TITLES[word], str(r["examples"]), *figures(r), _two(r["stability"])] for word, r in words.items()],
        ),
    ]
    if free:
        top = max(r["overlap"]["top"] for r in words.values())
        blocks += [
            f"Heads chosen without labels ({results['convention']}: a compact map with much attention on the "
            f"image): the {top} most often chosen, and how many of them are among the {top} that point best over "
            "all pairs. p: of so many or more by chance. Correlation: Spearman's, of how often a head is chosen "
            "and how well it points.",
            grid(
                ("while it says", "layer, head", "also point best", "by chance", "p", "correlation"),
                [
                    [
                        _TITLES[word],
                        "; ".join(names[i] for i in r["overlap"]["label_free"]),
                        *(str(r["overlap"]["both"]), f"{r['overlap']['by_chance']:.2f}"),
                        *(_two(r["overlap"][name]) for name in ("p", "correlation")),
                    ]
                    for word, r in words.items()
                ],
            ),
        ]
    for word, r in words.items():
        if word in ("prompt", "phrase") or len(words) == 1:
            blocks += [
                f"The best heads of one half of the pairs, {_TITLES[word]}, as the other half has them. Entropy: of "
                "the parts of a head's map, in nats; 0 is one compact place. Image: the share of the head's "
                "attention on it." + (" Chosen: how often without labels, over all pairs." if free else ""),
                _best_heads(names, r["table"]),
            ]
    for word, r in words.items():
        if word == "phrase" or len(words) == 1:
            for name, found in r["by_tag"].items():
                lines = [[escape(value), *figures(f)] for value, f in found.items()]
                blocks.append(grid((escape(name), *columns), lines))
    return blocks


def charts(results: Mapping[str, Any]) -> Mapping[str, Figure]:
    """For each kind of word, maps of layers and heads: pointing less chance, spatial entropy, share on the image."""
    width = len(results["heads"]) or 1

    def cells(values: Sequence[float | None]) -> Any:
        return np.array(values, dtype=np.float64).reshape(-1, width)

    return {
        f"atlas_{word}": heat_map(
            [f"layer {layer}" for layer in results["layers"]],
            [str(head) for head in results["heads"]] or ["mean"],
            [
                HeatPanel(
                    f"Pointing while it says {_TITLES[word]}, less chance",
                    100 * (cells(r["pointing"]) - r["chance"]["value"]),
                    "percentage points",
                ),
                HeatPanel("Spatial entropy", cells(r["entropy"]), "nats", differences=False, digits=2),
                HeatPanel("Attention on the image", 100 * cells(r["share"]), "%", differences=False),
            ],
        )
        for word, r in results["words"].items()
    }


def _best_heads(names: Sequence[str], table: Sequence[Mapping[str, Any]]) -> str:
    """The table of the best heads; columns of which nothing is known are left out."""
    columns = {"energy": "energy", "IoU": "iou", "entropy": "entropy", "image": "share", "chosen": "chosen_often"}
    known = {title: key for title, key in columns.items() if any(line[key] is not None for line in table)}

    def cell(key: str, value: float | None) -> str:
        return _two(value) if value is None or key == "entropy" else f"{100 * value:.1f}"

    lines = [
        [names[line["head"]], shown(line["pointing"]), *(cell(key, line[key]) for key in known.values())]
        for line in table
    ]
    return grid(("layer, head", "pointing", *known), lines)


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _names(results: Mapping[str, Any]) -> Iterator[str]:
    for layer in results["layers"]:
        for head in results["heads"] or (None,):
            yield f"{layer}" if head is None else f"{layer}, {head}"
