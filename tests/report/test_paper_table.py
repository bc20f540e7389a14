"""The table in the paper's layout: what stands where, and its files in the hands of other programs."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pixfound.apps.compare.cli import main
from pixfound.io.table_formats import GroupedTable, as_csv, as_latex, as_markdown, as_text
from pixfound.report.paper_table import TableRun, paper_table, write_tables
from tests.support.run import run
from tests.support.run_folder import item, write_run

NASTY = "a_b & 50% #1 $x^2$ {~\\input{/etc/passwd}} \"q\" 'r' <i> |`]( é ß 中 -- [2]\x1b[31m"


def figure(value: float | None) -> dict[str, Any]:
    return {"value": value, "low": None if value is None else value / 2, "high": value and 2 * value}


def table_run(model: str, extraction: str, scoring: str, **rows: tuple[float | None, ...]) -> TableRun:
    vqa = {"A": figure(0.5), "A_dagger": figure(0.25)}
    masks = {row: dict(zip(("M", "M_dagger", "S"), map(figure, of), strict=True)) for row, of in rows.items()}
    names = {"benchmark": "pixmmvp", "model": model, "extraction": extraction, "scoring": scoring}
    return TableRun(names, {"vqa": vqa, "rows": masks})


RUNS = [
    table_run("lisa", "native", "reference", native=(0.125, 0.25, 0.333), empty=(0, 0, 0)),
    table_run("llava", "automatic", "reference", oracle=(0.4, 0.5, 0.5), similarity=(0.1, 0.2, 0.3)),
    table_run("llava", "automatic", "default", oracle=(0.45, None, 0.5), random=(0, 0, 0)),
    table_run("llava", "text_box", "default", text_box=(0.1, 0.2, 0.3), oracle=(0.2, 0.3, 0.4)),
]


def test_rows_by_group_and_columns_by_benchmark_and_scoring() -> None:
    found = paper_table(RUNS).texts()
    assert found.blocks == [
        (f"pixmmvp, {scoring}", ("A", "A†", "M", "M†", "S")) for scoring in ("reference", "default")
    ]
    assert dict(found.groups) == {
        "Pixel-level MLLM: its own masks": [("lisa", [*["50.0", "25.0", "12.5", "25.0", "33.3"], *"-----"])],
        "Attend and segment: oracle, an upper bound": [
            ("llava", ["50.0", "25.0", "40.0", "50.0", "50.0", "50.0", "25.0", "45.0", "-", "50.0"])
        ],
        "Attend and segment: choice by similarity (a+s)": [
            ("llava", [*["50.0", "25.0", "10.0", "20.0", "30.0"], *"-----"])
        ],
        "Plain MLLM: boxes that it writes, then a segmenter": [
            ("llava", [*"-----", *["50.0", "25.0", "10.0", "20.0", "30.0"]])
        ],
        "Plain MLLM: the best of the boxes that it writes (oracle, an upper bound)": [
            ("llava", [*"-----", *["50.0", "25.0", "20.0", "30.0", "40.0"]])
        ],
    }
    assert [len(line) for line in as_text(found).splitlines()[1:3]] == [67, 67]
    (title, rows), *others = paper_table(RUNS[:1]).texts().groups
    assert (title, [label for label, _ in rows], others) == ("lisa, native", ["native", "empty"], [])


def test_csv_has_every_figure_unrounded(tmp_path: Path) -> None:
    write_tables(tmp_path, "grid", paper_table(RUNS), ["csv"])
    lines = list(csv.DictReader((tmp_path / "grid.csv").open()))
    assert not (tmp_path / "grid.tex").exists() and len(lines) == 6
    assert {k: lines[0][k] for k in ("model", "scoring", "M", "M low", "M high", "A†")} == {
        "model": "lisa", "scoring": "reference", "M": "12.5", "M low": "6.25", "M high": "25.0", "A†": "25.0"
    }  # fmt: skip
    assert lines[2]["M†"] == "" and lines[2]["scoring"] == "default"


def test_texts_are_escaped() -> None:
    table = GroupedTable("model", [("x", ["A†"])], [(NASTY, [(NASTY, ["1"])])])
    text = as_latex(table)
    assert "\\input" not in text and "\x1b" not in text and "U+4E2D" in text and "é" in text
    assert "<i>" not in as_markdown(table) and "\x1b" not in as_text(table)
    cells = next(csv.reader(io.StringIO(as_csv(["a", "b"], [["=1+1\n", -1.5]]).split("\n", 1)[1])))
    assert cells == ["'=1+1 ", "-1.5"]


def test_latex_compiles(models: Path, tmp_path: Path) -> None:
    """Tables of a run, of several and of a comparison, with odd names."""
    program = shutil.which("pdflatex") or shutil.which("tectonic")
    if program is None:
        pytest.skip("no pdflatex and no tectonic: apt-get install texlive-latex-recommended")
    small = ("extraction=nulls", "limit=2", "report.pictures=0", "report.tables=[csv,latex]", "names.model=a_b%")
    folder = run(models, tmp_path / "outputs", *small).folder
    assert len((folder / "table.csv").read_text().splitlines()) == 5
    write_tables(
        tmp_path, "grid", paper_table([*RUNS, table_run(NASTY, "native", NASTY, native=(0.1, 0.2, 0.3))]), ["latex"]
    )
    for name in ("one", "three"):
        lines = [x for n in range(6) for x in item(str(n), None, (True, n < 3), {"r": (n / 6, (n + len(name)) / 9)})]
        write_run(tmp_path / name, lines, "item", model=NASTY)
    files = {f"--{name}": tmp_path / f"comparison.{end}" for name, end in (("csv", "csv"), ("latex", "tex"))}
    main(
        [
            str(tmp_path / "one"),
            str(tmp_path / "three"),
            "--json",
            str(tmp_path / "c.json"),
            *map(str, sum(files.items(), ())),
        ]
    )
    told = json.loads((tmp_path / "c.json").read_text())["comparisons"][0]["figures"]
    written = {line["figure"]: line for line in csv.DictReader(files["--csv"].open())}
    assert float(written["M†"]["value"]) == told["M_dagger"]["value"] and len(written) == len(told)
    shutil.copy(folder / "table.tex", tmp_path / "run.tex")
    inputs = "\n\n".join(f"\\input{{{path}}}" for path in ("run.tex", "grid.tex", "comparison.tex"))
    document = f"\\documentclass{{article}}\\usepackage{{booktabs}}\\begin{{document}}{inputs}\\end{{document}}"
    (tmp_path / "page.tex").write_text(document)
    flags = ["-interaction=nonstopmode", "-halt-on-error"] if program.endswith("pdflatex") else []
    done = subprocess.run(
        [program, *flags, "page.tex"], check=False, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "page.pdf").stat().st_size > 5000
