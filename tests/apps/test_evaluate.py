"""The command line: mistakes are one line that names what to type, and good input runs."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException

from pixfound.apps.evaluate import main
from pixfound.apps.evaluation import evaluate
from pixfound.config.errors import explain
from tests.support.forked import run_forked
from tests.support.run import config_of, random_models

MISTAKES = [
    ("benchmrk=pixshapes", "benchmrk: there is no such option; did you mean benchmark"),
    ("benchmark=pixshape", "benchmark=pixshape: there is no such choice; did you mean pixshapes"),
    ("experiment=dmo", "experiment=dmo: there is no such choice; did you mean demo?"),
    ("batchsize=4", "batchsize: there is no such option; did you mean batch_size?"),
    ("model.pth=x", "model.pth: there is no such option; did you mean model.path"),
    ("+model.pth=x", "model.pth: HuggingFace takes no such argument; did you mean path?"),
    ("limit=0", "limit=0: must be a whole number of at least 1"),
    ("limit=many", "limit=many: must be a whole number of at least 1"),
    ("batch_size=most", "batch_size=most: must be a whole number of at least 1; 8 is a good start, or auto"),
    ("batch_size=-1", "batch_size=-1: must be a whole number of at least 1"),
    ("objective=orcle", "objective=orcle: the table has no such row; did you mean oracle?"),
    ("hydra/sweeper=optima", 'or pip install "pixfound[sweep]", which brings more'),
    ("seed=1.5", "seed=1.5: must be a whole number of at least 0"),
    ("launch.num_processes=0", "launch.num_processes=0: give a whole number of at least 1"),
    ("launch.threads=0", "launch.threads=0: give a whole number of at least 1"),
    ("benchmark.pairs=0", "benchmark.pairs=0: must be a whole number of at least 1"),
    ("model=hf", "model.path has no value: give it on the command line as model.path=VALUE"),
    ("model.path=/no/such/folder", "model.path=/no/such/folder: no such folder"),
    (
        "model.path=embedded:tiny",
        "model.path=embedded:tiny: no embedded model of this name; did you mean tiny_sam or tiny_clip or tiny_pixel?",
    ),
    ("segmenter.path=./nowhere", "segmenter.path=./nowhere: no such folder"),
    ("model.capture=steps", 'model.capture=steps: must be one of "step", "forced", "none"; did you mean step?'),
    ("extraction.rows.oracle.selector=orcle", "no such selector; did you mean oracle?"),
    (
        "extraction.extractors.attention.row=own",
        'extraction.extractors.attention.row=own: must be one of "predicting", "self"',
    ),
    ("model.capture=none", "this model gives no attention to extract from: use model.capture=step"),
    (
        "phrases=spacy",
        "the spaCy pipeline en_core_web_lg is not installed; type: python -m spacy download en_core_web_lg",
    ),
    ("extraction.selectors.similarity.source=spacy", "type: python -m spacy download en_core_web_lg"),
    (
        "extraction=text_box",
        "the model's YAML declares no format of boxes (model.coordinates.boxes): type "
        "extraction.extractors.text_box.format=NAME and prompts.ground=ID",
    ),
    ("extraction=text_point", "extraction.extractors.text_point.format=NAME"),
    ("extraction=text_mask", "extraction.extractors.text_mask.format=NAME"),
    ("scoring.accuracy=pairs", 'scoring.accuracy=pairs: must be one of "auto", "pair", "item"; did you mean pair?'),
    (
        "prompts.templates.open.paper='{quest}'",
        "prompts.templates.open.paper: no field {quest}; did you mean question?",
    ),
    ("prompts.ground=lsia", "prompts.ground=lsia: there is no such template; did you mean lisa?"),
    (
        "prompts.variation=speling_1",
        "prompts.variation=speling_1: there is no such variation; did you mean spelling_0?",
    ),
    ("prompts.edits.question=-1", "prompts.edits.question=-1: must be a whole number of at least 0"),
    ("model._target_=pixfound.models.nothing.Nothing", "model._target_=pixfound.models.nothing.Nothing: cannot be"),
    ("nonsense", "nonsense: cannot be read as an override; write KEY=VALUE"),
    ("segmenter=null", "segmenter=null: a group needs a choice; valid names are sam2_1_hiera_l"),
    ("model=null", "model=null: a group needs a choice; did you mean none?"),
    ("segmenter=[]", "segmenter: has no value, but the run needs one"),
    ("~judge", "judge: has no value, but the run needs one: type judge=... and no ~judge"),
    ("~launch.threads", "launch.threads: has no value, but the run needs one"),
    ("~max_failures", "max_failures: has no value, but the run needs one"),
    ("report=null", "report=null: is no single value: change one of its own, as report.KEY=VALUE"),
    ("extraction.rows=null", "extraction.rows=null: is no single value"),
    ("extraction.rows.oracle=null", "extraction.rows.oracle=null: is no single value"),
    ("analyses.when=null", "analyses.when=null: is no single value"),
    ("~conventions", "Interpolation key 'conventions.oracle_ties' not found"),
    ("objective=[1]", "objective=[1]: the table has no such row"),
    ("~limt", "limt: there is no such option; did you mean limit"),
    ("model=precomputed", "model.masks.ground=DIR extraction=precomputed_masks, model.candidates.ground=DIR"),
    ("model=none", "type extraction=grounding_dino or extraction=clipseg or extraction=nulls"),
]


@pytest.mark.parametrize(("override", "message"), MISTAKES, ids=[override for override, _ in MISTAKES])
def test_a_mistake_is_one_line(
    override: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pixfound", f"outputs_dir={tmp_path}", override])
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capfd.readouterr()
    assert end.value.code == 2
    assert err.startswith("pixfound: ")
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["model=precomputed", "model.mask.ground=x"],
            "model.mask.ground: there is no such option; did you mean model.masks.ground or ",
        ),
        (
            ["benchmark=pixmmvp", "benchmark.rot=x"],
            "benchmark.rot: there is no such option; did you mean benchmark.root",
        ),
        (["-m", "model=precomputed,tiny", "model.mask.ground=x"], "did you mean model.masks.ground"),
        (["model=precomputed,tiny", "-m", "model.mask.ground=x"], "did you mean model.masks.ground"),
        (
            ["extraction=text_box", "extraction.extractors.text_box.convention=json_1000"],
            "text_box.convention: there is no such option any more; type extraction.extractors.text_box.format",
        ),
        (["zzz=1"], "zzz: there is no such option; valid names are analyses, batch_size, benchmark, "),
        (["extraction.rows.zzz=1"], "did you mean extraction.rows"),
        (["model=zzz"], "model=zzz: there is no such choice; valid names are aya_vision_8b, "),
        (["model=precomputed", "model.masks.ground=."], "type extraction=precomputed_masks\n"),
        (
            ["model=precomputed", "model.candidates.ground=."],
            "type extraction=precomputed or extraction=precomputed_sel",
        ),
    ],
)
def test_suggestions_come_from_what_is_chosen_and_are_ten_at_most(
    overrides: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["pixfound", *overrides, f"outputs_dir={tmp_path}"])
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit):
        main()
    _, err = capfd.readouterr()
    assert message in err and len(err.splitlines()) == 1
    _, _, listed = err.partition("valid names are ")
    assert len(listed.split(", ")) <= 10


@pytest.mark.parametrize("folder", ["a b (1)", "x=y,z", "it's", '[ü] {é}: "中"', "50%$x", "a\\b)", "a\\'b\\"])
def test_what_is_said_to_type_for_a_value_with_signs_is_that_value(folder: str) -> None:
    parser = OverridesParser.create()
    with pytest.raises(OverrideParseException) as refused:
        parser.parse_overrides([f"outputs_dir={folder})"])
    _, _, typed = explain(refused.value).partition(", type ")
    (argument,) = shlex.split(typed)
    assert parser.parse_override(argument).value() == f"{folder})"


@pytest.mark.parametrize("folder", ["/a,b", "/a,'b", "/${a", "/(a\\"])
def test_such_a_value_reaches_the_run_as_it_was_meant(
    folder: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of commas Hydra thinks only when it composes; a dollar and a brace are another key's value to OmegaConf."""
    monkeypatch.setattr(sys, "argv", ["pixfound", f"outputs_dir={folder}"])
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit):
        main()
    (argument,) = shlex.split(capfd.readouterr().err.rpartition(" type ")[2])
    assert config_of(argument)["outputs_dir"] == folder


def test_an_output_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], models: Path
) -> None:
    (tmp_path / "file").touch()
    arguments = [*random_models(models), f"outputs_dir={tmp_path / 'file'}"]
    monkeypatch.setattr(sys, "argv", ["pixfound", *arguments])
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit):
        main()
    assert "choose another folder with outputs_dir=DIR" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("environment", "overrides", "message"),
    [
        ({"WORLD_SIZE": "4"}, [], "WORLD_SIZE=4 is set, but RANK or LOCAL_RANK is not"),
        ({"WORLD_SIZE": "some"}, [], "WORLD_SIZE=some is no number of processes"),
        (
            {"WORLD_SIZE": "4", "RANK": "0", "LOCAL_RANK": "0"},
            ["launch.num_processes=2"],
            "launch.num_processes=2, but a launcher has started 4 processes",
        ),
    ],
)
def test_processes_that_do_not_match(
    environment: dict[str, str],
    overrides: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["pixfound", *overrides])
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit):
        main()
    assert message in capfd.readouterr().err


def test_help_lists_the_groups_without_heavy_imports() -> None:
    code = (
        "import sys; sys.argv = ['pixfound', '--help']\n"
        "from pixfound.apps.evaluate import main\n"
        "try:\n    main()\nfinally:\n"
        "    heavy = {'torch', 'transformers', 'wandb', 'spacy', 'accelerate'} & set(sys.modules)\n"
        "    assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for word in ("pixfound", "benchmark: ", "pixshapes", "extraction: ", "attend_segment", "experiment: ", "demo"):
        assert word in done.stdout


WITHOUT_TORCH = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        assert name not in ("torch", "transformers", "accelerate", "wandb", "spacy"), f"{name} is imported"

sys.meta_path.insert(0, Refuse())
from pixfound.apps.evaluate import main
main()
"""


@pytest.mark.parametrize("own", [True, False], ids=["hf", "tiny"])
def test_a_run_with_nothing_to_compute_imports_no_torch(own: bool, models: Path, tmp_path: Path) -> None:
    """Neither one that is finished nor one that is only scored in another way."""
    overrides = [*random_models(models), f"outputs_dir={tmp_path}", "limit=2"]
    if not own:
        overrides = [o for o in overrides if not o.startswith("model")] + ["model=tiny"]
    evaluate(config_of(*overrides))
    for further, said in ([], "this run is complete"), (["scoring.iou_threshold=0.3"], "report: "):
        command = [sys.executable, "-c", WITHOUT_TORCH, *overrides, *further]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
    assert len(list(tmp_path.glob("runs/*/*/*/*/metrics.json"))) == 2


def test_a_sweep_runs_every_cell_from_any_folder(models: Path, tmp_path: Path) -> None:
    command = ["-m", *random_models(models), f"outputs_dir={tmp_path / 'out'}"]
    command += ["extraction=attend_segment,native", "limit=2"]
    done = run_forked(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out/runs").glob("pixshapes/hf/*/*/metrics.json"))) == 2
    assert len(list((tmp_path / "out/stages/generate").iterdir())) == 1, "cells share a model's answers"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_a_grid_goes_past_a_failed_cell_and_joins_the_rows_of_the_others(models: Path, tmp_path: Path) -> None:
    command = ["-m", *random_models(models), f"outputs_dir={tmp_path / 'out'}"]
    command += ["extraction=native,attend_segment", "limit=2,0"]
    done = run_forked(*command, cwd=tmp_path)
    assert done.returncode == 2
    assert "some cells failed, see the table" in done.stderr
    assert "2 done, 0 skipped, 2 failed" in done.stdout
    (folder,) = (path.parent for path in tmp_path.glob("out/multirun/*/grid.json"))
    cells = json.loads((folder / "grid.json").read_text())
    assert [cell["status"] for cell in cells] == ["done", "done", "failed", "failed"]
    assert "limit=0: must be a whole number of at least 1" in cells[2]["why"]
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("cell 0001, "))
    assert "attend_segment" in line and line.endswith(f": {cells[1]['folder']}/report.md")
    joined = (folder / "grid.md").read_text()
    for start in (
        "| 0000 | limit=2 extraction=native | native |",
        "| 0001 | limit=2 extraction=attend_segment | oracle |",
    ):
        assert start in joined
    command[-1] = "limit=2"
    again = run_forked(*command, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "0 done, 2 skipped, 0 failed" in again.stdout


def test_an_error_that_nobody_expected_is_told_with_its_cell(models: Path, tmp_path: Path) -> None:
    """A benchmark that raises while it is built: the trace is on the console, the reason in the table."""
    (tmp_path / "broken.py").write_text("def make(pairs, seed, level):\n    raise RuntimeError('no such luck')\n")
    command = ["-m", *random_models(models), f"outputs_dir={tmp_path / 'out'}"]
    command += ["benchmark._target_=broken.make"]
    done = run_forked(*command, cwd=tmp_path, environment={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "RuntimeError: no such luck" in done.stdout
