"""PixCV-Bench: the 2D part of CV-Bench with outlines of the objects asked about (arXiv 2502.04192).

    root/CV-Bench/test.parquet                       CV-Bench's questions; without it, its small test.jsonl
    root/CV-Bench/Objects.csv                        Id, file, Objects; or root/Objects.csv
    root/ADE20K/validation/FinalSegmentations.json   COCO RLE and polygons; or root/ADE20K/FinalSegmentations.json
    root/ADE20K/validation/images                    images from ADE20K
    root/COCO/FinalSegmentations.json                COCO RLE and polygons
    root/COCO/coco/images                            images from COCO

There are no pairs. The files are joined by the source and the file name of the image, never by position.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pixfound.benchmarks.annotations import answer_index, expect
from pixfound.benchmarks.image_sources import NO_IMAGES, ImageFile, NoImage, images_in
from pixfound.benchmarks.pixcvbench_expressions import refer
from pixfound.benchmarks.pixcvbench_files import (
    AGAIN,
    COUNTS,
    IMAGES,
    OBJECTS,
    OUTLINES,
    QUESTIONS,
    first_of,
    outlines_by_name,
    place_of,
    read_questions,
)
from pixfound.errors import UserError
from pixfound.interfaces import Benchmark
from pixfound.io.coco import CocoImage, Size
from pixfound.io.grayscale_masks import Resize
from pixfound.io.images import opened
from pixfound.io.tables import read_table
from pixfound.types import Example, ImageSource
from pixfound.types.masks import RLE

Source = Literal["all", "ADE20K", "COCO"]


class PixCVBench(Benchmark):
    """1,438 examples, 633 from ADE20K (ids "0" to "632") and 805 from COCO (ids "633" to "1437").

    root: the folder of the files above. source: `all`, or one of the two. images: `none` does without the images
    (model=precomputed). resize: how outlines stored at another size than the image's are resized: to the `nearest`
    pixel, or `linear`ly as the paper's code does it.

    The annotations do not say how large the images are: sizes are read from the headers of the files. Outlines stored
    at another size are resized. An image that cannot be opened fails when it is loaded, alone; its mask is then of the
    outlines' own size.
    """

    def __init__(
        self, root: str, source: Source = "all", images: Literal["none"] | None = None, resize: Resize = "nearest"
    ) -> None:
        drafts, self.left_out = read_drafts(Path(root).expanduser(), source, images)
        for draft, outlines in drafts:
            mask = outlines.union(_size_of(draft.image) or outlines.likely_size, resize)
            self.append(replace(draft, gt_mask=mask))


def read_drafts(
    folder: Path, source: Source, images: Literal["none"] | None
) -> tuple[list[tuple[Example, CocoImage]], dict[str, str]]:
    """Examples whose masks are still empty, each with its outlines; and `left_out`. No image is opened."""
    sources = tuple(COUNTS) if source == "all" else (source,)
    table = first_of(folder, OBJECTS)
    rows = read_table(table, ("Id",), ("file", "Objects"))
    expect(list(rows), range(sum(COUNTS.values())), f"{table}, column Id")
    questions_path = first_of(folder, QUESTIONS)
    questions = read_questions(questions_path, sources)
    outlines = {s: outlines_by_name(first_of(folder, OUTLINES[s])) for s in sources}
    names = {id: place_of(row["file"], f"{table}, Id {id}") for id, row in rows.items()}
    places = {id: place for id, place in names.items() if place[0] in sources}
    files: dict[str, Callable[[str], ImageFile | NoImage]] = {}
    for s in sources:
        file_names = [name for origin, name in places.values() if origin == s]
        if len(set(file_names)) != COUNTS[s]:
            raise UserError(f"{table}: has {len(set(file_names))} images of {s}, not {COUNTS[s]}; {AGAIN}")
        expect(list(outlines[s]), file_names, f"{first_of(folder, OUTLINES[s])}, file names of the images")
        files[s] = images_in(folder / IMAGES[s], file_names, "benchmark.root, images", images == NO_IMAGES)
    drafts = []
    for id, (origin, name) in sorted(places.items()):
        where = f"{table}, Id {id}"
        if (origin, name) not in questions:
            raise UserError(f"{where}: {questions_path} has no 2D question about {name} of {origin}; {AGAIN}")
        row = questions[origin, name]
        options = tuple(str(choice) for choice in row["choices"])
        answer = answer_index(str(row["answer"]), options, f"{questions_path}, the row of {name}")
        text = str(row["question"]).strip()
        expression = refer(rows[id]["Objects"], text, where)
        tags = {"task": str(row["task"]), "source": origin}
        blank = RLE.empty(outlines[origin][name].likely_size)
        draft = Example(str(id), files[origin](name), text, options, answer, expression, blank, tags=tags)
        drafts.append((draft, outlines[origin][name]))
    return drafts, {str(id): Path(name).stem for id, (_, name) in names.items() if id not in places}


def _size_of(image: ImageSource) -> Size | None:
    """(H, W) from the header of an image's file; None where it cannot be opened."""
    try:
        with opened(image.location) as picture:
            return picture.height, picture.width
    except OSError:
        return None
