"""The one reader of a run: its examples, their records by stage, and its scores."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pixfound.config.factory import Fingerprints, Part, Parts, build, build_parts, fingerprints
from pixfound.config.settings import Settings
from pixfound.errors import UserError
from pixfound.extractors.attention_maps import resized_tiles
from pixfound.io.fingerprints import fingerprint
from pixfound.pipeline.run_examples import RunExample, RunExamples
from pixfound.pipeline.run_folder import read_config, read_metrics, read_scores
from pixfound.pipeline.score import answers_of, chosen_mask, scores_of
from pixfound.pipeline.stores import Stores, open_stores
from pixfound.scoring.conventions import Conventions
from pixfound.scoring.metrics import Scoring
from pixfound.scoring.scores import Score
from pixfound.scoring.table import ScoreTableBuilder, Table
from pixfound.store.checksums import refuse_changed
from pixfound.store.records import candidates_of, has_arrays, unpack_generation
from pixfound.store.store import DamagedArrays
from pixfound.types import Candidate, Choice, Generation, Kind
from pixfound.types.masks import RLE

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunData:
    """A finished run. examples: in the order of the benchmark. scores: as numbers, in which an example's index is its
    number.

    Every other reader gives None where the stage failed or was never asked. kind: of the prompt. row: of the table.
    Nothing that is read is kept.
    """

    examples: Sequence[RunExample]
    parts: Parts
    stores: Stores
    conventions: Conventions
    scores: Table

    @classmethod
    def open(cls, folder: str | Path) -> RunData:
        """A finished run by its folder, for notebooks: `RunData.open("outputs/runs/...")`.

        Relative paths in its config are those of the folder that its command was given in. Raises UserError where the
        run cannot be read, or where data, weights or the package have changed since: its records are then others'.
        """
        folder = Path(folder).resolve()
        refuse_changed(folder)
        config = read_config(folder)
        settings, parts = Settings.from_config(config), build_parts(config)
        scoring = build(config["scoring"], "scoring", Scoring)
        examples = RunExamples(parts.benchmark.built, parts.prompts.built, settings.limit)
        prints = fingerprints(parts)
        outputs = next((path for path in folder.parents if (path / "stages").is_dir()), None)
        run_digest = run_fingerprint(examples, parts, prints, scoring, settings)
        if outputs is None or run_digest != read_metrics(folder)["fingerprint"]:
            raise UserError(
                f"{folder}: its records are gone, or its data, weights or the package have changed since; run the "
                "evaluation again"
            )
        stores = open_stores(parts, prints, outputs)
        for store in stores.all():
            store.read()
        scores = ScoreTableBuilder(parts.rows)
        for score in read_scores(folder):
            scores.add(score)
        return cls(examples, parts, stores, scoring.built, scores.table())

    def answer(self, run_example: RunExample, kind: Kind) -> Generation | None:
        """The model's answer: text, token spans, native masks; without its attention."""
        record = self.stores.generation_of(run_example, kind)
        return None if record is None or record.value is None else unpack_generation(record.value, {})

    def generation(self, run_example: RunExample, kind: Kind) -> Generation | None:
        """The same with the attention that was captured; raises DamagedArrays or OSError where that cannot be read."""
        record = self.stores.generation_of(run_example, kind)
        if record is None or record.value is None:
            return None
        arrays = self.stores.generate.arrays(record) if has_arrays(record.value) else {}
        return unpack_generation(record.value, arrays)

    def candidates(self, run_example: RunExample, kind: Kind, extractor: str) -> list[Candidate] | None:
        """The candidates of an extractor, in their order."""
        record = self.stores.candidates_of(run_example, kind, extractor)
        return None if record is None or record.value is None else candidates_of(record)

    def choice(self, run_example: RunExample, kind: Kind, row: str) -> Choice | None:
        """Return the decision of the row's selector; None if there is no record or the record is a failure."""
        record = self.stores.choice_of(run_example, kind, self.parts.rows[row])
        return None if record is None or record.value is None else Choice(**record.value)

    def chosen(self, run_example: RunExample, kind: Kind, row: str) -> Candidate | None:
        """The candidate that the row chose; None too where it chose none."""
        choice = self.choice(run_example, kind, row)
        candidates = self.candidates(run_example, kind, self.parts.rows[row][0])
        return None if not candidates or choice is None or choice.index is None else candidates[choice.index]

    def mask(self, run_example: RunExample, kind: Kind, row: str) -> RLE | None:
        """The mask that the row shows, empty where it shows nothing; None too where no decision could be had."""
        choice = self.choice(run_example, kind, row)
        if choice is None or choice.kind == "unscored":
            return None
        chosen = self.chosen(run_example, kind, row)
        if choice.kind == "candidate" and chosen is None:  # the choice is older than candidates that could not be had
            return None
        return chosen_mask(choice.kind, chosen, run_example.example)

    def attention(
        self, run_example: RunExample, kind: Kind, row: str, size: tuple[int, int] | None = None
    ) -> npt.NDArray[np.float32] | None:
        """(H, W) attention of the phrase whose mask the row chose; None too where its mask comes from no attention.

        size: (H, W) of the map; the image's by default. What cannot be read is warned about, and None.
        """
        extractor = self.parts.extractors[self.parts.rows[row][0]].built
        chosen = self.chosen(run_example, kind, row)
        if not extractor.maps_attention or chosen is None or chosen.phrase is None:
            return None
        try:
            generation = self.generation(run_example, kind)
        except (DamagedArrays, OSError) as error:  # the scores do not need them any more
            log.warning("%s", error)
            return None
        if generation is None or generation.attention is None:
            return None
        return extractor.attention_map(resized(generation, size or generation.image_size), chosen.phrase)

    def scores_of(self, run_example: RunExample) -> list[Score]:
        """The scores of an example: of its answers first, then of the rows of the table in order."""
        return list(scores_of(run_example, self.parts, self.stores, self.conventions))

    def answer_scores(self, run_example: RunExample) -> list[Score]:
        """The first of them: those of its answers."""
        return list(answers_of(run_example, self.stores, self.conventions))


def run_fingerprint(
    run_examples: RunExamples, parts: Parts, prints: Fingerprints, scoring: Part[Scoring], settings: Settings
) -> str:
    """Everything that can change what the run's folder holds."""
    return fingerprint(
        examples=run_examples.digest,
        rows={row: prints.select[pair] for row, pair in parts.rows.items()},
        grade=prints.grade,
        scoring=scoring.identity(),
        analyses={key: part.identity() for key, part in parts.analyses.items()},
        pictures=settings.pictures,
        charts=settings.charts,
    )


def resized(generation: Generation, size: tuple[int, int]) -> Generation:
    """A generation about its image at another size (H, W)."""
    return replace(generation, tiles=resized_tiles(generation.tiles, generation.image_size, size), image_size=size)
