"""Base classes of the exchangeable components. A component overrides what it needs; the other hooks have defaults.

A config's `_target_` names the class and its other keys are the constructor's arguments. A constructor parameter
called `model`, `segmenter`, `phrases` or `judge` is filled with the run's own component of that name. Constructors are
cheap: weights are loaded at the first use, so that a finished run loads none.

Each kind of component has one method that takes many requests and returns as many results, in order. An exception in
the place of a result is the failure of that request alone. Where the method raises, the stage halves the batch until
what is left passes or is a single request, whose failure is recorded; a UserError ends the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixfound.errors import UserError
from pixfound.types import Candidate, Choice, Example, FloatArray, Generation, Kind, Phrase, Prompt, Tile
from pixfound.types.arguments import Checked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")
Point = tuple[float, float]  # (x, y) in pixels of the image
Box = tuple[float, float, float, float]  # (x0, y0, x1, y1) in pixels of the image
GenerateRequest = tuple[Image.Image, Prompt]
ExtractRequest = tuple[Image.Image, Generation, str]  # the last is the referring expression
SelectRequest = tuple[Example, Sequence[Candidate], Kind]  # the last is the kind of prompt
GradientRequest = tuple[Image.Image, str, str]  # the prompt as rendered for the processor, and the answer so far
Gradient = Literal["attention", "entropy"]  # of a layer's attention | of the next token's entropy
GradeRequest = tuple[Example, str]  # the last is the open answer


# of the stored attention: the mean row of each token | of each layer | of each head; or of a further call of the model:
# prompts of one's own | gradients of the embeddings | of the attention | its product over layers; or, stored
# where `model.lens` asks, logits of hidden states
Need = Literal["rows", "layers", "heads", "prompts", "gradients", "attention gradients", "rollout", "hidden"]


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Metadata of an example's image, given to components that read their results from files.

    stem: the stem of the image's file name, "" where it has no file. size: (H, W) in pixels. left_out: the example is
    not in this run, but files about it are no error.
    """

    stem: str
    size: tuple[int, int]
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """Requests that a run is about to send: their number, the characters of their texts, and their images."""

    requests: int = 0
    characters: int = 0
    images: int = 0

    def __add__(self, other: Load) -> Load:
        return Load(self.requests + other.requests, self.characters + other.characters, self.images + other.images)


def without_errors(outcomes: Sequence[T | Exception]) -> list[T]:
    """The results of a batch; raises the first exception among them."""
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, Exception)]


class Component(Checked):
    """Base of everything that a YAML names; its constructor checks arguments (`pixfound.types.arguments`).

    version: raised when the same options give other results, so that stored results are computed anew.
    stable_name: the name in fingerprints, "" for that of the class; it stays when a class is renamed.
    runtime_options: names of arguments that do not change results, or whose content `identity` gives.
    needs_image: False for a model or extractor that looks at no pixels; it gets a blank image of the right size.
    """

    version: ClassVar[int] = 1
    stable_name: ClassVar[str] = ""
    runtime_options: ClassVar[tuple[str, ...]] = ()
    needs_image: ClassVar[bool] = True

    def identity(self) -> Mapping[str, Any]:
        """JSON values beside the options that change exactly when the results may: weights, contents of files.

        Never a path, a device or a batch size. Of a class from outside the package the source counts as well.
        """
        return {}

    def provenance(self) -> Mapping[str, Any]:
        """JSON values recorded with the results (device, revision); a change only warns. Loads no weights."""
        return {}

    def bind_examples(self, images: Mapping[str, ImageInfo]) -> None:
        """Match files of results to the examples, by id, before anything is computed; UserError where they do not fit.

        images: by example id, those left out included.
        """

    def plan(self, load: Load) -> str:
        """One line about the most that these requests cost, "" for nothing; UserError where that is over the limit."""
        return ""

    def usage(self) -> Mapping[str, float | None]:
        """The cost so far in this process; {} where nothing is counted."""
        return {}


class Benchmark(Component, list[Example]):
    """A list of examples. Their image sources read an image on demand, as a run keeps all examples in memory.

    left_out: example id -> stem of the image, for each example that the options leave out.
    faults: (where, error) of each row that makes no example, where the options leave these out.
    """

    left_out: Mapping[str, str] = {}
    faults: Sequence[tuple[str, Exception]] = ()


class TextVectors(Protocol):
    """A vector space of short texts."""

    def vector(self, text: str) -> npt.NDArray[np.float32]:
        """(D,) the text's vector; zeros where no word is known."""


@dataclass(frozen=True, slots=True)
class BatchFit:
    """The batch size that fits in memory. each: bytes a prompt; free: bytes for all of them; None if unknown."""

    prompts: int
    each: int | None
    free: int | None
    device: str

    def about(self) -> str:
        """A clause for the user."""
        if self.each is None or self.free is None:
            return f" (two examples do not fit on {self.device})" if self.device else " (the default; nothing measured)"
        return f" ({self.each / 2**20:.1f} MiB a prompt, {self.free / 2**30:.1f} GiB for them on {self.device})"


class Model(Component):
    """A multi-modal LLM."""

    @property
    def captures(self) -> bool:
        """True if the generations carry attention."""
        return False

    @property
    def keep(self) -> str:
        """Attention kept beside the mean over layers and heads: nothing (`mean`), `layers`, or `heads` of layers."""
        return "mean"

    @property
    def offers(self) -> frozenset[Need]:
        """Needs of map sources that the model serves: kinds of stored attention, and further calls."""
        attention: dict[str, tuple[Need, ...]] = {"layers": ("layers",), "heads": ("layers", "heads")}
        stored: tuple[Need, ...] = ("rows", *attention.get(self.keep, ())) if self.captures else ()
        return frozenset((*stored, *(() if self.lens is None else ("hidden",))))

    @property
    def lens(self) -> str | Sequence[int] | None:
        """Decoder layers whose hidden states become `Generation.lens`: `last`, `all` or indices; None for none."""
        return None

    @property
    def extractions(self) -> Sequence[str]:
        """Extractions that fit a model without attention, named in errors; () where there is no telling."""
        return ()

    def weights(self) -> Mapping[str, Any]:
        """Values that identify the weights, whatever is asked of them."""
        return self.identity()

    def generate(self, requests: Sequence[GenerateRequest]) -> Sequence[Generation | Exception]:
        """Answer each (image, prompt). An answer does not depend on the rest of the batch."""
        raise NotImplementedError

    def read_prompts(self, requests: Sequence[GenerateRequest]) -> Sequence[Generation | Exception]:
        """Generations without an answer: of each prompt alone the attention of its last token, as `attention` (1, N).

        UserError where the model does not offer `prompts`.
        """
        raise UserError(f"{type(self).__name__} reads no prompts beside its answers")

    def tiles(self, image: Image.Image) -> tuple[Tile, ...]:
        """Where the image tokens lie, in pixels of the image, for answers that were stored without; () for none."""
        return ()

    def gradient_maps(
        self, requests: Sequence[GradientRequest], of: Gradient, layer: int | None = None
    ) -> Sequence[FloatArray | Exception]:
        """(N,) gradients over the image tokens where each answer stands, by one backward pass each; UserError without.

        layer: of the attention; None for the model's choice.
        """
        raise UserError(f"{type(self).__name__} gives no gradients: use a map source that reads its answers")

    def rollout_maps(self, requests: Sequence[GradientRequest]) -> Sequence[FloatArray | Exception]:
        """(N,) attention where each answer stands, rolled out over the later half of the layers; UserError without."""
        raise UserError(f"{type(self).__name__} gives no rollout: use extraction=contrast without it")

    def text_vectors(self) -> TextVectors:
        """The model's own input embeddings, read without loading the rest of the model; UserError without any."""
        raise UserError(
            f"{type(self).__name__} has no word vectors: use spaCy's, extraction.selectors.similarity.source=spacy"
        )

    def max_batch(self, requests: Sequence[GenerateRequest]) -> BatchFit | None:
        """The batch size that fits in memory for prompts like these, all of one example, by generating their answers.

        None where it cannot be measured.
        """
        return None

    def cautions(self) -> Sequence[str]:
        """Caveats of the answers that the options do not show, a line each; without loading weights."""
        return ()


class PhraseFinder(Component):
    """Finds noun phrases."""

    def phrases(self, text: str) -> list[Phrase]:
        """The noun phrases of a text, in order."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class SegmenterMasks:
    """masks: (P, K, H, W) bool, K masks for each of P prompts. scores: (P, K) the predicted IoU of each."""

    masks: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float32]


class Segmenter(Component):
    """Turns points or boxes into masks. Results are made on demand: masks of many images would fill the memory."""

    def point_masks(self, requests: Sequence[tuple[Image.Image, Sequence[Point]]]) -> Iterable[SegmenterMasks]:
        """Masks for each point alone, of each (image, points)."""
        raise NotImplementedError

    def box_masks(self, requests: Sequence[tuple[Image.Image, Sequence[Box]]]) -> Iterable[SegmenterMasks]:
        """Masks for each box alone, of each (image, boxes)."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class AttentionRows:
    """rows: (T, N) attention as an extractor reads it. shift: token t is stood for by row t + shift.

    subtracts_mean: True if the mean over all rows is taken away.
    """

    rows: FloatArray
    shift: int = 0
    subtracts_mean: bool = True


class Extractor(Component):
    """Proposes masks for a referring expression. It never sees the ground truth.

    maps_attention: True if `attention_map` shows what a candidate was extracted from.
    """

    maps_attention: ClassVar[bool] = False

    def extract(self, requests: Sequence[ExtractRequest]) -> Sequence[Sequence[Candidate] | Exception]:
        """Candidates of each (image, generation, expression), in a fixed order; none is a valid result."""
        return [self.extract_one(*request) for request in requests]

    def extract_one(self, image: Image.Image, generation: Generation, expression: str) -> Sequence[Candidate]:
        """Candidates of one request: all that an extractor needs which gains nothing from many at once."""
        return without_errors(self.extract([(image, generation, expression)]))[0]

    def lacking(self, generation: Generation) -> str:
        """The reason why an answer yields no candidate; "" where there is none to give."""
        return ""

    def attention_rows(self, generation: Generation) -> AttentionRows | None:
        """The rows that stand for the answer's tokens, for whoever shows them; None without attention."""
        return None if generation.attention is None else AttentionRows(generation.attention)

    def attention_map(self, generation: Generation, phrase: Phrase) -> FloatArray | None:
        """(H, W) the phrase's attention over the image; None where there is none."""
        return None


class MapRequest(NamedTuple):
    """One answer, and the phrases to make maps for. A phrase of span (0, 0) is not of the answer: the expression."""

    image: Image.Image
    generation: Generation
    expression: str
    phrases: Sequence[Phrase]


class MapSource(Component):
    """Where the model looked: one value for each image token, for each phrase.

    needs: what the model has to offer (`Model.offers`). needs_image: False if maps are made of the stored generation
    alone; only these are shown in figures and on the page.
    """

    needs: ClassVar[tuple[Need, ...]] = ()
    needs_image: ClassVar[bool] = False

    def maps(self, requests: Sequence[MapRequest]) -> Sequence[Sequence[FloatArray | None] | Exception]:
        """(N,) for each phrase of each request; None where it has no map. N: image tokens of the generation."""
        raise NotImplementedError

    def scores(self, values: FloatArray) -> Mapping[str, float]:
        """Scores of a map (N,), by name, which each candidate that is made of it gets; none by default."""
        return {}

    def tiles(self, request: MapRequest) -> Sequence[Tile]:
        """Where the image tokens lie."""
        return request.generation.tiles

    def attention_rows(self, generation: Generation) -> AttentionRows | None:
        """The rows that stand for the answer's tokens, for whoever shows them; None without attention."""
        return None if generation.attention is None else AttentionRows(generation.attention)

    def lacking(self, generation: Generation, phrases: Sequence[Phrase]) -> str:
        """The reason why none of these phrases has a map; "" where there is none to give."""
        return ""


class PhraseUnit(Component):
    """What a map is made for."""

    def units(self, generation: Generation, expression: str) -> list[Phrase]:
        """Phrases of the answer, in order; or the expression as a phrase of span (0, 0)."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Regions:
    """What a map points at: prompts of a segmenter, or masks (H, W). At most one of the three has entries."""

    points: Sequence[Point] = ()
    boxes: Sequence[Box] = ()
    masks: Sequence[npt.NDArray[np.bool_]] = ()


class RegionProposer(Component):
    """Turns a map into regions. proposes: the kind that it fills."""

    proposes: ClassVar[Literal["points", "boxes", "masks"]]

    def regions(self, values: FloatArray, tiles: Sequence[Tile], size: tuple[int, int]) -> Regions:
        """The regions of a map, the foremost first; none for a map without contrast.

        values: (N,) of the image tokens. tiles: where these lie. size: (H, W) of the image in pixels.
        """
        raise NotImplementedError


class Selector(Component):
    """Decides which candidate is the answer. Only the oracle reads `example.gt_mask`.

    uses_judge: True if it sends requests to the run's judge.
    """

    uses_judge: ClassVar[bool] = False

    def select(self, requests: Sequence[SelectRequest]) -> Sequence[Choice | Exception]:
        """A decision for each (example, candidates, kind of prompt)."""
        return [self.select_one(*request) for request in requests]

    def select_one(self, example: Example, candidates: Sequence[Candidate], kind: Kind) -> Choice:
        """A decision for one request: all that a selector needs which gains nothing from many at once."""
        return without_errors(self.select([(example, candidates, kind)]))[0]

    def judge_load(self, example: Example, candidates: Sequence[Candidate]) -> Load:
        """The upper limit of the requests to the judge for one decision."""
        return Load()


class Grade(NamedTuple):
    """correct: None for unscored."""

    correct: bool | None
    reason: str


class JudgeError(RuntimeError):
    """A request to the judge that failed; a later attempt may succeed."""


class Judge(Component):
    """Grades open answers. name: for the report.

    answers_questions: True if it can be asked anything, about images too. concurrency: number of `ask` at a time.
    """

    name: str
    answers_questions: ClassVar[bool] = False
    concurrency: int = 1

    def grade(self, requests: Sequence[GradeRequest]) -> Sequence[Grade | Exception]:
        """A grade for each (example, response): True if it answers the example's question correctly."""
        raise NotImplementedError

    def ask(self, system: str, question: str, images: Sequence[Image.Image] = ()) -> str:
        """The answer, never empty; raises JudgeError where the request fails."""
        raise UserError(f"the judge {self.name!r} answers no questions: use judge=openai or judge=mllm")

    def forget(self, system: str, question: str, images: Sequence[Image.Image] = ()) -> None:
        """Drop a cached reply to these arguments of `ask`, so that the request is sent again."""

    def check(self) -> None:
        """Check that requests can be sent, for a judge behind a server; raises UserError where they would fail."""


class Analysis(Component):
    """Looks at a scored run once more, and adds a part to metrics.json and report.md."""

    def compute(self, run: Any) -> Mapping[str, Any]:
        """The findings as JSON values; {} if the analysis does not apply. run: `pixfound.pipeline.run_data.RunData`.

        The key `failures` is optional: a line for each thing that another run of the same command may resolve.
        """
        raise NotImplementedError

    def sections(self, results: Mapping[str, Any]) -> list[str]:
        """Blocks of Markdown about the results of `compute`; never called with {}. Escapes text of models and data."""
        return []

    def charts(self, results: Mapping[str, Any]) -> Mapping[str, Figure]:
        """Name -> chart, written beside report.md as NAME.png and NAME.svg, shown below `sections`; never for {}."""
        return {}


class Tracker(Component):
    """Publishes a finished run."""

    def log(self, result: Any, run: Any) -> None:
        """Called once, on the first process, after the run's report is written.

        result: `pixfound.pipeline.results.Result`. run: `pixfound.pipeline.run_data.RunData`.
        """
        raise NotImplementedError
