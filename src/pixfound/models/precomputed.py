"""Predictions of another program, read from files: for models that do not run here, and for the paper's own outputs.

Files are joined with the examples by id. The images are not read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import ImageInfo, Model, TextVectors
from pixfound.io.grayscale_masks import Grey
from pixfound.io.predictions.masks import Resize
from pixfound.io.predictions.naming import MASK_NAMES, Owners, names_in
from pixfound.io.predictions.prediction_set import Given, Missing, Reading
from pixfound.types import KINDS, Generation, Kind, Prompt

Paths = Mapping[Kind, str | None]


class Precomputed(Model):
    """A model whose answers and masks are read from files.

    The first four arguments map a kind of prompt (open, choice, ground) to a path.
    answers: JSON lines or a table, see `pixfound.io.predictions.texts.read_answers`; places are read from those to the
        grounding prompt where it has no masks and no candidates (extraction=text_box).
    masks: a folder of one mask image per example, named by `names`; or a COCO results file, whose masks of an image
        are united.
    candidates: a folder of mask images {number or stem}_{phrase:03d}_{mask:03d}.png; or a COCO results file, each mask
        a candidate. For extraction=precomputed.
    meta: the candidates' phrases, see `pixfound.io.predictions.texts.read_meta`.
    names: patterns for `masks`, tried in order; the fields are {id}, {number} and {stem} of the image's file.
    offset: added to the answers' `question_id`.
    missing: for an example without a file, `error` before anything is computed, `unscored`, or an `empty` prediction.
        A candidate whose phrase has no line in `meta` has a mask without a phrase, except with `error`.
    resize: for a mask of another size than the image, `error`, `nearest`, or `linear` as in the paper's code.
    grey: the inside of a grayscale mask: values above the `threshold` of 127, or `levels`, see
        `pixfound.io.grayscale_masks`.
    least_score: entries of a results file of `masks` with a lower score are not shown; None takes all.
    """

    version = 4
    needs_image = False
    runtime_options = ("answers", "masks", "candidates", "meta")  # paths; `identity` has digests of their content

    def __init__(
        self,
        answers: Paths | None = None,
        masks: Paths | None = None,
        candidates: Paths | None = None,
        meta: Paths | None = None,
        names: Sequence[str] = MASK_NAMES,
        offset: int = 0,
        missing: Missing = "error",
        resize: Resize = "error",
        grey: Grey = "threshold",
        least_score: float | None = None,
    ) -> None:
        paths_by_argument = {"answers": answers, "masks": masks, "candidates": candidates, "meta": meta}
        self._paths: dict[str, dict[Kind, Path]] = {
            argument: {kind: Path(path).expanduser() for kind, path in (paths or {}).items() if path}
            for argument, paths in paths_by_argument.items()
        }
        if not any(self._paths.values()):
            raise UserError(
                "model=precomputed: give predictions, as model.masks.ground=DIR extraction=precomputed_masks, "
                "model.candidates.ground=DIR extraction=precomputed, or model.answers.open=FILE extraction=trivial"
            )
        for kind in self._paths["meta"]:
            if kind not in self._paths["candidates"]:
                raise UserError(f"model.meta.{kind}: describes candidates; give their folder, model.candidates.{kind}")
        self._reading = Reading(tuple(names), offset, missing, resize, grey, least_score)
        self._predictions: dict[Kind, Given] = {}

    @property
    def extractions(self) -> tuple[str, ...]:
        """Extractions that fit the given kinds of files."""
        masks, candidates = bool(self._paths["masks"]), bool(self._paths["candidates"])
        fitting = masks * ("precomputed_masks",) + candidates * ("precomputed", "precomputed_selected")
        written = ("text_box", "text_point") if "ground" in self._paths["answers"] else ("trivial",)
        return fitting or written

    def bind_examples(self, images: Mapping[str, ImageInfo]) -> None:
        """Join every file with the examples; masks are decoded later, one by one. images: by example id."""
        owners = Owners(images)
        for kind in KINDS:
            paths = {argument: path_of[kind] for argument, path_of in self._paths.items() if kind in path_of}
            self._predictions[kind] = Given(kind, paths, self._reading, owners)

    def generate(self, requests: Sequence[tuple[Image.Image, Prompt]]) -> list[Generation]:
        """Generations read from the files, in order; ValueError for an image that cannot be read as a mask."""
        return [
            self._predictions[prompt.kind].generation(prompt.example_id, (image.height, image.width))
            for image, prompt in requests
        ]

    def has_candidate(self, kind: Kind, id: str, name: str) -> bool:
        """Return True where `candidates` of a kind of prompt hold a file with this name for an example."""
        return self._predictions[kind].has_candidate(id, name)

    def text_vectors(self) -> TextVectors:
        """Raise UserError: files have no embeddings."""
        raise UserError(
            "model=precomputed has no word vectors: choose by the similarity that came with the candidates "
            "(extraction.selectors.similarity.source=given), or by spaCy's (source=spacy)"
        )

    def identity(self) -> Mapping[str, Any]:
        """Digest of the names and contents of the files, by argument and kind of prompt; their folder is left out."""
        return {f"{argument}.{kind}": digest for (argument, kind), digest in self._digests.items()}

    @cached_property
    def _digests(self) -> dict[tuple[str, str], str]:
        digests: dict[tuple[str, str], str] = {}
        for argument, paths in self._paths.items():
            for kind, path in paths.items():
                if argument in ("answers", "meta") and not path.exists():
                    raise UserError(
                        f"model.{argument}.{kind}={path}: there is no such file; give the one that holds them"
                    )
                digest = hashlib.sha256()
                names = [""] if path.is_file() else sorted(names_in(path, f"model.{argument}.{kind}"))
                for name in names:
                    digest.update(f"{name}\0".encode())
                    with (path / name if name else path).open("rb") as file:
                        digest.update(hashlib.file_digest(file, "sha256").digest())
                digests[argument, kind] = digest.hexdigest()
        return digests
