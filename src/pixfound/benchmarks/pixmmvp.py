"""PixMMVP: the 150 pairs of MMVP with a referring expression and outlines for each image (arXiv 2502.04192).

    root/MMVP Images/{1..300}.jpg   MMVP's images, 224 x 224 pixels
    root/Objects.csv                Index, Object: the referring expression of each image
    root/Segmentations.json         COCO polygons; an image without any shows no such object
    root/visual_patterns.csv        Index, Question, Options, Correct Answer, Pattern
    root/Questions.csv              MMVP's own table; may be left out, must agree where it is there
    root/meta_none.txt              file names of the images whose object is `None`: nothing to ground

Images 2k + 1 and 2k + 2 are a pair: the same question and object, opposite answers.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pixfound.benchmarks.annotations import answer_index, expect, parse_options
from pixfound.benchmarks.image_sources import NO_IMAGES, images_in
from pixfound.errors import UserError
from pixfound.interfaces import Benchmark
from pixfound.io.coco import read_coco
from pixfound.io.tables import read_table
from pixfound.io.text_files import text_lines
from pixfound.types import Example

Labels = Literal["original", "corrected"]
NoneObjects = Literal["drop", "keep"]
Expressions = Literal["clean", "raw"]

COUNT = 300
NONE = "None"
SWAPPED = (99, 100, 279, 280)  # two pairs whose answers are the wrong way round: MMVP's issue 30
_TABLE = ("Question", "Options", "Correct Answer")
_KEYS = ("Index", "lndex")  # MMVP's own header has an l for the I


class PixMMVP(Benchmark):
    """286 examples (300 with none_objects="keep") with ids "1" to "300"; no image is opened here.

    root: the folder of the files above.
    labels: `original` answers as released; `corrected` swaps those of the pairs 99/100 and 279/280. The examples
        carry both, and the report says what the other one would give.
    none_objects: `drop` leaves out the 7 pairs whose object is `None`; `keep` has them with empty masks.
    expressions: `clean` without the spaces around and with plain quotes; `raw` as the file has them.
    images: folder of the images, where it is not root/MMVP Images; `none` does without (model=precomputed).
    """

    def __init__(
        self,
        root: str,
        labels: Labels = "original",
        none_objects: NoneObjects = "drop",
        expressions: Expressions = "clean",
        images: str | None = None,
    ) -> None:
        folder = Path(root).expanduser()
        numbers = range(1, COUNT + 1)
        objects = read_table(folder / "Objects.csv", _KEYS, ("Object",))
        table = read_table(folder / "visual_patterns.csv", _KEYS, (*_TABLE, "Pattern"))
        outlines = read_coco(folder / "Segmentations.json")
        expect(list(objects), numbers, f"{folder / 'Objects.csv'}, column Index")
        expect(list(table), numbers, f"{folder / 'visual_patterns.csv'}, column Index")
        expect(list(outlines), numbers, f"{folder / 'Segmentations.json'}, ids of the images")
        if (folder / "Questions.csv").exists():
            _compare(folder / "Questions.csv", table)
        nones = _nones(folder, objects)
        pictures = Path(images).expanduser() if images else folder / "MMVP Images"
        sources = images_in(pictures, [f"{n}.jpg" for n in numbers], "benchmark.images", without=images == NO_IMAGES)
        super().__init__()
        self.left_out = left_out = dict[str, str]()
        for number in numbers:
            where = f"{folder / 'visual_patterns.csv'}, Index {number}"
            row, outline, name = table[number], outlines[number], f"{number}.jpg"
            if outline.file_name != name:
                raise UserError(
                    f"{folder / 'Segmentations.json'}: image {number} is {outline.file_name!r}, not {name}; "
                    "download it again"
                )
            if number in nones and none_objects == "drop":
                left_out[str(number)] = str(number)
                continue
            options = parse_options(row["Options"])
            answer = answer_index(row["Correct Answer"], options, where)
            versions = {"original": answer, "corrected": 1 - answer if number in SWAPPED else answer}
            self.append(
                Example(
                    id=str(number),
                    image=sources(name),
                    question=row["Question"].strip(),
                    options=options,
                    answer=versions[labels],
                    expression=objects[number]["Object"] if expressions == "raw" else clean(objects[number]["Object"]),
                    gt_mask=outline.union(outline.size or (224, 224)),  # all of MMVP is 224 x 224
                    pair_id=str((number - 1) // 2),
                    tags={"pattern": row["Pattern"].strip()},
                    labels=versions,
                    named=number not in nones,
                )
            )


def clean(expression: str) -> str:
    """An expression of Objects.csv without the spaces around it and with its doubled quotes undoubled.

    The file has a space after the comma, so CSV's rule for quotes does not apply to what follows.
    """
    return expression.strip().replace('""', '"')


def _nones(folder: Path, objects: dict[int, dict[str, str]]) -> set[int]:
    """Numbers of the images whose object is `None`; both files that say so must agree."""
    path = folder / "meta_none.txt"
    file_names = [name for _, line in text_lines(path, str(path)) for name in line.split()]
    expect(
        file_names, [f"{n}.jpg" for n, row in objects.items() if clean(row["Object"]) == NONE], f"{path}, beside None"
    )
    numbers = {int(Path(name).stem) for name in file_names}
    for number in numbers:
        partner = number + 1 if number % 2 else number - 1
        if partner not in numbers:
            raise UserError(f"{path}: has {number}.jpg without {partner}.jpg, the other of its pair; add it")
    return numbers


def _compare(path: Path, table: dict[int, dict[str, str]]) -> None:
    """Both tables of questions must say the same, up to spaces, punctuation and capitals.

    MMVP's own table is not released with the annotations, so small differences of typing are let pass.
    """
    theirs = read_table(path, _KEYS, _TABLE)
    expect(list(theirs), list(table), f"{path}, column Index")
    for number, row in table.items():
        for column in _TABLE:
            ours, other = (re.sub(r"\W+", " ", r[column]).strip().casefold() for r in (row, theirs[number]))
            if ours != other:
                raise UserError(
                    f"{path}, Index {number}: {column} is {theirs[number][column]!r}, but {row[column]!r} in "
                    "visual_patterns.csv; put the wrong one right, or take Questions.csv away (it is not needed)"
                )
