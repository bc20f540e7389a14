"""Rows that need no MLLM, through the whole pipeline: alone, and beside any other bundle."""

from __future__ import annotations

from importlib.resources import files

import pytest

from pixfound.apps.evaluation import evaluate
from pixfound.extractors.clipseg import ClipSeg
from pixfound.extractors.detector import TextDetector
from tests.support.random_text_prompted import SAVE
from tests.support.run import config_of, random_models, scores_of

BUNDLES = sorted(path.stem for path in files("pixfound.conf").joinpath("extraction").iterdir())


def shapes(models, folders, outputs, *overrides):
    given = [g for g in random_models(models) if not g.startswith("limit=")]
    paths = [f"extraction.extractors.{name}.path={folders[name]}" for name in SAVE if any(name in o for o in overrides)]
    return evaluate(config_of(*given, f"outputs_dir={outputs}", "benchmark.pairs=2", *overrides, *paths))


@pytest.mark.parametrize("name", SAVE)
def test_a_baseline_alone_without_a_model(folders, tmp_path, name):
    low = f"extraction.extractors.{name}.threshold={'0.0001' if name == 'sam3_concept' else '0.1'}"
    result = evaluate(
        config_of(
            "model=none", f"extraction={name}", f"extraction.extractors.{name}.path={folders[name]}", low,
            "benchmark.pairs=2", "scoring.resamples=100", "report.pictures=2", "report.charts=false",
            f"outputs_dir={tmp_path}",
        )
    )  # fmt: skip
    assert not result.failures
    lines = scores_of(result)
    rows = [name] if name == "clipseg" else [name, f"{name}_best", f"{name}_oracle"]
    for row in rows:
        mine = {(line["example_id"], line["kind"]): line for line in lines if line["row"] == row}
        assert len(mine) == 8 and all(line["iou"] is not None for line in mine.values())
        for (id, kind), line in mine.items():  # what is asked changes nothing
            other = mine[id, {"open": "ground", "ground": "open"}[kind]]
            assert (line["iou"], line["area"]) == (other["iou"], other["area"])
    assert any(line["shown"] for line in lines if line["row"] == name)
    metrics = result.metrics["rows"][name]
    assert metrics["M"] == metrics["M_dagger"] and metrics["M"]["count"] == 4 and metrics["S"]["value"] is None
    answers = [line for line in lines if line["row"] is None]
    assert {line["reason"] for line in answers} == {"model=none was not asked"}
    assert all(line["correct"] is None for line in answers)


def test_baselines_are_rows_of_any_table(models, folders, tmp_path):
    result = shapes(models, folders, tmp_path, "baseline=[owlv2,clipseg]", "extraction=attend_segment")
    rows = list(result.metrics["rows"])
    assert rows[0] == "oracle" and rows[-4:] == ["owlv2", "owlv2_best", "owlv2_oracle", "clipseg"]
    alone = shapes(models, folders, tmp_path / "alone", "extraction=owlv2")
    for row in ("owlv2", "owlv2_best", "owlv2_oracle"):
        assert result.metrics["rows"][row]["M"] == alone.metrics["rows"][row]["M"]
    assert any(line["response"] for line in scores_of(result) if line["row"] is None)  # of the model beside them


def test_what_does_not_depend_on_the_prompt_is_looked_at_once(models, folders, tmp_path, monkeypatch):
    looks = []
    for one in (TextDetector, ClipSeg):
        look = one._look
        monkeypatch.setattr(
            one, "_look", lambda self, image, text, look=look: looks.append(text) or look(self, image, text)
        )
    shapes(models, folders, tmp_path, "baseline=[owlv2,clipseg]", "extraction=nulls")
    assert len(looks) == 2 * 4  # each model about each example, for both kinds of prompt


@pytest.mark.parametrize("bundle", BUNDLES)
def test_baselines_leave_a_bundle_as_it_is(bundle):
    """All of them beside any bundle: its own rows come first and mean what they meant."""
    given = [f"extraction={bundle}"]
    if bundle == "precomputed_selected":
        given.append("extraction.selectors.selected.selections.ground=some/file")
    own = config_of(*given)["extraction"]
    both = config_of(*given, f"baseline=[{','.join(SAVE)}]")["extraction"]
    for part in ("extractors", "selectors", "rows"):
        assert own[part].items() <= both[part].items()
    assert list(both["rows"])[: len(own["rows"])] == list(own["rows"])
    assert set(SAVE) <= set(both["rows"])


def test_nothing_found_is_empty_on_purpose(models, folders, tmp_path):
    never = "extraction.extractors.sam3_concept.threshold=0.9999"
    result = shapes(models, folders, tmp_path, "extraction=sam3_concept", never)
    lines = [s for s in scores_of(result) if s["row"] in ("sam3_concept", "sam3_concept_best")]
    assert lines and all(line["choice"] == "empty" and line["shown"] is False for line in lines)
    assert all(line["iou"] == (1 if line["absent"] else 0) for line in lines)
