"""A finished run as COCO results, as answer files of other harnesses, and as the block of a model card."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pixfound.pipeline.run_data import RunData
from pixfound.types import Kind
from pixfound.types.masks import RLE
from pixfound.types.option_letters import letter

_ANSWERS = {"A": "accuracy of open answers", "A_dagger": "accuracy of letters"}
_MASKS = {"M": "mean IoU, open prompt", "M_dagger": "mean IoU, grounding prompt", "S": "harmonic mean of A and M"}


def coco_results(run: RunData, kind: Kind, row: str) -> list[dict[str, Any]]:
    """Chosen masks as a COCO results file: an entry for each instance; one of no pixels, of score 0, for nothing shown.

    It has no boxes, from which pycocotools would take the areas. image_id: the example's id, a number where it is one,
    as COCO has them and `model.masks.KIND` reads it back. Unscored examples are left out.
    """
    entries = []
    for run_example in run.examples:
        mask, chosen = run.mask(run_example, kind, row), run.chosen(run_example, kind, row)
        if mask is not None:
            instances = [(part.mask, part.score) for part in chosen.instances] if chosen else [(mask, None)]
            entries += [_entry(run_example.id, part, score) for part, score in instances]
    return entries


def fiftyone_labels(run: RunData, kind: Kind, row: str) -> list[dict[str, Any]]:
    """Chosen masks as FiftyOne's `add_coco_labels` takes them: with their boxes, xywh, without which it drops them."""
    boxed = [(entry, RLE.from_coco(entry["segmentation"]).box) for entry in coco_results(run, kind, row)]
    return [{**entry, "bbox": [x0, y0, x1 - x0, y1 - y0]} for entry, box in boxed if box for x0, y0, x1, y1 in [box]]


def _entry(id: str, mask: RLE, score: float | None) -> dict[str, Any]:
    rle = {"size": list(mask.size), "counts": mask.counts}
    return {
        "image_id": int(id) if id.isdecimal() and str(int(id)) == id else id,
        "category_id": 1,
        "segmentation": rle,
        "score": 0.0 if not mask.area else 1.0 if score is None else score,
    }


def lmms_eval_lines(run: RunData, kind: Kind) -> Iterator[str]:
    """Answers as lines of lmms-eval's samples (`--log_samples`); `doc_id` is the example's position, from 0."""
    for number, run_example in enumerate(run.examples):
        generation = run.answer(run_example, kind)
        if generation is not None:
            example = run_example.example
            document = {"question_id": run_example.id, "question": example.question, "options": list(example.options)}
            line = {
                "doc_id": number,
                "doc": document,
                "target": _target(run, number),
                "input": generation.prompt or run_example.prompt(kind).text,
                "filtered_resps": generation.text,
            }
            yield json.dumps(line, ensure_ascii=False) + "\n"


def vlmevalkit_rows(run: RunData, kind: Kind) -> list[dict[str, Any]]:
    """Answers as rows of VLMEvalKit's result file: `index`, `question`, `A`, `B` ..., `answer`, `prediction`."""
    most = max(len(run_example.example.options) for run_example in run.examples)
    rows = []
    for number, run_example in enumerate(run.examples):
        generation = run.answer(run_example, kind)
        if generation is not None:
            options = dict.fromkeys(map(letter, range(most)), "")
            options |= {letter(i): option for i, option in enumerate(run_example.example.options)}
            about = {"index": run_example.id, "question": run_example.example.question, **options}
            rows.append({**about, "answer": _target(run, number), "prediction": generation.text})
    return rows


def as_tsv(rows: list[dict[str, Any]]) -> str:
    """A table of rows with equal keys, every cell in quotes, as VLMEvalKit writes it."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]) if rows else ["index"], delimiter="\t", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _target(run: RunData, number: int) -> str:
    example = run.examples[number].example
    return letter(example.answer) if example.answer is not None else (example.answers or ("",))[0]


def model_card(run_metrics: Mapping[str, Any], row: str) -> str:
    """The `model-index` block of a model card on the Hub, in percent: answers, and masks of a row of metrics.json."""
    from huggingface_hub import EvalResult, ModelCardData

    names, metrics = run_metrics["names"], run_metrics["metrics"]
    masks = metrics["rows"][row]
    figures = [(name, text, "visual-question-answering", metrics["vqa"][name]) for name, text in _ANSWERS.items()]
    figures += [(name, text, "image-segmentation", masks[name]) for name, text in _MASKS.items()]
    figures += [
        (name, name, "image-segmentation", metric["M_dagger"])
        for name, metric in masks.get("region_metrics", {}).items()
    ]
    results = [
        EvalResult(
            task_type=task,
            dataset_type=names["benchmark"],
            dataset_name=names["benchmark"],
            metric_type=name,
            metric_name=text,
            metric_value=round(100 * figure["value"], 2),
            metric_config=f"row {row}, {names['extraction']}",
            metric_args={"low": _percent(figure["low"]), "high": _percent(figure["high"]), "count": figure["count"]},
        )
        for name, text, task, figure in figures
        if figure["value"] is not None
    ]
    return f"---\n{ModelCardData(model_name=names['model'], eval_results=results).to_yaml()}\n---\n"


def _percent(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 2)
