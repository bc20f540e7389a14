"""A model that is asked about single pictures: the components of a run, without its records and scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
from PIL import Image

from pixfound.apps.ask.reply import Reply
from pixfound.apps.run import Run
from pixfound.config.factory import Parts, build, build_parts
from pixfound.errors import UserError
from pixfound.interfaces import Benchmark, Extractor, without_errors
from pixfound.io.images import as_rgb, pixel_hash
from pixfound.pipeline.run_data import RunData
from pixfound.pipeline.run_examples import RunExample, RunExamples
from pixfound.pipeline.score import chosen_mask
from pixfound.pipeline.stores import Stores
from pixfound.scoring.metrics import Scoring
from pixfound.scoring.scores import Score
from pixfound.scoring.table import ScoreTableBuilder
from pixfound.types import Candidate, Choice, Example, Generation, ImageSource, Kind
from pixfound.types.masks import RLE, BoolMask

Chooser = Literal["similarity", "attention", "judge"]
CHOOSERS: tuple[Chooser, ...] = ("similarity", "attention", "judge")
_NO_TRUTH = "asked, not evaluated"


@dataclass(frozen=True, slots=True)
class PictureGiven(ImageSource):
    """A picture in memory, RGB."""

    picture: Image.Image

    def load(self) -> Image.Image:
        """The picture itself."""
        return self.picture

    def digest(self) -> str:
        """SHA-256 of its pixels."""
        return str(pixel_hash(self.picture).hexdigest())


class Question(Example):
    """A question about a picture without any ground truth: no answer is right, and no mask.

    Asked openly where there is a question, and for the grounding of the expression where that is not the question.
    """

    __slots__ = ()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds of prompt to ask."""
        open_kind: tuple[Kind, ...] = ("open",) if self.question else ()
        return (*open_kind, "ground") if self.expression != self.question else open_kind

    @property
    def absent(self) -> bool:
        """False: nobody knows."""
        return False

    @property
    def annotated(self) -> bool:
        """False: there is no ground truth."""
        return False

    def _faults(self) -> Iterator[str]:
        if not self.expression.strip():
            yield "ask a question, or give an expression"


@dataclass(frozen=True)
class AskedData(RunData):
    """A run of one example whose records are in memory."""

    replies: Mapping[Kind, Reply]

    def answer(self, run_example: RunExample, kind: Kind) -> Generation | None:
        """The model's answer."""
        return self.generation(run_example, kind)

    def generation(self, run_example: RunExample, kind: Kind) -> Generation | None:
        """The model's answer with its attention."""
        return self.replies[kind].generation if kind in self.replies else None

    def candidates(self, run_example: RunExample, kind: Kind, extractor: str) -> list[Candidate] | None:
        """The candidates, in their order."""
        return list(self.replies[kind].candidates) if kind in self.replies else None

    def choice(self, run_example: RunExample, kind: Kind, row: str) -> Choice | None:
        """The choice among them."""
        return self.replies[kind].choice if kind in self.replies else None

    def scores_of(self, run_example: RunExample) -> list[Score]:
        """What was said and chosen, unscored."""
        return list(_unscored(run_example, self.replies, self.parts))


@dataclass(frozen=True)
class Asked:
    """A picture, what was asked about it, and the replies by kind of prompt: `open`, `ground`.

    run: the same as a run of one example, for its masks and attention.
    """

    picture: Image.Image
    question: str
    expression: str
    replies: Mapping[Kind, Reply]
    run: Run

    @property
    def main_kind(self) -> Kind:
        """The grounding prompt; the question where there is no expression."""
        return "ground" if "ground" in self.replies else "open"

    @property
    def main(self) -> Reply:
        """The reply to that."""
        return self.replies[self.main_kind]

    @property
    def text(self) -> str:
        """The answer to the question, or what was said of the expression where there is no question."""
        return next(iter(self.replies.values())).text

    @property
    def phrases(self) -> list[str]:
        """The phrases of the main reply that have masks."""
        return [phrase.text for phrase in self.main.phrases]

    @property
    def mask(self) -> BoolMask | None:
        """(H, W) the chosen mask of the main reply; None where none was chosen."""
        return self.main.mask

    def sheet(self) -> Image.Image:
        """A line for each phrase: attention, masks, overlay; the chosen one framed."""
        from pixfound.apps.ask.answer_sheet import draw_answers

        extractor = next(iter(self.run.data.parts.extractors.values())).built
        texts: dict[Kind, str] = {"open": self.question, "ground": self.expression}
        return draw_answers(self.picture, texts, self.replies, extractor)

    def _repr_png_(self) -> bytes:
        import io

        packed = io.BytesIO()
        self.sheet().save(packed, "PNG")
        return packed.getvalue()


class Asker:
    """The model, extractor and selector of a config: loaded at the first question, and kept for the next.

    choose: by `similarity` of the phrase to the expression; by `attention`, the mask that holds most of its phrase's
    attention for its size; by a `judge` who sees the masks, in rounds of twelve (extraction=automatic). None for the
    extraction's own, which is similarity where masks come from phrases.
    """

    def __init__(self, config: Mapping[str, Any], choose: Chooser | None = None) -> None:
        parts = build_parts({**config, "benchmark": {"_target_": f"{__name__}.Nothing"}, "analyses": {}})
        self._names, self._scoring = config["names"], build(config["scoring"], "scoring", Scoring).built
        row, extractor, selector = _row(parts, choose)
        self._extractor_name, self._row, self._by_attention = extractor, row, choose == "attention"
        self._selector = None if choose == "attention" else parts.selectors[selector].built
        self._parts = replace(
            parts, extractors={extractor: parts.extractors[extractor]}, rows={row: (extractor, selector)}
        )

    def ask(self, picture: Image.Image, question: str = "", expression: str = "") -> Asked:
        """Ask the question, and for the grounding of the expression where one is given.

        Without an expression phrases are compared to the question. Raises UserError where neither is given, and what
        the model, the extractor or the judge raises.
        """
        question, expression, picture = question.strip(), expression.strip(), as_rgb(picture)
        size = (picture.height, picture.width)
        example = Question(
            "picture", PictureGiven(picture), question, (), None, expression or question, RLE.empty(size), named=False
        )
        examples = RunExamples(Nothing([example]), self._parts.prompts.built)
        replies = self._replies(examples[0], picture)
        scores = ScoreTableBuilder()
        for score in _unscored(examples[0], replies, self._parts):
            scores.add(score)
        stores = cast(Stores, None)  # everything is in the replies
        data = AskedData(examples, self._parts, stores, self._scoring, scores.table(), replies)
        metrics = {**self._scoring.metrics(data.scores), "analyses": {}}
        names = {**self._names, "benchmark": "a picture"}
        return Asked(picture, question, expression, replies, Run(data, names, metrics))

    def _replies(self, item: RunExample, picture: Image.Image) -> dict[Kind, Reply]:
        kinds, extractor = item.example.kinds, self._extractor
        generations = without_errors(self._parts.model.built.generate([(picture, item.prompt(kind)) for kind in kinds]))
        candidates = without_errors(
            extractor.extract([(picture, generation, item.example.expression) for generation in generations])
        )
        if self._selector is None:
            choices = [by_attention(g, c, extractor) for g, c in zip(generations, candidates, strict=True)]
        else:
            requests = [(item.example, of_kind, kind) for kind, of_kind in zip(kinds, candidates, strict=True)]
            choices = without_errors(self._selector.select(requests))
        replies = map(Reply, generations, candidates, choices)
        return dict(zip(kinds, replies, strict=True))

    @property
    def _extractor(self) -> Extractor:
        return self._parts.extractors[self._extractor_name].built


class Nothing(Benchmark):
    """A benchmark without examples, in the place of one that a config would name."""


def by_attention(generation: Generation, candidates: Sequence[Candidate], extractor: Extractor) -> Choice:
    """The candidate that holds most of its phrase's attention for its size.

    That is the share of the attention above the answer's mean that lies inside, minus the share of the picture.
    `missing` where no candidate has a phrase with a map.
    """
    maps = {
        phrase: extractor.attention_map(generation, phrase)
        for phrase in {c.phrase for c in candidates if c.phrase is not None}
    }
    found: list[tuple[float, int]] = []
    for index, candidate in enumerate(candidates):
        heat = None if candidate.phrase is None else maps[candidate.phrase]
        if heat is not None:
            strength, mask = np.clip(heat, 0, None), candidate.mask.decode()
            total = float(strength.sum())
            found.append(((float(strength[mask].sum()) / total if total else 0.0) - float(mask.mean()), -index))
    if not found:
        return Choice("missing", reason="no phrase with attention")
    concentration, index = max(found)
    return Choice("candidate", -index, f"attention {concentration:.3f} more than by its size")


def _row(parts: Parts, choose: Chooser | None) -> tuple[str, str, str]:
    """(row, extractor, selector) by the name of who chooses."""
    rows = {row: pair for row, pair in parts.rows.items() if pair[1] != "oracle"}
    if choose == "judge":
        rows = {row: pair for row, pair in rows.items() if parts.selectors[pair[1]].built.uses_judge}
    elif choose == "similarity":
        rows = {row: pair for row, pair in rows.items() if pair[1] == "similarity"}
    elif choose == "attention":
        mapped = next((name for name, part in parts.extractors.items() if part.built.maps_attention), None)
        rows = {} if mapped is None else {"attention": (mapped, "attention")}
    if not rows:
        raise UserError(f"nothing can be chosen by {choose} here: take another, or another extraction")
    row, (extractor, selector) = next(iter(rows.items()))
    return row, extractor, selector


def _unscored(item: RunExample, replies: Mapping[Kind, Reply], parts: Parts) -> Iterator[Score]:
    example = item.example

    def score(kind: Kind, row: str | None, **values: Any) -> Score:
        return Score(item.key(kind), example.id, None, kind, row, {}, False, named=False, **values)

    for kind, reply in replies.items():
        prompt = reply.generation.prompt or None
        yield score(kind, None, response=reply.text, prompt=prompt, reason=_NO_TRUTH)
    for kind, reply in replies.items():
        mask = chosen_mask(reply.choice.kind, reply.chosen, example)
        about = {"choice": reply.choice.kind, "index": reply.choice.index, "reason": reply.choice.reason}
        for row in parts.rows:
            yield score(kind, row, shown=mask.area > 0, **about)
