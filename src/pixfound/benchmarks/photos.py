"""Photos: a small paired benchmark over real photographs, asked and outlined by hand for this project.

The two examples of a pair are two pictures with the same question, options and referring expression; the
answers are opposite. Where the expression names nothing in a picture, its mask is empty.

The pictures are the sample images that come inside an installed scikit-image (>= 0.25): an astronaut, a
cameraman, a cat, a cup of coffee, coins, a motorcycle, a rocket, the Moon and a cell. None of them is shipped
here; the docstrings of `skimage.data` name their sources and licences. The questions and outlines in
`photos.json` are this project's own.

Outlines follow what is visible: a thing hides what is behind it, wheels count as filled discs, a transparent
lattice tower as its silhouette, and the sky seen through its openings as sky.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import Benchmark
from pixfound.io.images import opened
from pixfound.types import Example, ImageSource
from pixfound.types.masks import RLE, union


@dataclass(frozen=True)
class SkimageFile(ImageSource):
    """A picture that the installed scikit-image holds.

    file: its name in the package's folder of data. size: (H, W) in pixels, the frame of its outlines.
    """

    file: str
    size: tuple[int, int]

    @property
    def path(self) -> Path:
        """The file in the installed package; never downloads. Raises UserError without scikit-image or the file."""
        spec = importlib.util.find_spec("skimage")  # the parent package is found, nothing of it is run
        if spec is None or spec.origin is None:
            raise UserError('benchmark=photos needs scikit-image\'s pictures: pip install "pixfound[photos]"')
        path = Path(spec.origin).parent / "data" / self.file
        if not path.is_file():
            raise UserError(f"the installed scikit-image has no data/{self.file}: pip install 'scikit-image>=0.25'")
        return path

    def load(self) -> Image.Image:
        """The picture as RGB, grey ones with three equal channels.

        Raises OSError where the file is corrupt and UserError where it is another picture than the outlines'.
        """
        with opened(self.path) as image:
            picture = image.convert("RGB")
        if (picture.height, picture.width) != self.size:
            actual = f"{picture.height} x {picture.width}"
            raise UserError(
                f"{self.file} of the installed scikit-image is {actual} pixels, its outlines are for "
                f"{self.size[0]} x {self.size[1]} (height x width): pip install 'scikit-image>=0.25'"
            )
        return picture

    def digest(self) -> str:
        """The SHA-256 of the file's bytes, in hex."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @property
    def location(self) -> str:
        """The path in the installed package."""
        return str(self.path)


@dataclass(frozen=True)
class Picture:
    """A picture and the masks of the objects in it that are known, by name."""

    image: SkimageFile
    objects: Mapping[str, RLE]

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Picture:
        """Read {"file", "size": [H, W], "objects": {name: polygons}}, polygons [x0, y0, x1, y1, ...] in pixels."""
        height, width = data["size"]
        objects = {name: RLE.from_polygons(polygons, (height, width)) for name, polygons in data["objects"].items()}
        return Picture(SkimageFile(data["file"], (height, width)), objects)

    def referred(self, names: Sequence[str]) -> RLE:
        """One mask of the objects named; of none, the empty mask."""
        return union([self.objects[name] for name in names], self.image.size)

    def known(self, names: Sequence[str]) -> tuple[RLE, ...]:
        """All the masks, led by that of the objects named together; () where a single object is known."""
        together = (self.referred(names),) if len(names) > 1 else ()
        return together + tuple(self.objects.values()) if len(self.objects) > 1 else ()


class Photos(Benchmark):
    """Twelve hand-made pairs over nine pictures; no picture is opened before it is asked for.

    Raises UserError where scikit-image or one of its pictures is not installed.
    """

    def __init__(self) -> None:
        table = json.loads(resources.files("pixfound.benchmarks").joinpath("photos.json").read_text("utf-8"))
        pictures = {name: Picture.from_json(data) for name, data in table["pictures"].items()}
        for picture in pictures.values():
            _ = picture.image.path  # says now, not after a model was loaded, what is not installed
        super().__init__(
            _example(pair, side, pictures[side["picture"]]) for pair in table["pairs"] for side in pair["sides"]
        )


def _example(pair: Mapping[str, Any], side: Mapping[str, Any], picture: Picture) -> Example:
    """One side of a pair. side: its picture, the index of its answer, the names of what is referred to."""
    return Example(
        id=f"{pair['id']}-{side['picture']}",
        image=picture.image,
        question=pair["question"],
        options=tuple(pair["options"]),
        answer=side["answer"],
        expression=pair["expression"],
        gt_mask=picture.referred(side["refers"]),
        pair_id=pair["id"],
        objects=picture.known(side["refers"]),
        tags={"category": pair["category"], "picture": side["picture"]},
    )
