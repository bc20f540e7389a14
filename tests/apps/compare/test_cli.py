"""The command `pixfound-compare`: tables and files, what is left out, and mistakes as single lines."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pixfound.apps.compare.cli import main
from pixfound.apps.evaluation import evaluate
from tests.apps.compare.test_significance import random_lines
from tests.support.run import config_of, run, scores_of
from tests.support.run_folder import TARGET, item, write_run


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    rng = random.Random(0)
    a = write_run(tmp_path / "a", random_lines(rng, 10, True), model="small")
    return a, write_run(tmp_path / "b", random_lines(rng, 10, True, 0.9), model="large")


def fails(*arguments: object) -> int | str | None:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return done.value.code


def test_two_runs(two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--json", tmp_path / "out/c.json", "--markdown", tmp_path / "out/c.md"]
    main([str(x) for x in (*two, *files, "--permutations", 500)])
    out = capsys.readouterr().out
    assert f"A: small on pixshapes, nulls, row row ({two[0]})" in out
    assert "B - A: 20 examples in 10 clusters" in out
    assert "Holm" not in out
    found = json.loads((tmp_path / "out/c.json").read_text())
    figures = found["comparisons"][0]["figures"]
    assert list(figures) == ["A", "A_dagger", "M", "M_dagger", "S", "joint"]
    joint = figures["joint"]
    assert joint["p_holm"] == joint["p"]
    assert f"{100 * joint['value']:+.1f} [{100 * joint['low']:+.1f}, {100 * joint['high']:+.1f}]" in out
    text = (tmp_path / "out/c.md").read_text()
    assert f"| joint | {100 * joint['first']:.1f} | {100 * joint['second']:.1f} |" in text


def test_three_rows_are_compared_with_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(2)
    lines = [
        x
        for n in range(20)
        for x in item(str(n), None, (rng.random() < 0.5, True), {r: (rng.random(), rng.random()) for r in "uvw"})
    ]
    folder = write_run(tmp_path / "run", lines, "item")
    main([str(folder), "--row", "u", "--row", "v", "--row", "w", "--json", str(tmp_path / "c.json")])
    out = capsys.readouterr().out
    assert "p (Holm)" in out
    found = json.loads((tmp_path / "c.json").read_text())
    assert [(c["first"], c["second"]) for c in found["comparisons"]] == [("A", "B"), ("A", "C"), ("B", "C")]
    assert [c["row"] for c in found["contestants"]] == ["u", "v", "w"]
    for comparison in found["comparisons"]:
        assert comparison["figures"]["A"]["p"] == 1, "rows of a run share its answers"
        assert comparison["figures"]["M"]["p_holm"] >= comparison["figures"]["M"]["p"]
    main([f"{folder}:w", f"{folder}:u", "--json", str(tmp_path / "d.json")])
    again = json.loads((tmp_path / "d.json").read_text())["comparisons"][0]["figures"]["M"]
    first = found["comparisons"][1]["figures"]["M"]
    assert again["value"] == pytest.approx(-first["value"])
    assert again["p"] == pytest.approx(first["p"])


def test_keys_of_one_run_alone_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(4)
    lines = random_lines(rng, 6, True)
    a = write_run(tmp_path / "a", [x for x in lines if x["example_id"] != "3"])
    b = write_run(tmp_path / "b", [x for x in lines if (x["example_id"], x["kind"]) != ("7", "open")])
    main([str(a), str(b), "--json", str(tmp_path / "c.json")])
    out = capsys.readouterr().out
    assert "left out, missing in A: 4 keys: 3/open/uniform (answer), 3/choice/uniform (answer)" in out
    comparison = json.loads((tmp_path / "c.json").read_text())["comparisons"][0]
    assert comparison["missing"]["B"] == ["7/open/uniform (answer)", "7/open/uniform (mask)"]
    assert comparison["examples"] == 11
    assert comparison["figures"]["A"]["clusters"] == 4, "pairs that both runs have whole"
    assert comparison["figures"]["A_dagger"]["clusters"] == 5
    assert comparison["figures"]["M_dagger"]["clusters"] == 6, "one member is enough for a mean"


def test_other_prompts_and_settings_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [x for n in range(5) for x in item(str(n), None, (True, n < 3), {"row": (0.1 * n, 0.2)})]
    other = [x for n in range(5) for x in item(str(n), None, (True, n < 2), {"row": (0.2 * n, 0.1)}, "paper")]
    a = write_run(tmp_path / "a", lines, "item")
    b = write_run(tmp_path / "b", other, "item", benchmark={"_target_": TARGET, "seed": 2, "root": "x"})
    main([str(a), str(b)])
    out = capsys.readouterr().out
    assert "note: benchmark.seed is 1 in one run and 2 in another" in out
    assert "note: the prompts differ: 0/choice/uniform in one run, 0/choice/paper in another" in out
    assert "benchmark.root" not in out


def change(name: str, edit: Callable[[str], str]) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(edit((folder / name).read_text()))


def relabel(**values: Any) -> Callable[[Path], object]:
    def edit(text: str) -> str:
        return "".join(json.dumps({**json.loads(line), **values}) + "\n" for line in text.splitlines())

    return change("scores.jsonl", edit)


MISTAKES: list[tuple[Callable[[Path], object], tuple[str, ...], str]] = [
    (
        lambda b: (b / "scores.jsonl").unlink(),
        (),
        "/b: not a finished run, no scores.jsonl; give the folder of a run",
    ),
    (lambda b: b.rename(b.with_name("x")) and (b / "deep").mkdir(parents=True), (), "/b: not a finished run"),
    (lambda b: (b / "metrics.json").unlink(), (), "/b/metrics.json: cannot be read"),
    (lambda b: (b / "config.yaml").write_text("a: [1"), (), "/b/config.yaml: cannot be read"),
    (change("metrics.json", lambda t: t.replace("accuracy_unit", "unit")), (), "/b: metrics.json or config.yaml lacks"),
    (
        change("metrics.json", lambda t: t.replace("pair", "item")),
        (),
        "differ in their unit (pair, item); give --unit pa",
    ),
    (
        change("metrics.json", lambda t: t.replace("0.5", "0.7")),
        (),
        "in their iou_threshold (0.5, 0.7); give --iou-thr",
    ),
    (change("scores.jsonl", lambda t: t + "{}\n"), (), "/b/scores.jsonl, line 101: is no score"),
    (
        change("scores.jsonl", lambda t: t + t),
        (),
        "/b/scores.jsonl, line 101: second score of 0/open/uniform, row None",
    ),
    (change("config.yaml", lambda t: t.replace("PixShapes", "P")), (), "/b: of benchmark pixshapes, but "),
    (
        change("scores.jsonl", lambda t: t.replace('example_id": "', 'example_id": "x')),
        (),
        "/b: no example in common",
    ),
    (relabel(pair_id="z"), (), "/b: example 0 differs from that of "),
    (lambda b: None, ("--row", "orcle"), "/a: has no row 'orcle'; valid names are row"),
    (lambda b: None, ("--iou-threshold", "2"), "--iou-threshold 2.0: must lie between 0 and 1"),
    (lambda b: None, ("--level", "95"), "--level 95.0: must lie between 0 and 1"),
    (lambda b: None, ("--resamples", "3"), "--resamples and --permutations: give 100 or more"),
]


@pytest.mark.parametrize(("damage", "options", "message"), MISTAKES, ids=[message[:50] for *_, message in MISTAKES])
def test_mistakes_are_one_line(
    damage: Callable[[Path], object],
    options: tuple[str, ...],
    message: str,
    two: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(two[1])
    assert fails(*two, *options) == 2
    said = capsys.readouterr().err
    assert said.startswith("pixfound-compare: ")
    assert message in said
    assert len(said.splitlines()) == 1


def test_one_run_alone(two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(two[0]) == 2
    assert (
        "nothing to compare with; name another run, or two rows of this one with --row: row" in capsys.readouterr().err
    )
    assert fails(two[0], two[0]) == 2
    assert "given twice; name another run or row" in capsys.readouterr().err
    assert fails(two[0].parent, two[0]) == 2
    assert f"did you mean {two[0]} or {two[1]}?" in capsys.readouterr().err


def test_nothing_heavy_is_imported(two: tuple[Path, Path]) -> None:
    code = f"import sys; from pixfound.apps.compare.cli import main; main({[str(f) for f in two]!r})\n"
    code += "print(sorted({'torch', 'transformers', 'accelerate', 'hydra', 'wandb'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "B - A: 20 examples in 10 clusters" in done.stdout
    assert done.stdout.rstrip().endswith("[]")


def test_runs_of_random_models(models: Path, tmp_path: Path) -> None:
    """Two runs that choose at random with two seeds: the figures are their own, and what was not graded has none."""
    runs = [run(models, tmp_path, "extraction=attend_segment", f"seed={seed}") for seed in (0, 5)]
    assert runs[0].folder != runs[1].folder
    main([*(str(r.folder) for r in runs), "--row", "random", "--json", str(tmp_path / "c.json")])
    found = json.loads((tmp_path / "c.json").read_text())["comparisons"][0]
    assert found["examples"] == len({s["example_id"] for s in scores_of(runs[0])})
    assert found["missing"] == {"A": [], "B": []}
    agree(found, [r.metrics for r in runs], ["random", "random"])


def test_rows_of_a_run_of_the_embedded_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = [
        "limit=12",
        "report.pictures=1",
        "report.charts=false",
        "scoring.resamples=100",
        f"outputs_dir={tmp_path}",
    ]
    result = evaluate(config_of(*overrides))
    main([f"{result.folder}:oracle", f"{result.folder}:empty", "--json", str(tmp_path / "c.json")])
    found = json.loads((tmp_path / "c.json").read_text())["comparisons"][0]
    assert set(found["figures"]) == {"A", "A_dagger", "M", "M_dagger", "S", "joint"}
    agree(found, [result.metrics] * 2, ["oracle", "empty"])
    assert found["figures"]["M_dagger"]["value"] < -0.2
    assert "row oracle" in capsys.readouterr().out


def agree(found: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]], rows: Sequence[str]) -> None:
    """A comparison's figures are those that the runs report themselves."""
    for side, reported, row in zip(("first", "second"), metrics, rows, strict=True):
        table = reported["rows"][row]
        quadrants = table["quadrants_of_pairs" if reported["accuracy_unit"] == "pair" else "quadrants"]
        wanted = {name: table[name]["value"] for name in ("M", "M_dagger", "S")}
        wanted |= {name: reported["vqa"][name]["value"] for name in ("A", "A_dagger")}
        wanted["joint"] = quadrants["both"] / sum(quadrants.values()) if sum(quadrants.values()) else None
        for name, value in wanted.items():
            if value is None:
                assert name not in found["figures"]
            else:
                assert found["figures"][name][side] == pytest.approx(value), name
