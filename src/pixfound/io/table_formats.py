"""Tables in the layout of papers, blocks of columns over groups of rows, as Markdown, LaTeX (booktabs) and CSV."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from pixfound.io.text import grid, printable

_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "{}$&#%_"},
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "{''}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "[": "{[}",  # behind \\ it would begin an argument
    "†": r"$^\dagger$",
}
ENDINGS = {"csv": "csv", "latex": "tex"}  # of the files of report.tables
_FORMULA = ("=", "+", "-", "@")  # begin a formula in spreadsheet programs

Row = tuple[str, Sequence[str]]


@dataclass(frozen=True)
class GroupedTable:
    """A table of texts.

    corner: header of the labels. blocks: (title, headers of its columns). groups: (title, rows); a row is its label and
    the cells of all blocks in order. "" for no title.
    """

    corner: str
    blocks: Sequence[tuple[str, Sequence[str]]]
    groups: Sequence[tuple[str, Sequence[Row]]]

    @property
    def headers(self) -> list[str]:
        """One header a column, with the title of its block where there are several."""
        several = len(self.blocks) > 1
        return [self.corner, *(f"{title} {h}" if several else h for title, columns in self.blocks for h in columns)]


def as_markdown(table: GroupedTable) -> str:
    """A Markdown table; the title of a group is a row of its own."""
    lines = []
    for title, rows in table.groups:
        lines += [[title, *[""] * (len(table.headers) - 1)]] if title else []
        lines += [[label, *cells] for label, cells in rows]
    return grid(table.headers, lines)


def as_text(table: GroupedTable) -> str:
    """Lines for a console: the title of a block stands over the middle of its columns, rows are indented."""
    labels = [table.corner, *(f"  {label}" for _, rows in table.groups for label, _ in rows)]
    first = max(len(printable(label)) for label in labels)
    every = [cells for _, rows in table.groups for _, cells in rows]
    sizes: list[list[int]] = []
    position = 0
    for title, headers in table.blocks:
        columns = [[h, *(cells[position + i] for cells in every)] for i, h in enumerate(headers)]
        widths = [max(len(printable(cell)) for cell in column) for column in columns]
        widths[0] += max(0, len(printable(title)) - sum(widths) - 2 * len(widths) + 2)
        sizes.append(widths)
        position += len(headers)

    def line(label: str, cells: Sequence[str]) -> str:
        widths = [width for block in sizes for width in block]
        texts = [f"{printable(cell):>{width}}" for cell, width in zip(cells, widths, strict=True)]
        return "  ".join([f"{printable(label):<{first}}", *texts])

    titles = [
        f"{printable(title):^{sum(w) + 2 * len(w) - 2}}" for (title, _), w in zip(table.blocks, sizes, strict=True)
    ]
    lines = ["  ".join([" " * first, *titles]).rstrip()] if any(title for title, _ in table.blocks) else []
    lines += [line(table.corner, [header for _, headers in table.blocks for header in headers])]
    lines.append("-" * len(lines[-1]))
    for title, rows in table.groups:
        lines += [printable(title)] if title else []
        lines += [line(f"  {label}" if title else label, cells) for label, cells in rows]
    return "\n".join(lines)


def as_latex(table: GroupedTable) -> str:
    r"""A `tabular` for \input; needs \usepackage{booktabs}."""
    width = len(table.headers)
    lines = [f"\\begin{{tabular}}{{l{''.join('r' * len(columns) for _, columns in table.blocks)}}}", "\\toprule"]
    if any(title for title, _ in table.blocks):
        titles = [f"\\multicolumn{{{len(columns)}}}{{c}}{{{latex(title)}}}" for title, columns in table.blocks]
        lines.append(f" & {' & '.join(titles)} \\\\")
        start = 2
        for _, columns in table.blocks:
            lines.append(f"\\cmidrule(lr){{{start}-{start + len(columns) - 1}}}")
            start += len(columns)
    lines.append(_line([table.corner, *(header for _, columns in table.blocks for header in columns)]))
    for title, rows in table.groups:
        lines.append("\\midrule")
        if title:
            lines.append(f"\\multicolumn{{{width}}}{{l}}{{\\textit{{{latex(title)}}}}} \\\\")
        lines += [_line([label, *cells]) for label, cells in rows]
    return "\n".join(["% needs \\usepackage{booktabs}", *lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def latex(text: str) -> str:
    """Text of models and data as LaTeX that prints it: no commands, and no characters that pdflatex does not know."""
    escaped = "".join(_LATEX.get(c) or (c if _is_known(c) else f"U+{ord(c):04X}") for c in printable(text))
    return escaped.replace("--", "-{}-")  # else a dash


def as_csv(headers: Sequence[str], lines: Sequence[Sequence[str | float | None]]) -> str:
    """A table for programs: numbers as they are, nothing where there is none, no text that a spreadsheet computes."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([_harmless(header) for header in headers])
    writer.writerows([[_harmless(c) if isinstance(c, str) else c for c in line] for line in lines])
    return stream.getvalue()


def _is_known(character: str) -> bool:
    return character.isascii() or ("À" <= character <= "ÿ" and unicodedata.decomposition(character) != "")


def _harmless(text: str) -> str:
    return f"'{printable(text)}" if text.startswith(_FORMULA) else printable(text)


def _line(cells: Sequence[str]) -> str:
    return " & ".join(map(latex, cells)) + " \\\\"
