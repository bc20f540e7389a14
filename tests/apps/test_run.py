"""A run in Python, against the run's own files; and the notebook of the guide, cell by cell."""

from __future__ import annotations

import ast
import base64
import io
import json
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pixfound
from tests.support.run import random_models

ROOT = Path(__file__).parents[2]
CELLS = json.loads((ROOT / "docs" / "python.ipynb").read_text())["cells"]


@pytest.fixture(scope="module")
def run(models: Path, tmp_path_factory: pytest.TempPathFactory) -> pixfound.Run:
    return pixfound.evaluate(*random_models(models), limit=4, outputs_dir=tmp_path_factory.mktemp("out puts"))


def test_importing_it_imports_nothing_heavy() -> None:
    code = "import sys, pixfound; print([m for m in ('torch', 'hydra', 'transformers', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert set(pixfound.__all__) <= set(dir(pixfound)) and all(hasattr(pixfound, name) for name in pixfound.__all__)
    with pytest.raises(AttributeError):
        _ = pixfound.nothing  # type: ignore[attr-defined]


def test_a_run_has_what_its_files_have(run: pixfound.Run) -> None:
    assert run.folder is not None
    lines = [json.loads(line) for line in (run.folder / "scores.jsonl").read_text().splitlines()]
    rows = json.loads((run.folder / "metrics.json").read_text())["metrics"]["rows"]
    assert [item.id for item in run.examples] == list(dict.fromkeys(line["example_id"] for line in lines))
    for line in (line for line in lines if line["row"]):
        mask, truth = run.mask(line["example_id"], line["kind"], line["row"]), run.truth(line["example_id"])
        assert mask is not None and mask.shape == truth.shape and mask.any() == line["shown"]
        union = (mask | truth).sum()
        assert line["iou"] == pytest.approx((mask & truth).sum() / union if union else 1.0)
    answer = run.attention(0)
    assert answer is not None and answer.attention is not None
    assert answer.text == lines[2]["response"]
    heat = np.asarray(run.overlay(0))
    assert heat.shape[:2] == run.truth(0).shape == np.asarray(run.image(0)).shape[:2]
    html = run._repr_html_()
    assert all(f"<td>{row}</td>" in html for row in rows)
    assert run.main_row == "similarity" and repr(pixfound.open_run(run.folder)) == repr(run)
    for wrong in (lambda: run.mask("x"), lambda: run.mask(0, row="oracl"), lambda: run.example(99)):
        with pytest.raises(pixfound.UserError):
            wrong()


def test_the_table_has_the_figures_and_their_intervals(run: pixfound.Run) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed: make setup")
    table, rows = run.table(), run.metrics["rows"]
    assert list(table.index) == list(rows)
    for row, figures in rows.items():
        for end in ("value", "low", "high"):
            assert table.loc[row, ("M†", end)] == pytest.approx(100 * figures["M_dagger"][end])
            share = run.metrics["vqa"]["A_dagger"][end]
            expected = float("nan") if share is None else 100 * share
            assert table.loc[row, ("A†", end)] == pytest.approx(expected, nan_ok=True)
    scores = run.scores()
    of_row = scores[(scores.row == "similarity") & (scores.kind == "ground")]
    assert 100 * of_row.iou.mean() == pytest.approx(table.loc["similarity", ("M†", "value")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modle": "tiny"}, "modle: .*did you mean model"),
        ({"model": "tinny"}, "did you mean tiny"),
        ({"limit": 0}, "limit=0"),
    ],
)
def test_a_wrong_option_is_one_line(
    options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["ipykernel", "-f", "/kernel/a b.json"])
    with pytest.raises(pixfound.UserError, match=message) as raised:
        pixfound.evaluate(outputs_dir=tmp_path, **options)
    assert "\n" not in str(raised.value)


def test_any_text_is_a_value(tmp_path: Path) -> None:
    from pixfound.apps.compose import compose_config
    from pixfound.apps.run import as_overrides

    texts = dict(zip(("benchmark", "model", "extraction"), ("a b's null", "${seed}\\", "ü[{(,"), strict=True))
    options = {f"names.{key}": text for key, text in texts.items()} | {"model.revision": "null"}
    config = compose_config(as_overrides(["model=hf", "model.path=x"], options))
    assert texts.items() <= config["names"].items() and config["model"]["revision"] == "null"
    config = compose_config(as_overrides(["limit=2"], {"seed": 3, "report.page": False, "model.layers": [0, 1]}))
    assert (config["limit"], config["seed"], config["report"]["page"]) == (2, 3, False)
    assert config["model"]["layers"] == [0, 1]


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cell by cell, as a kernel does; what it prints, and the pictures that it shows, are those stored in it."""
    pytest.importorskip("pandas", reason="pandas is not installed: make setup")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in (cell for cell in CELLS if cell["cell_type"] == "code"):
        tree, printed, value = ast.parse("".join(cell["source"])), io.StringIO(), None
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        with redirect_stdout(printed):
            exec(compile(tree, "cell", "exec"), names)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        for output in cell["outputs"]:
            if output["output_type"] == "stream":
                assert printed.getvalue() == "".join(output["text"])
            elif "image/png" in output["data"]:
                stored = Image.open(io.BytesIO(base64.b64decode(output["data"]["image/png"])))
                np.testing.assert_allclose(np.asarray(value), np.asarray(stored), atol=3)
            else:
                assert type(value)._repr_html_
