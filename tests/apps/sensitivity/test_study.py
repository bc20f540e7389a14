"""The analysis of sweeps written by hand, whose every number is known."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pixfound.apps.sensitivity.cells import read_cells
from pixfound.apps.sensitivity.cli import main
from pixfound.apps.sensitivity.figures import correlation
from pixfound.apps.sensitivity.study import study
from pixfound.errors import UserError
from pixfound.pipeline.run_folder import find_runs
from pixfound.scoring.bootstrap import Resampler
from pixfound.scoring.metrics import Scoring
from pixfound.scoring.scores import Score
from pixfound.scoring.table import tabulate


def write(
    folder: Path,
    variation: str,
    right: str,
    ious: list[float],
    model: str = "m",
    variants: tuple[str, str, str] = ("paper", "paper", "pixfoundation"),
    options: Any = None,
    **config: Any,
) -> Path:
    """A run of 2 * len(right) examples: `1` for a pair answered rightly, and the IoU of each pair's masks."""
    scores = []
    for pair, (mark, iou) in enumerate(zip(right, ious, strict=True)):
        for side in "ab":
            id = f"{pair}{side}"
            common: dict[str, Any] = {"example_id": id, "pair_id": str(pair), "tags": {}, "absent": False}
            for kind, variant in zip(("open", "choice", "ground"), variants, strict=True):
                key = f"{id}/{kind}/{variant}"
                answer = {} if kind == "ground" else {"correct": mark == "1"}
                scores.append(Score(key=key, kind=kind, row=None, response="x", **common, **answer))  # type: ignore[arg-type]
                if kind != "choice":
                    for row, factor in (("good", 1.0), ("bad", 0.5)):
                        scores.append(Score(key=key, kind=kind, row=row, iou=iou * factor, **common))  # type: ignore[arg-type]
    run = folder / "runs" / "b" / model / "e" / f"{variation}-{len(list(folder.rglob('metrics.json')))}"
    run.mkdir(parents=True)
    whole = {
        "variation": variation,
        "names": {"model": model, "benchmark": "b", "extraction": "e"},
        "prompts": {"variation": variation},
        "benchmark": {"variation": variation},
        "outputs_dir": str(folder),
        "model": options or {},
    }
    (run / "config.yaml").write_text(yaml.safe_dump({**whole, **config}))
    (run / "scores.jsonl").write_text("".join(json.dumps(s.to_json()) + "\n" for s in scores))
    (run / "metrics.json").write_text(json.dumps({"metrics": Scoring(resamples=100).metrics(tabulate(scores))}))
    return run


def analysed(folder: Path) -> dict[str, Any]:
    return study(read_cells(find_runs([folder])), resamples=300)


def value(figure: Any) -> float:
    return figure["value"]  # type: ignore[no-any-return]


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """A base and three crops: 10, 5, 6 and 10 pairs of 10 right, masks of 0.8, 0.4, 0.6 and 0.8."""
    write(tmp_path, "none", "1" * 10, [0.8] * 10)
    write(tmp_path, "crop_0", "1" * 5 + "0" * 5, [0.4] * 10)
    write(tmp_path, "crop_1", "1" * 6 + "0" * 4, [0.6] * 10)
    write(tmp_path, "crop_2", "1" * 10, [0.8] * 10)
    return tmp_path


def test_worst_best_mean_and_spread(crops: Path) -> None:
    found = analysed(crops)["subjects"]["m"]
    assert list(found["variations"]) == ["none", "crop_0", "crop_1", "crop_2"]
    assert list(found["families"]) == ["crop"]
    a = found["families"]["crop"]["figures"]["A_dagger"]
    assert (a["worst"]["variation"], value(a["worst"])) == ("crop_0", 0.5)
    assert (a["best"]["variation"], value(a["best"])) == ("crop_2", 1.0)
    assert value(a["base"]) == 1.0
    assert a["variations"] == 3
    assert value(a["mean"]) == pytest.approx(0.7)
    assert value(a["sd"]) == pytest.approx(np.std([0.5, 0.6, 1.0], ddof=1))
    assert value(a["spread"]) == pytest.approx(0.5)
    assert a["spread"]["low"] < 0.5 < a["spread"]["high"]
    m = found["families"]["crop"]["figures"]["M_dagger.good"]
    assert value(m["spread"]) == pytest.approx(0.4)
    assert m["spread"]["high"] == pytest.approx(0.4)  # every pair has the same masks: nothing is uncertain
    s = found["families"]["crop"]["figures"]["S.good"]
    assert value(s["worst"]) == pytest.approx(2 * 0.5 * 0.4 / 0.9)
    assert "flips" not in s


def test_flips(crops: Path) -> None:
    figures = analysed(crops)["subjects"]["m"]["families"]["crop"]["figures"]
    a = figures["A"]
    # five pairs never flip; one is right in 2 of 3, four in 1 of 3: two variations differ with chance 2/3
    assert value(a["flips"]) == pytest.approx(0.5 * 2 / 3)
    assert value(a["ever_flips"]) == pytest.approx(0.5)
    assert value(a["flips_from_base"]) == pytest.approx((5 + 4 + 0) / 30)
    m = figures["M_dagger.good"]  # 0.4 is below the threshold, 0.6 and 0.8 above it, in every example
    assert value(m["flips"]) == pytest.approx(2 / 3)
    assert value(figures["M_dagger.bad"]["flips"]) == 0


def test_a_figure_is_looked_at_where_its_input_varies(tmp_path: Path) -> None:
    write(tmp_path, "none", "1111", [0.8] * 4)
    for n, right in ((1, "1110"), (2, "1100")):
        write(tmp_path, f"vqa_t{n}", right, [0.8] * 4, variants=(f"paper+t{n}", f"paper+t{n}", "pixfoundation"))
    for n, iou in ((1, 0.2), (2, 0.6)):
        write(tmp_path, f"ground_t{n}", "1111", [iou] * 4, variants=("paper", "paper", f"t{n}"))
    found = analysed(tmp_path)["subjects"]["m"]["families"]
    assert "M_dagger.good" not in found["vqa"]["figures"]
    assert "A" not in found["ground"]["figures"]
    assert found["vqa"]["figures"]["A"]["variations"] == 2
    assert found["all"]["figures"]["A"]["variations"] == 2
    assert found["all"]["figures"]["S.good"]["variations"] == 4
    assert value(found["ground"]["figures"]["M_dagger.good"]["spread"]) == pytest.approx(0.4)
    assert not found["all"]["same_grid"]


def test_vqa_and_grounding_on_the_same_grid(tmp_path: Path) -> None:
    rights, ious = ["1111", "1110", "1100", "1000"], [0.9, 0.8, 0.6, 0.3]
    for n, (right, iou) in enumerate(zip(rights, ious, strict=True)):
        write(tmp_path, f"mask_out_{n}", right, [iou] * 4)
    grid = analysed(tmp_path)["subjects"]["m"]["families"]["mask_out"]["same_grid"]["good"]
    assert grid["variations"] == 4
    assert grid["figures"] == pytest.approx(np.corrcoef([1, 0.75, 0.5, 0.25], ious)[0, 1])
    assert grid["flips"]["value"] is None  # every mask flips alike


def test_a_correlation_in_every_resample() -> None:
    rng = np.random.default_rng(0)
    x = rng.random(40)
    y = x + rng.normal(0, 0.3, 40)
    found = correlation(np.arange(40), x, y, Resampler(40, 500, 0))
    assert found.value == pytest.approx(np.corrcoef(x, y)[0, 1])
    low, high = found.interval(0.95)
    assert low < found.value < high
    assert 0.1 < high - low < 0.8


def test_models_are_ranked_under_each_variation(tmp_path: Path) -> None:
    for variation, ours, theirs in (("crop_0", 0.8, 0.5), ("crop_1", 0.7, 0.5), ("crop_2", 0.4, 0.5)):
        write(tmp_path, variation, "11", [ours] * 2, model="ours")
        write(tmp_path, variation, "10", [theirs] * 2, model="theirs")
    ranks = analysed(tmp_path)["ranks"]
    assert ranks["M_dagger.good"] == {
        "of": "subjects",
        "variations": 3,
        "ranked": 2,
        "kendall": pytest.approx(-1 / 3),
        "spearman": pytest.approx(-1 / 3),
        "winner_changes": pytest.approx(2 / 3),
    }
    assert ranks["A"]["winner_changes"] == 0


def test_rows_are_ranked_where_there_is_one_model(crops: Path) -> None:
    ranks = analysed(crops)["ranks"]
    assert ranks["M_dagger"]["of"] == "rows"
    assert ranks["M_dagger"]["kendall"] == 1


def test_runs_of_one_model_differ_by_their_options(tmp_path: Path) -> None:
    for layers in ([1], [2]):
        for variation in ("crop_0", "crop_1"):
            write(tmp_path, variation, "11", [0.5] * 2, options={"layers": layers})
    assert [c.subject for c in read_cells(find_runs([tmp_path]))][::2] == ["m model.layers=[1]", "m model.layers=[2]"]


def test_a_sweep_of_any_prompt_is_named_by_its_keys(tmp_path: Path) -> None:
    for id in ("lisa", "glamm"):
        config = {"prompts": {"ground": id}, "benchmark": {"root": "x"}}
        write(tmp_path, "none", "11", [0.5] * 2, variants=("paper", "paper", id), **config)
    found = analysed(tmp_path)["subjects"]["m"]
    assert list(found["variations"]) == ["ground=glamm", "ground=lisa"]
    assert list(found["families"]) == ["ground"]
    assert found["families"]["ground"]["figures"]["M_dagger.good"]["variations"] == 2


def test_a_seed_is_one_variation_and_a_grown_library_is_none(tmp_path: Path) -> None:
    for seed in (0, 1):
        prompts = {"seed": seed, "templates": {"ground": {"a": "x", **({"b": "y"} if seed else {})}}}
        write(tmp_path, "none", "11", [0.5] * 2, options={"seed": seed}, seed=seed, prompts=prompts)
    assert [(c.subject, c.variation) for c in read_cells(find_runs([tmp_path]))] == [("m", "seed=0"), ("m", "seed=1")]


@pytest.mark.parametrize("newer", [0, 1])
def test_of_two_runs_of_a_cell_the_one_of_more_examples_counts_whatever_the_clock_said(
    newer: int, tmp_path: Path
) -> None:
    """limit=1 and then all, or the other way round; equal ones are the same."""
    runs = [write(tmp_path, "crop_0", right, [0.5] * len(right)) for right in ("1", "11", "11")]
    write(tmp_path, "crop_1", "11", [0.5] * 2)
    for i, run in enumerate(runs[:2]):
        os.utime(run / "metrics.json", (1000 + (i == newer), 1000 + (i == newer)))
    assert read_cells(find_runs([tmp_path]))[0].folder == runs[1].resolve()


def test_two_runs_of_a_cell_that_were_scored_otherwise_are_named(tmp_path: Path) -> None:
    for right in ("11", "10"):
        write(tmp_path, "crop_0", right, [0.5] * 2)
    write(tmp_path, "crop_1", "11", [0.5] * 2)
    with pytest.raises(UserError, match=r"crop_0-0 and .*crop_0-1: two runs of the cell m crop_0 .* only one"):
        read_cells(find_runs([tmp_path]))


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    return capsys.readouterr().err


def test_mistakes_are_named(crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere: no finished run; give" in command(capsys, str(tmp_path / "nowhere"))
    assert "only one run; sensitivity needs two" in command(capsys, str(next(crops.glob("runs/*/*/*/none-*"))))
    assert "--row god: not a row of all runs; did you mean good" in command(capsys, str(crops), "--row", "god")
    assert "--resamples must be 100 or more" in command(capsys, str(crops), "--resamples", "3")
    (run,) = crops.glob("runs/*/*/*/crop_1-*")
    lines = (run / "scores.jsonl").read_text()
    (run / "scores.jsonl").write_text(lines[: len(lines) // 2])
    assert "scores.jsonl, line" in command(capsys, str(crops))
    (run / "scores.jsonl").write_text("".join(line + "\n" for line in lines.splitlines()[14:]))
    assert "have different examples" in command(capsys, str(crops))
    (run / "config.yaml").write_text("a: [")
    assert "config.yaml: cannot be read" in command(capsys, str(crops))


def test_all_files_are_written(crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(crops / "runs/b/*/e/*"), "--row", "bad", "--resamples", "100"])
    out = capsys.readouterr().out
    folder = crops / "runs/b/m/e"
    assert f"report: {folder.resolve() / 'sensitivity.md'}" in out
    report = (folder / "sensitivity.md").read_text()
    for text in (out, report):
        assert "m, row bad: 20 examples" in text
        assert "50.0 (crop_0)" in text
    assert "| crop | A† | 3 | 100.0 | 50.0 (crop_0) | 100.0 (crop_2) | 70.0 |" in report
    changes, scatter = ((folder / f"{name}.svg").read_text() for name in ("changes_1", "scatter"))
    assert all(f">{text}<" in changes for text in ("crop_0", "-50.0", "M†", "m, row bad: changes by variation"))
    assert all(f">{text}<" in scatter for text in ("as it is", "crop", "M†, mean IoU in %"))
    assert "![scatter](scatter.png)" in report and (folder / "changes_1.png").exists()
    data = json.loads((folder / "sensitivity.json").read_text())
    assert value(data["subjects"]["m"]["families"]["crop"]["figures"]["M_dagger.bad"]["mean"]) == pytest.approx(0.3)


def test_names_that_a_terminal_or_a_browser_acts_on_are_shown_and_do_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "a\x1b[31m[/red] <b>|`\ud83d"
    for model in (name, "b"):
        for variation in ("none", "mask_out_0"):
            write(tmp_path, variation, "10", [0.2, 0.4], options={"path": model})
    main([str(tmp_path / "runs"), "--out", str(tmp_path), "--resamples", "100"])
    printed = capsys.readouterr().out
    text = (tmp_path / "sensitivity.md").read_text(encoding="utf-8")
    assert "a [31m[/red] <b>|` " in printed
    assert "a [31m[/red] &lt;b&gt;\\|' " in text
    for shown in (printed, text):
        assert all(c.isprintable() or c == "\n" for c in shown)


def test_a_folder_whose_name_would_be_a_pattern_is_itself(crops: Path, tmp_path: Path) -> None:
    odd = tmp_path / "runs [of] all? é*"
    shutil.copytree(crops / "runs", odd)
    found = find_runs([odd])
    assert len(found) == len(find_runs([crops / "runs"])) > 1
    assert found == find_runs([odd / "b"]), "a folder below it too"
