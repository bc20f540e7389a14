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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args, overload

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
from pixfound.io.coco import CocoImage, Size
from pixfound.io.grayscale_masks import RESIZES, Resize
from pixfound.io.images import opened
from pixfound.io.tables import read_table
from pixfound.types import Example

Source = Literal["all", "ADE20K", "COCO"]


@dataclass(frozen=True)
class _Draft:
    """An example without its mask, which needs the image's size."""

    id: str
    image: ImageFile | NoImage
    question: str
    options: tuple[str, ...]
    answer: int
    expression: str
    tags: Mapping[str, str]
    outlines: CocoImage

    def example(self, resize: Resize) -> Example:
        size = _size_of(self.image) or self.outlines.likely_size
        mask = self.outlines.union(size, resize)
        return Example(
            self.id, self.image, self.question, self.options, self.answer, self.expression, mask, tags=self.tags
        )


class PixCVBench(Sequence[Example]):
    """1,438 examples, 633 from ADE20K (ids "0" to "632") and 805 from COCO (ids "633" to "1437").

    root: the folder of the files above. source: `all`, or one of the two. images: `none` does without the images
    (model=precomputed). resize: how outlines stored at another size than the image's are resized: to the `nearest`
    pixel, or `linear`ly as the paper's code does it.

    The annotations do not say how large the images are, so an example reads its image's size (the file's header,
    no pixels) when it is first taken; outlines stored at another size are resized. An image that
    cannot be opened fails when it is loaded, alone; until then its mask is of the outlines' own size.
    """

    def __init__(
        self, root: str, source: Source = "all", images: str | None = None, resize: Resize = "nearest"
    ) -> None:
        if resize not in RESIZES:
            raise UserError(f"benchmark.resize={resize}: must be {' or '.join(RESIZES)}")
        if images not in (None, NO_IMAGES):
            raise UserError(f"benchmark.images={images}: must be {NO_IMAGES}, or null for those below benchmark.root")
        if source not in get_args(Source):
            raise UserError(f"benchmark.source={source}: must be {' or '.join(get_args(Source))}")
        folder = Path(root).expanduser()
        sources = tuple(COUNTS) if source == "all" else (source,)
        table = first_of(folder, OBJECTS)
        rows = read_table(table, ("Id",), ("file", "Objects"))
        expect(list(rows), range(sum(COUNTS.values())), f"{table}, column Id")
        questions_path = first_of(folder, QUESTIONS)
        questions = read_questions(questions_path, sources)
        outlines = {s: outlines_by_name(first_of(folder, OUTLINES[s])) for s in sources}
        names = {id: place_of(row["file"], f"{table}, Id {id}") for id, row in rows.items()}
        chosen = {id: place for id, place in names.items() if place[0] in sources}
        self.left_out = {str(id): Path(name).stem for id, (_, name) in names.items() if id not in chosen}
        files: dict[str, Callable[[str], ImageFile | NoImage]] = {}
        for s in sources:
            wanted = [name for origin, name in chosen.values() if origin == s]
            if len(set(wanted)) != COUNTS[s]:
                raise UserError(f"{table}: has {len(set(wanted))} images of {s}, not {COUNTS[s]}; {AGAIN}")
            expect(list(outlines[s]), wanted, f"{first_of(folder, OUTLINES[s])}, file names of the images")
            without = images == NO_IMAGES
            files[s] = images_in(folder / IMAGES[s], wanted, "benchmark.root, images", without)
        self._resize = resize
        self._drafts: list[_Draft] = []
        for id, (origin, name) in sorted(chosen.items()):
            where = f"{table}, Id {id}"
            if (origin, name) not in questions:
                raise UserError(f"{where}: {questions_path} has no 2D question about {name} of {origin}; {AGAIN}")
            row = questions[origin, name]
            options = tuple(str(choice) for choice in row["choices"])
            answer = answer_index(str(row["answer"]), options, f"{questions_path}, the row of {name}")
            text = str(row["question"]).strip()
            expression = refer(rows[id]["Objects"], text, where)
            tags = {"task": str(row["task"]), "source": origin}
            outline = outlines[origin][name]
            self._drafts.append(_Draft(str(id), files[origin](name), text, options, answer, expression, tags, outline))
        self._examples: dict[int, Example] = {}

    def __len__(self) -> int:
        return len(self._drafts)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        places = range(len(self))[index]
        if isinstance(places, range):
            return [self[place] for place in places]
        if places not in self._examples:
            self._examples[places] = self._drafts[places].example(self._resize)
        return self._examples[places]


def _size_of(image: ImageFile | NoImage) -> Size | None:
    """(H, W) from the header of an image's file; None where it cannot be opened."""
    try:
        with opened(image.path) as picture:
            return picture.height, picture.width
    except OSError:
        return None
