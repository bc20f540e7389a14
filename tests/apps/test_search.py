"""Searches for extraction options: the model is asked by the first trial alone, and the best trial is the best."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from pixfound.apps.evaluate import main
from pixfound.apps.evaluation import evaluate
from pixfound.apps.search import ranked
from pixfound.models.huggingface import HuggingFace
from tests.support.run import config_of, count_lines

SMALL = ["limit=6", "scoring.resamples=100", "report.pictures=1", "report.charts=false"]
ATTENTION = "extraction.extractors.attention"
Search = Callable[..., tuple[list[int], list[dict[str, Any]]]]


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Search:
    """Runs a multirun on the embedded models; gives the cell of each call of the model, and search.json."""
    asked: list[int] = []
    answer = HuggingFace.answer_many

    def counted(self: HuggingFace, requests: Any) -> Any:
        asked.append(int(HydraConfig.get().job.num))
        return answer(self, requests)

    def run(*arguments: str) -> tuple[list[int], list[dict[str, Any]]]:
        asked.clear()
        GlobalHydra.instance().clear()
        with monkeypatch.context() as patch:
            patch.setattr(HuggingFace, "answer_many", counted)
            patch.setattr(sys, "argv", ["pixfound", "-m", *SMALL, f"outputs_dir={tmp_path}", *arguments])
            main()
        (found,) = tmp_path.glob("multirun/*/search.json")
        return list(asked), json.loads(found.read_text())

    return run


def overrides(trial: dict[str, Any]) -> dict[str, str]:
    return dict(override.split("=", 1) for override in trial["overrides"])


def test_layers_are_searched_without_the_model_and_equal_a_capture_of_them(
    search: Search, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    callback = "+hydra.callbacks.search._target_=pixfound.apps.search.Search"
    asked, trials = search(callback, "objective=similarity", "model.keep=layers", f"{ATTENTION}.layers=0,3,[1,2],null")
    assert set(asked) == {0}, "only the first cell asks the model"
    assert count_lines(tmp_path)["generate"] == 3 * 6
    assert len(list(tmp_path.glob("stages/generate/*"))) == 1
    values = [trial["S"] for trial in trials]
    assert len(values) == 4 and values == sorted(values, reverse=True) and len(set(values)) > 1
    said = capsys.readouterr().out
    assert said.splitlines()[-1].startswith("the best again: pixfound "), "below the tables of the grid"
    assert "best of 4 trials, by S of similarity:" in said
    assert f"  {100 * values[0]:5.1f}  layers={overrides(trials[0])[f'{ATTENTION}.layers']}" in said
    for trial in trials:
        layers = overrides(trial)[f"{ATTENTION}.layers"]
        listed = layers if layers == "null" or layers.startswith("[") else f"[{layers}]"
        alone = evaluate(config_of(*SMALL, f"outputs_dir={tmp_path / 'alone'}", f"model.layers={listed}"))
        assert alone.metrics["rows"]["similarity"]["S"]["value"] == pytest.approx(trial["S"], abs=1e-9)


def test_optuna_searches_over_stored_attention(search: Search, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    asked, trials = search("experiment=search", "hydra.sweeper.n_trials=4")
    assert set(asked) == {0}
    assert len(list(tmp_path.glob("stages/generate/*"))) == 1
    tried = [overrides(trial) for trial in trials]
    assert len({one[f"{ATTENTION}.layers"] for one in tried}) > 1
    assert len({one["extraction.selectors.similarity.threshold"] for one in tried}) == 4
    again, same = search("experiment=search", "hydra.sweeper.n_trials=4")
    assert again == [] and same == trials, "the same command tries the same, and finds it done"


def test_a_failed_trial_is_a_line_and_the_search_goes_on(
    search: Search, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """There is no layer 9, and the sampler's seed gives both."""
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    with pytest.raises(SystemExit):
        search("experiment=search", "hydra.sweeper.n_trials=4", f"{ATTENTION}.layers=1,9")
    assert "layers: 9 was not stored; there are 0 to 3" in capfd.readouterr().out.replace("\n", " ")
    (found,) = tmp_path.glob("multirun/*/search.json")
    trials = json.loads(found.read_text())
    known = [overrides(trial)[f"{ATTENTION}.layers"] for trial in trials]
    assert sorted(set(known)) == ["1", "9"]
    assert [trial["S"] is None for trial in trials] == [layer == "9" for layer in known]


def test_trials_are_ranked_by_the_row_that_is_asked_for(tmp_path: Path) -> None:
    cells = []
    for name, first, second in (("a", 0.5, 0.2), ("b", 0.4, None), ("c", 0.1, 0.9)):
        (tmp_path / name).mkdir()
        rows = {"x": {"S": {"value": first}}, "y": {"S": {"value": second}}}
        (tmp_path / name / "metrics.json").write_text(json.dumps({"metrics": {"rows": rows}}))
        cells.append({"overrides": [name], "folder": str(tmp_path / name), "why": ""})
    cells.insert(1, {"overrides": ["d"], "why": "no luck"})
    assert [trial["overrides"] for trial in ranked(cells, None)] == [["a"], ["b"], ["c"], ["d"]]
    found = ranked(cells, "y")
    assert [(trial["overrides"], trial["S"]) for trial in found[:2]] == [(["c"], 0.9), (["a"], 0.2)]
    assert {(trial["trial"], trial["S"]) for trial in found[2:]} == {(1, None), (2, None)}
