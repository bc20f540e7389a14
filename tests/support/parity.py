"""Made-up outputs of a model over the real annotations, in the file formats of the paper's scripts.

Everything is drawn from a seed, so the files need not be kept: `tests/scoring/parity.json` holds what the paper's own
evaluation scripts said about them. The masks are shifted, grown, boxed, empty, full and grey on purpose, the scores
tie, the answers take every branch of the readers of letters.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco

Grey = Any  # (H, W) uint8
PHRASES = ("the cat", "a dog", "its eyes", "the image", "two hands", "a red cup")
SIMILARITIES = ("0.700000", "0.699999", "0.812345", "0.812345", "0.100000", "-0.250000", "nan", "0.000000", "1.000000")
LETTERS = (
    "A",
    "b",
    "(a)",
    "(b)",
    "A.",
    "B.,",
    "((a))",
    "(B).",
    "a)",
    "The answer is A",
    "The answer is: B",
    "Answer: b",
    "answer:(A).",
    "The correct answer is answer: (b)",
    "The answer is a. The answer is b",
    "A. {0}",
    "(b) {1}",
    "{0}",
    "{1}",
    " {1}. ",
    "{0}:",
    "The answer is {0}",
    "",
    "   ",
    "A</s>",
    "<s>B",
    "I do not know",
    "answer is",
)
_LARGE = 400_000  # pixels
REPLIES = ("It is {0}.", "{1}", "(a) {0}", "No idea", "", "The answer is (b)", "Yes, {0}")


def draw_mask(rng: np.random.Generator, truth: Grey, kinds: int = 12) -> Grey:
    """A grey picture that has something to do with a truth of 0 and 1, as a model or a script may write it.

    kinds: 10 for pictures of two levels alone.
    """
    height, width = truth.shape
    kind = rng.integers(kinds)
    shifted = np.roll(truth, (int(rng.integers(-9, 10)), int(rng.integers(-9, 10))), (0, 1))
    box = _box(rng, height, width)
    if kind < 4:
        return shifted * np.uint8(255)
    if kind == 4:  # grown by a pixel on all sides
        parts = [np.roll(truth, step, (0, 1)) for step in ((0, 1), (0, -1), (1, 0), (-1, 0), (0, 0))]
        return np.maximum.reduce(parts) * np.uint8(255)
    if kind == 5:
        return np.zeros_like(truth)
    if kind == 6:
        return np.full_like(truth, 255)
    if kind == 7:
        return box * np.uint8(255)
    if kind == 8:  # half of the image to the pixel
        half = np.zeros_like(truth)
        half[: height // 2] = 255
        return half
    if kind == 9:
        return shifted  # 0 and 1 rather than 0 and 255
    if kind == 10:  # grey levels, odd and even, where a script of the paper counts each as many pixels
        return np.where(box > 0, np.uint8(rng.choice([1, 2, 7, 128, 253, 254])), shifted * np.uint8(255))
    return truth * np.uint8(255)


def mmvp_truths(root: Path) -> dict[int, Grey]:
    """(224, 224) uint8 of 0 and 1 for each of PixMMVP's images, by pycocotools alone."""
    data = json.loads((root / "Segmentations.json").read_text())
    truths = {image["id"]: np.zeros((224, 224), np.uint8) for image in data["images"]}
    for annotation in data["annotations"]:
        parts = coco.decode(coco.frPyObjects(annotation["segmentation"], 224, 224))
        truths[annotation["image_id"]] |= parts.max(axis=2)
    return truths


def write_mmvp(folder: Path, root: Path, seed: int) -> None:
    """Native masks, candidates with meta text, selections and answers for PixMMVP.

    native/%05d.png; candidates/{id}_{phrase:03d}_{mask:03d}.png and candidates.txt; selected.jsonl, with rows
    missing and `NONE`; taken.jsonl, a candidate for each image; answers1.jsonl,
    answers2.jsonl, answers3.jsonl.
    """
    rng = np.random.default_rng(seed)
    truths = mmvp_truths(root)
    rows = list(csv.DictReader((root / "visual_patterns.csv").open(encoding="utf-8-sig")))
    for name in ("native", "candidates"):
        (folder / name).mkdir(parents=True)
    meta, names = [], []
    for number, truth in truths.items():
        _save(folder / "native" / f"{number:05d}.png", draw_mask(rng, truth))
        phrases = int(rng.integers(6))
        if phrases == 0:
            _save(folder / "candidates" / f"{number}.png", np.zeros_like(truth))
        again = draw_mask(rng, truth)
        for phrase in range(phrases):
            text = PHRASES[rng.integers(len(PHRASES))]
            meta.append(f"{number}.jpg - {phrase} - {text}| {text.split()[-1]}| {rng.choice(SIMILARITIES)}\n")
            for place in range(3):
                mask = again if rng.random() < 0.3 else draw_mask(rng, truth)
                names.append((number, f"{number}_{phrase:03d}_{place:03d}.png"))
                _save(folder / "candidates" / names[-1][1], mask)
    (folder / "candidates.txt").write_text("".join(meta))
    _lines(folder / "selected.jsonl", _selections(rng, list(truths), names, folder / "candidates", gaps=True))
    _lines(folder / "taken.jsonl", _selections(rng, list(truths), names, folder / "candidates", gaps=False))
    answers: dict[str, list[dict[str, Any]]] = {"1": [], "2": [], "3": []}
    for number, row in enumerate(rows, start=1):
        options = [part.split(")")[1].strip() for part in row["Options"].split("(")[1:]]
        base = {"question_id": number, "prompt": f"{row['Question']} {row['Options']}", "model_id": "made-up"}
        open_reply = _say(rng, REPLIES, options)
        letter_reply = _letter(rng, row["Correct Answer"], options)
        answers["1"].append({**base, "answer": row["Correct Answer"], "response": open_reply, "answer_id": str(number)})
        answers["3"].append({**base, "answer": row["Correct Answer"], "response": "Sure.", "answer_id": str(number)})
        answers["2"].append(
            {**base, "answer": letter_reply, "gt_answer": row["Correct Answer"], "text_options": options}
        )
    for protocol, found in answers.items():
        _lines(folder / f"answers{protocol}.jsonl", found)


def cv_images(root: Path, seed: int) -> Iterator[tuple[str, str, tuple[int, int], Grey]]:
    """(source, file name, the image's size (H, W), the truth at the annotations' own size) for PixCV-Bench.

    The annotations do not tell the images' sizes, so every seventh image is given another size than they have.
    """
    rng = np.random.default_rng(seed)
    places = {"ADE20K": "ADE20K/FinalSegmentations.json", "COCO": "COCO/FinalSegmentations.json"}
    for source, place in places.items():
        data = json.loads((root / place).read_text())
        parts: dict[int, list[Any]] = {image["id"]: [] for image in data["images"]}
        for annotation in data["annotations"]:
            parts[annotation["image_id"]].append(annotation["segmentation"])
        for image in data["images"]:
            rles = [part for part in parts[image["id"]] if isinstance(part, dict)]
            polygons = [part for part in parts[image["id"]] if isinstance(part, list)]
            if rles:
                size = tuple(rles[0]["size"])
            else:
                points = [p for outline in polygons for p in outline] or [[16, 16]]
                size = (int(max(max(p[1::2]) for p in points)) + 5, int(max(max(p[0::2]) for p in points)) + 5)
            other = rng.random() < 1 / 7
            large = size[0] * size[1] >= _LARGE  # spares time
            factor = float(rng.choice([0.3, 0.5] if large else [0.5, 0.75, 1.5, 2.0]))
            truth = coco.decode(rles).max(axis=2) if rles else np.zeros(size, np.uint8)
            shown = (round(size[0] * factor), round(size[1] * factor)) if other and not polygons else size
            yield source, image["file_name"], shown, truth


def write_cv(folder: Path, root: Path, seed: int) -> None:
    """Black images in the benchmark's layout under data/, masks by stem under masks/, answers2_{source}.jsonl."""
    rng = np.random.default_rng(seed + 1)
    images = {"ADE20K": "ADE20K/validation/images", "COCO": "COCO/coco/images"}
    for place in images.values():
        (folder / "data" / place).mkdir(parents=True)
    (folder / "data" / "CV-Bench").mkdir()
    (folder / "masks").mkdir()
    for source, place in (("ADE20K", "ADE20K/validation"), ("COCO", "COCO")):
        found = (root / source / "FinalSegmentations.json").resolve()
        (folder / "data" / place / "FinalSegmentations.json").symlink_to(found)
    (folder / "data" / "CV-Bench" / "Objects.csv").symlink_to((root / "Objects.csv").resolve())
    questions, answers = [], {source: [] for source in images}  # type: Any, Any
    for number, (source, name, size, truth) in enumerate(cv_images(root, seed)):
        Image.new("L", (size[1], size[0])).save(folder / "data" / images[source] / name, format="PNG", compress_level=1)
        factors = [1.0, 1.0, 1.0, 0.5, 0.8, 1.37, 2.0] if truth.size < _LARGE else [0.25, 0.3, 0.5]
        factor = float(rng.choice(factors))
        # Grey levels where neither OpenCV's build (resizing them) nor the sum of a union in float32 moves the last bit.
        plain = factor == 1 and size == truth.shape and truth.size * 255 < 2**24
        grey = draw_mask(rng, truth, kinds=12 if plain else 10)
        shape = tuple(max(1, round(side * factor)) for side in (size[1], size[0]))
        picture = Image.fromarray(grey)
        _save_picture(folder / "masks" / f"{Path(name).stem}.png", picture.resize(shape, Image.Resampling.NEAREST))
        task = ("Count", "Relation")[int(rng.integers(2))]
        options = [f"option {i}" for i in range(int(rng.integers(2, 5)))]
        gold = f"({'ABCD'[int(rng.integers(len(options)))]})"
        file = f"/coco/val2017/{name}" if source == "COCO" else name
        question = {"task": task, "question": "How many?", "choices": options, "answer": gold, "source": source}
        questions.append({**question, "idx": number, "source_filename": file, "prompt": "How many?"})
        answers[source].append(
            {
                "questionId": number - 633 * (source == "COCO"),
                "image": file,
                "answer": _letter(rng, gold, options),
                "gt_answer": gold,
                "category": task,
                "options": options,
                "model_id": "made-up",
            }
        )
    _lines(folder / "data" / "CV-Bench" / "test.jsonl", questions)
    for source, found in answers.items():
        _lines(folder / f"answers2_{source}.jsonl", found)


def _selections(
    rng: np.random.Generator, numbers: Sequence[int], names: Sequence[tuple[int, str]], folder: Path, gaps: bool
) -> Iterator[Mapping[str, Any]]:
    for number in numbers:
        own = [name for owner, name in names if owner == number]
        draw = rng.random()
        if gaps and draw < 0.05:
            continue
        if gaps and draw < 0.3:
            yield {"question_id": number - 1, "selected file": "NONE"}
            continue
        among = own or [f"{number}.png"]  # what is written for an image without phrases can be selected, too
        name = among[int(rng.integers(len(among)))]
        yield {"question_id": number - 1, "selected file": str(folder / name)}


def _letter(rng: np.random.Generator, gold: str, options: Sequence[str]) -> str:
    """Half of the time a plain right letter, so that whole pairs are right too."""
    return gold.strip("()") if rng.random() < 0.5 else _say(rng, LETTERS, options)


def _say(rng: np.random.Generator, templates: Sequence[str], options: Sequence[str]) -> str:
    return templates[int(rng.integers(len(templates)))].format(*options)


def _box(rng: np.random.Generator, height: int, width: int) -> Grey:
    box = np.zeros((height, width), np.uint8)
    y0, y1 = sorted(int(v) for v in rng.integers(0, height + 1, 2))
    x0, x1 = sorted(int(v) for v in rng.integers(0, width + 1, 2))
    box[y0:y1, x0:x1] = 1
    return box


def _lines(path: Path, rows: Any) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _save(path: Path, grey: Grey) -> None:
    _save_picture(path, Image.fromarray(grey))


def _save_picture(path: Path, picture: Image.Image) -> None:
    picture.save(path, compress_level=1)
