"""The two benchmarks of the paper: their files, sources and names.

Known of the datasets on the Hub (from their public pages, seen in copies):
- MMVP/MMVP: the folder `MMVP Images`, `Questions.csv`, `Questions.xlsx`, a card.
- IVUlab/pixmmvp: `Objects.csv`, `Segmentations.json`, `visual_patterns.csv`, a card. `meta_none.txt` is not there:
  it is made here from Objects.csv, and comes out as the file in the paper's repository.
- nyu-visionx/CV-Bench: since 2025 `test_2d.parquet`, `test_3d.parquet` and the same as jsonl; before that
  `test.parquet` and `test.jsonl` with both parts, and the folder `img`. Column `image` holds the picture's file.
- IVUlab/pixcvbench: `Objects.csv`, `ADE20K/FinalSegmentations.json`, `COCO/FinalSegmentations.json` (its card).
Sizes and checksums of the annotations are those of the files in the paper's repository (data/); the sizes shown on the
Hub agree to the digits shown.

Assumed: that the Hub has the same bytes as that repository (a difference is named, and taken with --allow-changed);
that each row of CV-Bench's table holds its own image, which is written under the name that Objects.csv has for it, in
whatever format it is stored (a PNG in a .jpg is read by its content). These images, and not those of ADE20K and COCO,
are taken where both are at hand: CV-Bench's questions are about them and speak of red boxes, which ADE20K and COCO do
not have. Folders inside a dataset are not relied on: files are recognised by their names.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pixfound.apps.data.files import Dataset, File, inside
from pixfound.errors import UserError

MMVP, PIXMMVP_REPO = "MMVP/MMVP", "IVUlab/pixmmvp"
CVBENCH, PIXCVBENCH_REPO = "nyu-visionx/CV-Bench", "IVUlab/pixcvbench"
PARQUET, JSONL = "CV-Bench/test.parquet", "CV-Bench/test.jsonl"
_HOSTS = {
    "ADE20K": "the validation images of ADE20K (https://ade20k.csail.mit.edu, after a form)",
    "COCO": "COCO's http://images.cocodataset.org/zips/val2017.zip",
}
_SOURCE = f"the pictures inside https://huggingface.co/datasets/{CVBENCH}, or {{}}"


def _pixmmvp_images(root: Path) -> tuple[File, ...]:
    folder = "MMVP Images"
    pictures = (
        File((f"{folder}/{n}.jpg",), (f"{folder}/{n}.jpg", f"{n}.jpg"), MMVP, image_size=(224, 224))
        for n in range(1, 301)
    )
    return (File(("Questions.csv",), ("Questions.csv",), MMVP, optional=True), *pictures)


def _make_pixmmvp(root: Path, missing: Sequence[File]) -> None:
    """Create meta_none.txt, which lists the images with object `None`."""
    from pixfound.benchmarks.pixmmvp import NONE, clean
    from pixfound.io.tables import read_table

    if any(file.path == "meta_none.txt" for file in missing) and (root / "Objects.csv").is_file():
        rows = read_table(root / "Objects.csv", ("Index", "lndex"), ("Object",))
        names = [f"{number}.jpg\n" for number, row in rows.items() if clean(row["Object"]) == NONE]
        (root / "meta_none.txt").write_text("".join(names))


def _load_pixmmvp(root: Path) -> int:
    from pixfound.benchmarks.pixmmvp import PixMMVP

    return len(PixMMVP(str(root), none_objects="keep"))


def _pixcvbench_images(root: Path) -> tuple[File, ...]:
    from pixfound.benchmarks.pixcvbench_files import IMAGES, image_names

    return tuple(
        File(
            (inside(f"{IMAGES[source]}/{name}", str(root / "CV-Bench/Objects.csv")),),
            (f"{source}/{name}", f"{IMAGES[source]}/{name}", name),
            made_from=PARQUET,
            source=_SOURCE.format(_HOSTS[source]),
        )
        for source, name in image_names(root)
    )


def _make_pixcvbench(root: Path, missing: Sequence[File]) -> None:
    """Write the images in CV-Bench's table."""
    if any(file.path == PARQUET for file in missing):
        _pyarrow()  # raises before the table is downloaded
        return
    paths = {file.path for file in missing if file.is_image}
    if not paths or not (root / PARQUET).is_file():
        return
    for path, content in _pictures(root / PARQUET):
        if path in paths:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)


def _pictures(path: Path) -> Iterator[tuple[str, bytes]]:
    """(path, content) of each image in CV-Bench's table; none where it has no such column."""
    from pixfound.benchmarks.pixcvbench_files import IMAGES

    parquet = _pyarrow()
    try:
        with parquet.ParquetFile(path) as table:
            columns = ["source", "source_filename", "image"]
            if any(name not in table.schema_arrow.names for name in columns):
                return
            for batch in table.iter_batches(batch_size=32, columns=columns):
                for row in batch.to_pylist():
                    image: Any = row["image"]
                    content = image.get("bytes") if isinstance(image, dict) else image
                    if row["source"] in IMAGES and isinstance(content, bytes):
                        yield f"{IMAGES[row['source']]}/{PurePosixPath(str(row['source_filename'])).name}", content
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise UserError(f"{path}: is no readable parquet file ({error}); remove it or its copy") from error


def _pyarrow() -> Any:
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UserError('CV-Bench\'s table needs pyarrow: pip install "pixfound[cvbench]"') from error


def _load_pixcvbench(root: Path) -> int:
    from pixfound.benchmarks.pixcvbench import read_drafts

    return len(read_drafts(root, "all", None)[0])


PIXMMVP = Dataset(
    name="pixmmvp",
    repos=(MMVP, PIXMMVP_REPO),
    annotations=(
        File(
            ("Objects.csv",),
            ("pixmmvp/Objects.csv", "Objects.csv"),
            PIXMMVP_REPO,
            "9d7b4ebcde03b1319cc651aab6eab72e366d374bc297fb0a3a9d9d05556ac816",
        ),
        File(
            ("Segmentations.json",),
            ("Segmentations.json",),
            PIXMMVP_REPO,
            "ca101b1ed12180cc02cdca118bda125f8ccce47630198cba250270c92d2bcb24",
        ),
        File(
            ("visual_patterns.csv",),
            ("visual_patterns.csv",),
            PIXMMVP_REPO,
            "c1ef6a6a4a361e544ce9c7365ddffcf4b3540b088189f765cc7ee60e9278f8ba",
        ),
        File(
            ("meta_none.txt",),
            ("meta_none.txt",),
            None,
            "ad4fe9c5d95c0d8ec5d47eb44ffe22e161eb3c28b8da7701c66bf87ce2e81a57",
            made_from="Objects.csv",
            source="`pixfound-data prepare pixmmvp`, which makes it from Objects.csv",
        ),
    ),
    folders={"MMVP Images": (300, f"https://huggingface.co/datasets/{MMVP}")},
    images=_pixmmvp_images,
    make=_make_pixmmvp,
    load=_load_pixmmvp,
    count=300,
)

PIXCVBENCH = Dataset(
    name="pixcvbench",
    repos=(CVBENCH, PIXCVBENCH_REPO),
    annotations=(
        File(
            ("CV-Bench/Objects.csv", "Objects.csv"),
            ("CV-Bench/Objects.csv", "pixcvbench/Objects.csv", "Objects.csv"),
            PIXCVBENCH_REPO,
            "e47ee51dc7cc963590934a50d7deb1ef43856d63587153670aa66b5bc7790608",
        ),
        File(
            ("ADE20K/validation/FinalSegmentations.json", "ADE20K/FinalSegmentations.json"),
            ("ADE20K/validation/FinalSegmentations.json", "ADE20K/FinalSegmentations.json"),
            PIXCVBENCH_REPO,
            "6538461659c98aa82f722825276320d9b24618e0f95f58e1f8602a90148cdebe",
        ),
        File(
            ("COCO/FinalSegmentations.json",),
            ("COCO/FinalSegmentations.json",),
            PIXCVBENCH_REPO,
            "4b348d03c4f8677ccc1b3cf03edb992d0362d30b8df9324c60dc461786f40bcb",
        ),
        File((PARQUET, JSONL), ("test_2d.parquet", "test.parquet", "test_2d.jsonl", "test.jsonl"), CVBENCH),
    ),
    folders={
        "ADE20K/validation/images": (633, _SOURCE.format(_HOSTS["ADE20K"])),
        "COCO/coco/images": (805, _SOURCE.format(_HOSTS["COCO"])),
    },
    images=_pixcvbench_images,
    make=_make_pixcvbench,
    load=_load_pixcvbench,
    count=1438,
)

DATASETS = {dataset.name: dataset for dataset in (PIXMMVP, PIXCVBENCH)}
