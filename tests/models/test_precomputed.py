"""Predictions from files, through the whole pipeline: over PixShapes, and over the released annotations."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixfound.apps.evaluation import evaluate
from pixfound.benchmarks.pixmmvp import PixMMVP
from pixfound.benchmarks.pixshapes import PixShapes
from pixfound.errors import UserError
from pixfound.extractors.native import NativeMasks
from pixfound.interfaces import ImageInfo
from pixfound.models.precomputed import Precomputed
from pixfound.pipeline.results import Result
from pixfound.types import Example, Prompt
from pixfound.types.masks import RLE, iou
from tests.support.predictions import shifted, write_answers, write_lines, write_mask
from tests.support.run import QUIET, config_of, scores_of

EXAMPLES = list(PixShapes(pairs=3, seed=2024))
ANNOTATIONS = Path(os.environ.get("PIXFOUND_ANNOTATIONS", Path(__file__).parents[3] / "shared/data")) / "pixmmvp"


def score(outputs: Path, *overrides: str) -> Result:
    base = ["model=precomputed", "scoring.resamples=100", *QUIET, f"outputs_dir={outputs}"]
    return evaluate(config_of(*base, *overrides))


def shapes(outputs: Path, *overrides: str) -> Result:
    return score(outputs, "benchmark.pairs=3", *overrides)


def masks_of(result: Result, row: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(s["kind"], s["example_id"]): s for s in scores_of(result) if s["row"] == row}


@pytest.fixture
def predicted(tmp_path: Path) -> Path:
    """Masks moved by two pixels, answers (open: all right; choice: all `A`)."""
    for example in EXAMPLES:
        write_mask(tmp_path / "masks" / f"{example.id}.png", shifted(example.gt_mask, 2))
    right = {e.id: e.options[e.answer] for e in EXAMPLES}
    write_answers(tmp_path / "open.jsonl", EXAMPLES, right, choice=False)
    write_answers(tmp_path / "choice.jsonl", EXAMPLES, {e.id: "A" for e in EXAMPLES}, choice=True)
    return tmp_path


def given(folder: Path) -> list[str]:
    return [
        f"model.masks.ground={folder / 'masks'}",
        f"model.answers.open={folder / 'open.jsonl'}",
        f"model.answers.choice={folder / 'choice.jsonl'}",
        "extraction=precomputed_masks",
    ]


@pytest.mark.verifies("VQA", "native masks", model="precomputed")
def test_one_command_scores_a_folder(predicted: Path, tmp_path: Path) -> None:
    result = shapes(tmp_path / "out", *given(predicted))
    found = masks_of(result, "masks")
    for example in EXAMPLES:
        expected = iou(shifted(example.gt_mask, 2), example.gt_mask)
        assert found["ground", example.id]["iou"] == pytest.approx(expected)
        assert found["open", example.id]["iou"] is None  # no file was given of it: unscored, not wrong
        assert "model.masks.open" in found["open", example.id]["reason"]
    assert result.metrics["vqa"]["A_item"]["value"] == 1.0
    expected = sum(e.answer == 0 for e in EXAMPLES) / len(EXAMPLES)
    assert result.metrics["vqa"]["A_dagger_item"]["value"] == pytest.approx(expected)
    assert result.metrics["unscored"]["masks.masks.open"] == len(EXAMPLES)
    assert not result.failures


def test_it_is_the_same_run_wherever_the_files_lie(predicted: Path, tmp_path: Path) -> None:
    first = shapes(tmp_path / "out", *given(predicted))
    moved = predicted.rename(predicted.parent / f"{predicted.name}_moved")
    again = shapes(moved / "out", *given(moved))
    assert again.was_complete
    assert again.fingerprint == first.fingerprint
    write_mask(moved / "masks" / f"{EXAMPLES[0].id}.png", RLE.full(EXAMPLES[0].gt_mask.size))
    assert shapes(moved / "out", *given(moved)).fingerprint != first.fingerprint


def test_a_missing_mask_is_named_and_may_be_declared(predicted: Path, tmp_path: Path) -> None:
    absent = next(e for e in EXAMPLES if not e.absent)
    (predicted / "masks" / f"{absent.id}.png").unlink()
    with pytest.raises(UserError, match=rf"has nothing of 1 of 6 examples \({absent.id}\).*model.missing=empty"):
        shapes(tmp_path / "out", *given(predicted))
    unscored = masks_of(shapes(tmp_path / "out", *given(predicted), "model.missing=unscored"), "masks")
    assert unscored["ground", absent.id]["iou"] is None
    assert "have no file of this example" in unscored["ground", absent.id]["reason"]
    empty = masks_of(shapes(tmp_path / "out", *given(predicted), "model.missing=empty"), "masks")
    assert empty["ground", absent.id]["iou"] == 0.0


def test_what_is_said_of_other_examples(predicted: Path, tmp_path: Path) -> None:
    """Of those that the run leaves out it is ignored; of those that there are not it is a mistake."""
    few = masks_of(shapes(tmp_path / "out", *given(predicted), "limit=2"), "masks")
    assert {id for _, id in few} == {e.id for e in EXAMPLES[:2]}
    (predicted / "masks" / "stranger.png").write_bytes((predicted / "masks" / f"{EXAMPLES[0].id}.png").read_bytes())
    with pytest.raises(UserError, match=r"model.masks.ground=.*: file stranger.png .* no example of this benchmark"):
        shapes(tmp_path / "out", *given(predicted))


@pytest.mark.parametrize(("least", "scores"), [(None, (0.3, 0.5, None)), (0.5, (0.5, None)), (0.9, (None,))])
def test_instances_keep_their_scores_and_weak_ones_may_be_left_out(
    least: float | None, scores: tuple[float | None, ...], tmp_path: Path
) -> None:
    about = {"image_id": "e", "segmentation": EXAMPLES[0].gt_mask.to_json()}
    (tmp_path / "masks.json").write_text(json.dumps([{**about, "score": score} for score in (0.3, 0.5, None)]))
    model = Precomputed(masks={"ground": str(tmp_path / "masks.json")}, least_score=least)
    size = EXAMPLES[0].gt_mask.size
    model.bind_examples({"e": ImageInfo("e", size, False)})
    (generation,) = model.generate([(Image.new("RGB", size[::-1]), Prompt("e", "ground", "paper", "Show it."))])
    assert generation.mask_scores == scores
    (candidate,) = NativeMasks("instances").extract_one(Image.new("RGB", size[::-1]), generation, "")
    assert tuple(part.score for part in candidate.instances) == scores
    assert candidate.score == max((score for score in scores if score), default=None)


def test_a_mask_of_another_size_is_named_before_anything_is_computed(predicted: Path, tmp_path: Path) -> None:
    example = next(e for e in EXAMPLES if not e.absent)
    write_mask(predicted / "masks" / f"{example.id}.png", RLE.full((10, 10)))
    with pytest.raises(UserError, match=rf"{example.id}.png is 10 x 10 pixels .* model.resize=nearest"):
        shapes(tmp_path / "out", *given(predicted))
    assert not (tmp_path / "out").exists()
    resized = shapes(tmp_path / "out", *given(predicted), "model.resize=nearest")
    assert masks_of(resized, "masks")["ground", example.id]["iou"] > 0


def candidates(folder: Path, examples: list[Example]) -> list[str]:
    """Phrase 0: nothing, a shifted mask; phrase 1: the truth. Similarity likes phrase 0; the judge chose by hand."""
    lines, chosen = [], []
    for number, example in enumerate(examples):
        for name, mask in (
            ("000_000", RLE.empty(example.gt_mask.size)),
            ("000_001", shifted(example.gt_mask, 3)),
            ("001_000", example.gt_mask),
        ):
            write_mask(folder / "candidates" / f"{example.id}_{name}.png", mask)
        said = "I see the thing | and - more"
        lines.append(f"{example.id}.jpg - 0 - the thing| thing| 0.9 | 6 | 15| {said}\n")
        lines.append(f"{example.id}.jpg - 1 - more| more| 0.2 | 24 | 28| {said}\n")
        files = (f"{example.id}_000_001.png", "NONE", "gone.png")
        chosen.append({"question_id": example.id, "selected file": f"vis/{files[number % 3]}"})
    (folder / "meta.txt").write_text("".join(lines))
    write_lines(folder / "auto.jsonl", chosen)
    return [f"model.candidates.ground={folder / 'candidates'}", f"model.meta.ground={folder / 'meta.txt'}"]


def test_candidates_are_chosen_by_every_selector(tmp_path: Path) -> None:
    files = candidates(tmp_path, EXAMPLES)
    selected = [
        "extraction=precomputed_selected",
        f"extraction.selectors.selected.selections.ground={tmp_path / 'auto.jsonl'}",
        "extraction.selectors.selected.offset=0",
    ]
    result = shapes(tmp_path / "out", *files, *selected)
    oracle, similar, judged = (masks_of(result, row) for row in ("oracle", "similarity", "selected"))
    for number, example in enumerate(EXAMPLES):
        key = ("ground", example.id)
        assert oracle[key]["iou"] == 1.0
        assert similar[key]["index"] == 0  # neither mask of the phrase has a score: the first
        moved = iou(shifted(example.gt_mask, 3), example.gt_mask)
        expected = (moved, 1.0 if example.absent else 0.0, None)[number % 3]
        assert judged[key]["iou"] == (None if expected is None else pytest.approx(expected))
    reasons = [judged["ground", e.id]["reason"] for e in EXAMPLES]
    assert reasons[1] == "selected: NONE"
    assert "selects gone.png, which is no candidate" in reasons[2]
    said = {s["response"] for s in scores_of(result) if s["row"] is None and s["kind"] == "ground"}
    assert said == {"I see the thing | and - more"}


def both_kinds(folder: Path) -> list[str]:
    """Candidates of two kinds of prompt, with a list for each: of the truth under `open`, of a shifted one below."""
    given = []
    for kind, (shift, chosen) in {"open": (2, "001_000"), "ground": (3, "000_000")}.items():
        for example in EXAMPLES:
            write_mask(folder / kind / f"{example.id}_000_000.png", shifted(example.gt_mask, shift))
            write_mask(folder / kind / f"{example.id}_001_000.png", example.gt_mask)
        rows = [{"question_id": e.id, "selected file": f"{e.id}_{chosen}.png"} for e in EXAMPLES]
        write_lines(folder / f"{kind}.jsonl", rows)
        given.append(f"model.candidates.{kind}={folder / kind}")
    return [*given, "extraction=precomputed_selected"]


def test_each_kind_of_prompt_has_its_own_selections(tmp_path: Path) -> None:
    files, key = both_kinds(tmp_path), "extraction.selectors.selected.selections"
    lists = [f"{key}.{kind}={tmp_path / kind}.jsonl" for kind in ("open", "ground")]
    found = masks_of(shapes(tmp_path / "out", *files, *lists), "selected")
    one = masks_of(shapes(tmp_path / "out", *files, lists[1]), "selected")
    literal = masks_of(shapes(tmp_path / "out", *files, lists[1], "scoring=reference"), "selected")
    for example in EXAMPLES:
        assert found["open", example.id]["iou"] == 1.0
        assert found["ground", example.id]["iou"] == iou(shifted(example.gt_mask, 3), example.gt_mask)
        assert one["ground", example.id]["iou"] == found["ground", example.id]["iou"]
        assert one["open", example.id]["iou"] is literal["open", example.id]["iou"] is None
        assert one["open", example.id]["reason"].endswith("selections.open is not given")


def test_a_list_that_fits_no_kind_of_prompt_is_an_error(tmp_path: Path) -> None:
    files, key = both_kinds(tmp_path), "extraction.selectors.selected.selections"
    first, *_ = EXAMPLES
    (tmp_path / "open" / f"{first.id}_001_000.png").rename(tmp_path / "open" / f"{first.id}_005_000.png")
    write_lines(tmp_path / "none.jsonl", [{"question_id": e.id, "selected file": "NONE"} for e in EXAMPLES])
    write_lines(tmp_path / "one.jsonl", [{"question_id": first.id, "selected file": f"{first.id}_005_000.png"}])
    shapes(tmp_path / "out", *files, f"{key}.open={tmp_path / 'one.jsonl'}", f"{key}.ground={tmp_path / 'none.jsonl'}")
    wrong = [
        (
            [*files, f"{key}.ground={tmp_path / 'one.jsonl'}"],
            r"selections.ground=.*one.jsonl: names no file of model.cand",
        ),
        (
            [files[1], files[2], f"{key}.open={tmp_path / 'one.jsonl'}"],
            r"selections.open=.*no file of model.candidates.o",
        ),
        (
            [*files, f"{key}={tmp_path / 'one.jsonl'}"],
            rf"{key}=\S+: must be a mapping; type {key}.open or .ground=",
        ),
        (files, "give a judge's selections: .*selections.ground=FILE"),
        (
            [*files, f"+{key}.choice=x"],
            'selections.choice: the name must be one of "open", "ground"',
        ),
        ([*files, f"{key}.open=/no/such"], "selections.open=/no/such: cannot be read"),
    ]
    for overrides, message in wrong:
        with pytest.raises(UserError, match=message):
            shapes(tmp_path / "new", *overrides)
    assert not (tmp_path / "new" / "stages").exists()
    with pytest.raises(UserError, match="names files of candidates: it needs model=precomputed"):
        evaluate(config_of("extraction=precomputed_selected", f"{key}.open=x", f"outputs_dir={tmp_path / 'new'}"))


def test_similarity_without_meta_text_is_unscored(tmp_path: Path) -> None:
    """Not wrong, nor right where the object is absent: nobody said what the candidates are of."""
    files = [*both_kinds(tmp_path)[:2], "extraction=precomputed"]
    result = shapes(tmp_path / "out", *files)
    found = masks_of(result, "similarity")
    assert {line["iou"] for line in found.values()} == {None}
    assert {line["reason"] for line in found.values()} == {"no phrase came with the candidates"}
    assert result.metrics["unscored"]["masks.similarity.ground"] == len(EXAMPLES)
    assert result.metrics["rows"]["similarity"]["M_dagger"]["value"] is None


def test_an_empty_answer_is_not_replaced_by_the_meta_text(tmp_path: Path) -> None:
    """Where there is no file of answers, the meta text's whole answer is it, and is graded."""
    candidates(tmp_path, EXAMPLES)
    files = [f"model.candidates.open={tmp_path / 'candidates'}", f"model.meta.open={tmp_path / 'meta.txt'}"]
    said = shapes(tmp_path / "out", *files, "extraction=precomputed")
    assert {s["response"] for s in scores_of(said) if s["row"] is None and s["kind"] == "open"} == {
        "I see the thing | and - more"
    }
    write_answers(tmp_path / "open.jsonl", EXAMPLES, dict.fromkeys((e.id for e in EXAMPLES), ""), choice=False)
    silent = shapes(tmp_path / "out", *files, "extraction=precomputed", f"model.answers.open={tmp_path / 'open.jsonl'}")
    assert {s["response"] for s in scores_of(silent) if s["row"] is None and s["kind"] == "open"} == {""}


def test_a_candidate_without_its_phrase_is_named(tmp_path: Path) -> None:
    files = candidates(tmp_path, EXAMPLES)
    write_mask(tmp_path / "candidates" / f"{EXAMPLES[1].id}_007_000.png", EXAMPLES[1].gt_mask)
    with pytest.raises(UserError, match=rf"no line for phrase 7 of example {EXAMPLES[1].id}.*_007_000.png"):
        shapes(tmp_path / "out", *files, "extraction=precomputed")


def test_an_answer_without_phrases_has_no_candidate(tmp_path: Path) -> None:
    files = candidates(tmp_path, EXAMPLES[1:])
    write_mask(tmp_path / "candidates" / f"{EXAMPLES[0].id}.png", RLE.empty(EXAMPLES[0].gt_mask.size))
    result = shapes(tmp_path / "out", *files, "extraction=precomputed")
    assert masks_of(result, "oracle")["ground", EXAMPLES[0].id]["choice"] == "missing"
    assert not result.failures


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "give predictions, as model.masks.ground=DIR"),
        (["model.missing=skip"], 'model.missing=skip: must be one of "error", "unscored", "empty"'),
        (["model.resize=cubic"], 'model.resize=cubic: must be one of "error", "nearest", "linear"'),
        (["model.meta.ground=/no/meta.txt"], "describes candidates; give their folder, model.candidates.ground"),
        (["model.masks.ground=/no/such"], "model.masks.ground=/no/such: there is no such folder"),
        (["model.answers.open=/no/such.jsonl"], r"model.answers.open=/no/such.jsonl: cannot be read"),
        (
            ["+model.masks.grond=/tmp"],
            'model.masks.grond: the name must be one of "open", "choice", "ground"; did you mean ground',
        ),
    ],
)
def test_mistakes_are_told_before_anything_is_computed(overrides: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        shapes(tmp_path / "out", "extraction=precomputed_masks", *overrides)
    assert not (tmp_path / "out" / "stages").exists()


def test_the_released_annotations_are_scored_without_their_images(tmp_path: Path) -> None:
    """The truth as a prediction scores 1 everywhere, nothing scores 39 of 286 and 53 of 300."""
    if not (ANNOTATIONS / "Segmentations.json").is_file():
        pytest.skip("no released annotations: set PIXFOUND_ANNOTATIONS to the folder that holds pixmmvp/")
    for example in PixMMVP(str(ANNOTATIONS), none_objects="keep", images="none"):
        write_mask(tmp_path / "masks" / f"output{int(example.id):05d}.png", example.gt_mask)
    common = ["benchmark=pixmmvp", f"benchmark.root={ANNOTATIONS}", "benchmark.images=none"]
    common += [f"model.masks.ground={tmp_path / 'masks'}", "extraction=precomputed_masks"]
    for keep, count, absent in (("drop", 286, 39), ("keep", 300, 53)):
        rows = score(tmp_path / "out", *common, f"benchmark.none_objects={keep}").metrics["rows"]
        assert rows["masks"]["M_dagger"]["value"] == 1.0
        assert rows["masks"]["M_dagger"]["count"] == count
        assert rows["empty"]["M_dagger"]["value"] == pytest.approx(absent / count, abs=1e-12)
