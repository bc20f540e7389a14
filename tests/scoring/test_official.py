"""Metrics of regions beside the benchmarks' own evaluators, on the same predictions.

`official.json` has made-up predictions and what these evaluators said about them, `official_edges.json` cases by hand:
nothing on either side, one pixel, all pixels, one mask for several objects and several for one, an IoU on a threshold,
pixels to ignore over everything, boxes without area, with swapped corners or at the edge, missing ones. In
`official_annotators.json` three annotators disagree, `official_pairs.json` has two expressions of each picture:

    rela           henghuiding/ReLA 3ca9551, gres_model/evaluation/refer_evaluation.py
    lisa           dvlab-research/LISA 3cb2d43, train_ds.py (validate) and utils/utils.py
    gseval         hustvl/GroundingSuite ff3ea30, evaluate_grounding.py
    falcon         tiiuae/Falcon-Perception 627e10a, eval/metrics.py (PBench)
    saco, lmms     EvolvingLMMs-Lab/lmms-eval 75571cf, lmms_eval/tasks/saco/utils.py
    sam3           facebookresearch/sam3 99d02f2, sam3/eval/cgf1_eval.py; sam3_first: the first annotator alone
    treebench      open-compass/VLMEvalKit e8e78f0, vlmeval/dataset/image_mcq.py
    vlm_*, lmms_*  the same two, GroundingME, RefCOCO (rec) and refcoco_grounding
    cafe           T-S-Liang/CAFE 8b2cda7, tools/eval_cafe_metrics.py (official_pairs.json)
    pointbench, multihop   lmms-eval, tasks/pointbench and tasks/multihopspatial
    davis          davisvideochallenge/davis2017-evaluation ac7c43f, davis2017/metrics.py

Evaluators that take the best of several readings of a box were given only boxes of which pixels are the best one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pixfound.scoring.comparison import Comparison
from pixfound.scoring.metrics import Scoring
from pixfound.scoring.region_metrics import METRICS
from pixfound.scoring.regions import boundary_f
from pixfound.scoring.scores import Score
from pixfound.scoring.table import tabulate
from pixfound.types import Candidate
from pixfound.types.masks import RLE, union
from tests.support.examples import make_example


class Official:
    """Made-up predictions, and what the evaluators said about them."""

    def __init__(self, name: str) -> None:
        self.name, data = name, json.loads((Path(__file__).parent / f"{name}.json").read_text())
        self.inputs, self.expected = data["inputs"], data["expected"]
        self.size: tuple[int, int] = tuple(self.inputs["size"])


@pytest.fixture(scope="module", params=["official", "official_edges"])
def official(request: pytest.FixtureRequest) -> Official:
    return Official(request.param)


def figures(comparisons: Sequence[Comparison], *names: str, right: Sequence[bool | None] = ()) -> dict[str, Any]:
    """The metrics of a run that shows this, through scores, table and bootstrap. right: the letters' verdicts."""
    scoring = Scoring(region_metrics=names, resamples=100)
    scores = []
    for i, c in enumerate(comparisons):
        about = {"tags": c.example.tags, "absent": c.absent}
        measures = {metric.name: metric.measure(c) for metric in scoring.found_metrics}
        pair = c.example.pair_id
        scores.append(Score(f"{i}/ground", str(i), pair, "ground", "row", iou=0.5, measures=measures, **about))
        verdict = right[i] if right else None
        scores.append(Score(f"{i}/choice", str(i), pair, "choice", None, correct=verdict, response="x", **about))
    found = scoring.metrics(tabulate(scores))["rows"]["row"]["region_metrics"]
    for both in found.values():
        assert both["M"]["count"] == 0
        low, high = both["M_dagger"]["low"], both["M_dagger"]["high"]
        assert low is None or low <= both["M_dagger"]["value"] <= high
    return {name: both["M_dagger"]["value"] for name, both in found.items()}


def masks(segmentations: Sequence[Any], size: tuple[int, int]) -> tuple[RLE, ...]:
    return tuple(RLE.from_coco(one, size) for one in segmentations)


def instances(official: Official, boxes: bool = False, ignored: bool = False) -> list[Comparison]:
    """The samples of masks. boxes: also as written. ignored: without the pixels to ignore."""
    found = []
    for sample, spoken in zip(official.inputs["samples"], official.inputs["boxes"], strict=True):
        gts, preds = masks(sample["gt"], official.size), masks(sample["pred"], official.size)
        written = spoken["pred"] if boxes else [None] * len(preds)
        parts = tuple(Candidate(mask, box=box) for mask, box in zip(preds, written, strict=True))
        shown = union(preds, official.size)
        example = make_example(
            union(gts, official.size),
            instances=gts,
            boxes=tuple(spoken["gt"][:1]) if boxes else (),
            ignore=masks([sample["ignore"]], official.size)[0] if ignored and sample["ignore"] else None,
            tags={"split": sample["split"], "class": str(sample["class_id"])},
        )
        found.append(Comparison(example, shown, Candidate(shown, parts=parts) if parts else None, missing=not parts))
    return found


def single(gt: Any, pred: Any, size: Sequence[int] = (1, 1)) -> Comparison:
    """One annotated box, or none, and one written box, or none."""
    truth = RLE.full((1, 1)) if gt else RLE.empty((1, 1))
    mask = RLE.full((1, 1)) if pred else RLE.empty((1, 1))
    return Comparison(
        make_example(truth, boxes=(tuple(gt),) if gt else ()), mask, Candidate(mask, box=tuple(pred)) if pred else None
    )


def close(expected: float) -> Any:
    """Equal but for the order in which floating-point numbers are added up."""
    return pytest.approx(expected, rel=1e-12)


def test_grefcoco(official: Official) -> None:
    expected = official.expected["rela"]
    names = {"gIoU": "giou", "cIoU": "ciou", **{f"Pr@0.{n}": f"pr@0.{n}" for n in (7, 8, 9)}}
    found = figures(instances(official), *names.values(), "n_acc", "t_acc")
    for theirs, ours in names.items():
        assert 100 * found[ours] == close(expected[theirs]), ours
    assert (found["n_acc"], found["t_acc"]) == (close(expected["N_acc"]), close(expected["T_acc"]))


def test_reasonseg_with_ignored_pixels(official: Official) -> None:
    expected = official.expected["lisa"]
    found = figures(instances(official, ignored=True), "giou_eps", "ciou", "giou")
    # It computes in single precision, and divides by the number of examples plus 1e-5.
    assert found["giou_eps"] == pytest.approx(expected["giou"] * (1 + 1e-5 / expected["count"]), rel=3e-7)
    assert found["ciou"] == pytest.approx(expected["ciou"], rel=1e-7)
    assert f"giou: {found['giou_eps']:.4f}, ciou: {found['ciou']:.4f}" == expected["printed"]
    assert 0 < found["giou"] - found["giou_eps"] < 1e-6
    assert found["ciou"] != figures(instances(official), "ciou")["ciou"]


def test_gseval(official: Official) -> None:
    expected = official.expected["gseval"]
    present = [c for c in instances(official, boxes=True) if not c.absent]
    found = figures(present, "miou:skip_missing", "written_box_acc@0.5:skip_missing", "miou")
    assert found["miou:skip_missing"] == close(expected["giou"])
    assert found["written_box_acc@0.5:skip_missing"] == close(expected["box"])
    assert found["miou"] < found["miou:skip_missing"]
    for value, accuracy in expected["class_accuracies"].items():
        part = [c for c in present if c.example.tags["class"] == value]
        assert figures(part, "written_box_acc@0.5")["written_box_acc@0.5"] == close(accuracy)


def test_pbench(official: Official) -> None:
    expected, found = official.expected["falcon"], instances(official)
    assert figures(found, "pbench_f1:mean_over_split")["pbench_f1:mean_over_split"] == close(expected["average"])
    for split, value in expected["splits"].items():
        part = [c for c in found if c.example.tags["split"] == split]
        assert figures(part, "pbench_f1")["pbench_f1"] == close(value), split
    shown = [METRICS["il_mcc"][0](c) for c in found]
    assert [sum(cases) for cases in zip(*shown, strict=True)] == expected["il"]


def test_saco(official: Official) -> None:
    expected, found = official.expected["saco"], instances(official)
    metrics = figures(found, "il_mcc", "positive_f1", "positive_f1@0.5", "gated_f1", "gated_f1@0.75", "saco_macro_f1")
    assert metrics["il_mcc"] == close(expected["IL_MCC"])
    assert metrics["positive_f1"] == close(expected["pmF1"])
    assert metrics["positive_f1@0.5"] == close(expected["pmF1_50"])
    assert 100 * metrics["gated_f1"] == close(expected["cgF1"])
    assert 100 * metrics["gated_f1@0.75"] == close(expected["cgF1_75"])
    assert metrics["saco_macro_f1"] == close(expected["macro_F1"])


def test_saco_takes_the_annotator_that_fits_best() -> None:
    data = json.loads((Path(__file__).parent / "official_annotators.json").read_text())
    size, expected, found = tuple(data["size"]), data["expected"], []
    for sample in data["samples"]:
        first, *others = (masks(annotated, size) for annotated in sample["annotators"])
        parts = tuple(Candidate(mask) for mask in masks(sample["pred"], size))
        example = make_example(union(first, size), instances=first, other_instances=tuple(others))
        shown = union([part.mask for part in parts], size)
        found.append(Comparison(example, shown, Candidate(shown, parts=parts) if parts else None, missing=not parts))
    ours = figures(found, "il_mcc", "positive_f1", "gated_f1", "gated_f1@0.5", "saco_macro_f1")
    for name, theirs in (("il_mcc", "IL_MCC"), ("positive_f1", "pmF1"), ("saco_macro_f1", "macro_F1")):
        assert ours[name] == close(expected["lmms"][theirs]), name
    assert 100 * ours["gated_f1"] == close(expected["lmms"]["cgF1"])
    # SAM 3's own script has 1e-4 in its denominators.
    first_alone = [replace(c, example=replace(c.example, other_instances=())) for c in found]
    for part, theirs in ((found, expected["sam3"]), (first_alone, expected["sam3_first"])):
        near = figures(part, "gated_f1", "gated_f1@0.5", "positive_f1", "il_mcc")
        names = {"gated_f1": "cgF1", "gated_f1@0.5": "cgF1@0.5", "positive_f1": "positive_micro_F1", "il_mcc": "IL_MCC"}
        assert near == {name: pytest.approx(theirs[names[name]], abs=1e-4) for name in near}


@pytest.mark.parametrize("threshold", ["0.3", "0.5"])
def test_cafe(threshold: str) -> None:
    data = json.loads((Path(__file__).parent / "official_pairs.json").read_text())
    height, width = data["size"]
    found = []
    for number, pair in enumerate(data["pairs"]):
        (target,) = masks([{"size": [height, width], "counts": pair["target"]}], (height, width))
        for truth, predicted in ((target, "positive"), (RLE.empty((height, width)), "negative")):
            parts = [
                (RLE.from_coco({"size": [height, width], "counts": c}, target.size), s) for c, s in pair[predicted]
            ]
            instances = tuple(Candidate(mask, score=None if score == 1 else score) for mask, score in parts)
            shown = union([part.mask for part in instances], target.size)
            example = make_example(truth, pair_id=str(number), objects=(target,))
            found.append(Comparison(example, shown, Candidate(shown, parts=instances) if instances else None))
    names = {"AFPR": "afpr", "UFPR": "ufpr", "ACSR": "acsr", "UCSR": "ucsr"}
    ours = figures(found, *(f"{name}@{threshold}" for name in names.values()), "softswap", "acsr")
    expected = data["expected"][threshold]
    assert {n: ours[f"{name}@{threshold}"] for n, name in names.items()} == {n: close(expected[n]) for n in names}
    assert ours["softswap"] == close(expected["SoftSwap"])
    assert ours["acsr"] == close(data["expected"]["0.3"]["ACSR"])  # the authors' threshold where none is given
    unknown = [replace(c, example=replace(c.example, objects=())) for c in found]
    assert set(figures(unknown, "afpr", "acsr").values()) == {None}


def test_treebench(official: Official) -> None:
    present = [c for c in instances(official) if not c.absent]
    found = figures(present, "target_recall", "target_precision")
    assert found["target_recall"] == close(official.expected["treebench"]["miou"])
    assert found["target_precision"] < found["target_recall"]


def test_groundingme(official: Official) -> None:
    found = [single(one["gt"], one["pred"]) for one in official.inputs["single"]]
    names = {
        "IoU": "written_box_iou",
        **{f"ACC@{t}": f"written_box_acc@{t}" for t in ("0.5", "0.75", "0.9")},
        "MACC": "written_box_macc",
        "Center_ACC": "written_box_centre",
    }
    ours = figures(found, *names.values())
    for evaluator in ("lmms_groundingme", "vlm_groundingme"):
        for name in names.keys() & official.expected[evaluator].keys():
            assert ours[names[name]] == close(official.expected[evaluator][name]), name
        rejected = [c for c in found if c.absent]
        assert figures(rejected, "n_acc")["n_acc"] == close(official.expected[evaluator]["Rejection_ACC@0.5"])


@pytest.mark.parametrize("evaluator", ["lmms_refcoco", "lmms_refcoco_grounding"])
def test_refcoco(official: Official, evaluator: str) -> None:
    expected = dict(official.expected[evaluator])
    pixels = [one for one in official.inputs["single"] if one["gt"]]
    used = expected.pop("used", None)
    found = [pixels[i] for i in used] if used is not None else official.inputs["refcoco"]
    names = {"IoU": "written_box_iou", "Center_ACC": "written_box_centre"}
    names |= {name: name.replace("ACC", "written_box_acc") for name in expected if name.startswith("ACC@")}
    ours = figures([single(one["gt"], one["pred"]) for one in found], *names.values())
    assert {name: ours[names[name]] for name in expected} == {name: close(value) for name, value in expected.items()}


def test_pointbench(official: Official) -> None:
    found = []
    for one in official.inputs["points"]:
        truth = masks(official.inputs["samples"][one["sample"]]["gt"], official.size)
        gt, parts = (
            union(truth, official.size),
            tuple(Candidate(RLE.full(official.size), point=tuple(point)) for point in one["points"]),
        )
        # All rows have a count there, and the category says whether it matters.
        example = make_example(gt, count=len(truth), tags={"category": "counting" if one["counting"] else "spatial"})
        chosen = Candidate(RLE.full(official.size), parts=parts) if parts else None
        found.append(Comparison(example, RLE.full(official.size) if parts else RLE.empty(official.size), chosen))
    ours = figures(found, "points_share", "points_strict", "points_first", "points_all")
    assert ours["points_share"] == close(official.expected["pointbench"]["fraction"])
    assert ours["points_strict"] == close(official.expected["pointbench"]["binary"])
    assert ours["points_first"] > ours["points_all"]


def test_multihopspatial(official: Official) -> None:
    found = []
    for one in official.inputs["multihop"]:
        (height, width), box = one["size"], one["pred"]
        found.append(single(one["gt"], box and (box[0] * width, box[1] * height, box[2] * width, box[3] * height)))
    right = [one["right"] for one in official.inputs["multihop"]]
    ours = figures(found, "multihop_acc", "multihop_iou", "joint_box@0.5", right=right)
    assert round(100 * ours["multihop_acc"], 2) == official.expected["multihop"]["acc50iou"]
    assert round(100 * ours["multihop_iou"], 2) == official.expected["multihop"]["avg_iou"]
    # One box of IoU .49996 counts there, and an unreadable answer counts as wrong.
    hits = round(ours["multihop_acc"] * len(right))
    assert ours["joint_box@0.5"] == close((hits - 1) / (len(right) - 1))


def test_davis(official: Official) -> None:
    for c, expected in zip(instances(official, ignored=True), official.expected["davis"]["each"], strict=True):
        ignore = c.example.ignore and c.example.ignore.decode()
        assert boundary_f(c.mask.decode(), c.example.gt_mask.decode(), ignore) == close(expected)
    assert figures(instances(official, ignored=True), "boundary")["boundary"] == close(
        official.expected["davis"]["mean"]
    )


def test_every_metric_has_a_docstring_that_names_its_source_where_one_was_compared() -> None:
    for name, (function, _) in METRICS.items():
        assert function.__doc__, name
    for name in ("giou", "ciou", "pr", "n_acc", "pbench_f1", "gated_f1", "target_recall", "points_strict"):
        assert "Source: " in str(METRICS[name][0].__doc__), name
