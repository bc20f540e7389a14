"""Output of a tournament on the console and as Markdown."""

from __future__ import annotations

from dataclasses import asdict, fields

from pixfound.apps.compare.significance import Difference
from pixfound.apps.compare.tournament import Comparison, Tournament
from pixfound.io.table_formats import GroupedTable, as_csv, as_latex
from pixfound.io.text import escape, grid, printable

_LABELS = {"A": "A", "A_dagger": "A†", "M": "M", "M_dagger": "M†", "S": "S", "joint": "joint"}
_NEEDED = 5  # columns of the console: figure, both rows, difference, p
_SHOWN = 3  # missing keys that are named; --json has all


def show(tournament: Tournament) -> None:
    """Print the tables."""
    from rich.console import Console

    from pixfound.report.console_table import print_table

    console = Console(width=None if Console().is_terminal else 140, highlight=False, markup=False)
    for line in introduction(tournament):
        console.print(printable(line), soft_wrap=True)
    for comparison in tournament.comparisons:
        lines = rows(tournament, comparison)
        print_table(console, headers(tournament, comparison), lines, title(comparison), needed=_NEEDED)
        for line in left_out(comparison):
            console.print(printable(line), soft_wrap=True)
    console.print(legend(tournament), style="dim")


def markdown(tournament: Tournament) -> str:
    """The same as a Markdown document."""
    parts = ["# Paired comparison", "\n".join(f"- {escape(line)}" for line in introduction(tournament))]
    for comparison in tournament.comparisons:
        parts.append(f"## {escape(title(comparison))}")
        parts.append(grid(headers(tournament, comparison), rows(tournament, comparison)))
        parts += [escape(line) for line in left_out(comparison)]
    return "\n\n".join([*parts, escape(legend(tournament))]) + "\n"


def csv(tournament: Tournament) -> str:
    """The differences as CSV: a line for each figure of each comparison, numbers as they are (shares of 1)."""
    names = [field.name for field in fields(Difference)]
    lines: list[list[str | float | None]] = [
        [
            *(
                f"{c.run.names.get('model')}, {c.run.names.get('extraction')}, {c.row}"
                for c in (pair.first, pair.second)
            ),
            _LABELS[figure],
            *(asdict(difference)[name] for name in names),
        ]
        for pair in tournament.comparisons
        for figure, difference in pair.differences.items()
    ]
    return as_csv(["first row", "second row", "figure", *names], lines)


def latex(tournament: Tournament) -> str:
    """The tables as one LaTeX `tabular`, a group for each comparison."""
    columns = ["first", "second", *headers(tournament, tournament.comparisons[0])[3:]]
    names = {
        c.letter: f"{c.run.names.get('model')}, {c.run.names.get('extraction')}, {c.row}"
        for c in tournament.contestants
    }
    groups = [
        (
            f"{names[c.second.letter]} - {names[c.first.letter]}",
            [(label, cells) for label, *cells in rows(tournament, c)],
        )
        for c in tournament.comparisons
    ]
    return as_latex(GroupedTable("", [("", columns)], groups))


def introduction(tournament: Tournament) -> list[str]:
    """The lines before the tables: the compared rows, and the notes."""
    compared = [f"{c.letter}: {c.run.title}, row {c.row} ({c.run.folder})" for c in tournament.contestants]
    return [*compared, *(f"note: {note}" for note in tournament.notes)]


def title(comparison: Comparison) -> str:
    """The letters of the two rows and the number of their shared items."""
    paired = comparison.paired
    sizes = f"{paired.examples} examples in {len(paired.clusters)} clusters"
    return f"{comparison.second.letter} - {comparison.first.letter}: {sizes}"


def headers(tournament: Tournament, comparison: Comparison) -> list[str]:
    """The columns; Holm's only where there are several comparisons."""
    level = f"{100 * tournament.settings.level:g} %"
    holm = ["p (Holm)"] if len(tournament.comparisons) > 1 else []
    letters = [comparison.first.letter, comparison.second.letter]
    return [
        "",
        *letters,
        f"difference [{level}]",
        "p",
        *holm,
        "d_z",
        "won:lost:equal",
        "odds",
        "clusters",
        "detectable",
    ]


def rows(tournament: Tournament, comparison: Comparison) -> list[list[str]]:
    """A list of cells for each figure; shares in percent."""
    several = len(tournament.comparisons) > 1
    return [_cells(_LABELS[name], difference, several) for name, difference in comparison.differences.items()]


def left_out(comparison: Comparison) -> list[str]:
    """Lines on the items that only one row has, and on those without a score in one of them."""
    reasons = []
    for letter, keys in comparison.paired.missing.items():
        if keys:
            named = ", ".join(keys[:_SHOWN]) + (" ..." if len(keys) > _SHOWN else "")
            reasons.append(f"left out, missing in {letter}: {len(keys)} keys: {named}")
    counts = [
        f"{count} of {_LABELS[base]}" for base, count in comparison.paired.unscored.items() if base in _LABELS and count
    ]
    if counts:
        reasons.append(f"left out, without a score in one of the two: {', '.join(counts)}")
    return reasons


def legend(tournament: Tournament) -> str:
    """The explanation of the columns."""
    unit = "pairs" if tournament.unit == "pair" else "examples"
    settings = tournament.settings
    return (
        f"In percent. A, A† by {tournament.unit}; S: harmonic mean of the better A and the better M; joint: {unit} "
        f"both answered and grounded (IoU over {tournament.iou_threshold:g}), under each row's better prompts. "
        "Intervals: bootstrap of clusters (pairs, or examples without one), the same for both rows. p: two-sided, both "
        f"rows swapped in {_ways(tournament)} of the clusters. d_z: mean / standard deviation of the difference over "
        f"clusters; odds: won / lost; detectable: the smallest difference found with {100 * settings.power:g} % power."
    )


def _ways(tournament: Tournament) -> str:
    exact = {difference.exact for c in tournament.comparisons for difference in c.differences.values()}
    random = f"{tournament.settings.permutations} random choices"
    return {frozenset({True}): "every choice", frozenset({False}): random}.get(
        frozenset(exact), f"every choice or {random}"
    )


def _cells(label: str, difference: Difference, several: bool) -> list[str]:
    record = "-" if difference.wins is None else f"{difference.wins}:{difference.losses}:{difference.ties}"
    return [
        label,
        f"{100 * difference.first:.1f}",
        f"{100 * difference.second:.1f}",
        f"{100 * difference.value:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]",
        _probability(difference.p),
        *([_probability(difference.p_holm)] if several else []),
        "-" if difference.d_z is None else f"{difference.d_z:+.2f}",
        record,
        "-" if difference.odds is None else f"{difference.odds:.2f}",
        str(difference.clusters),
        "-" if difference.detectable is None else f"{100 * difference.detectable:.1f}",
    ]


def _probability(p: float | None) -> str:
    if p is None:
        return "-"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
