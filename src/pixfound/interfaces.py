"""Protocols of the exchangeable components: a component is any class with these methods.

A config's `_target_` names the class and its other keys are the constructor's arguments. A constructor parameter
called `model`, `segmenter`, `phrases` or `judge` is filled with the run's own component of that name. Constructors are
cheap: weights are loaded at the first use, so that a finished run loads none.

A class may have `version` (default 1), which is raised when the same options give other results, so that stored results
are computed anew. Fingerprints hold the name of a class, or its older name in `stable_name`; of a class from outside
the package also a hash of its source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixfound.types import Candidate, Choice, Example, Generation, Kind, Phrase, Prompt


def batched(component: object, many: str, one: str) -> Callable[[Sequence[Any]], Any] | None:
    """The batched method `many` of a component; None where it has only `one`, which takes a single request.

    Batched methods are `generate_many` of a model (whose requests may fail one by one), `candidates_many` of an
    extractor, `masks_many` and `box_masks_many` of a segmenter (iterators: masks are large), `choose_many` of a
    selector and `grade_many` of a judge. Each takes a list of requests of the single method, and gives the results in
    order; where the stage allows it, an exception takes the place of a failed result. Also None where a subclass
    overrides `one` alone, because the inherited batched method would not call it.
    """
    for cls in type(component).__mro__:
        if many in vars(cls):
            return cast(Callable[[Sequence[Any]], Any], getattr(component, many))
        if one in vars(cls):
            break
    return None


Benchmark = Sequence[Example]  # image sources read an image on demand, as a run keeps all examples in memory


@runtime_checkable
class Identified(Protocol):
    """A component whose results depend on more than its config: on weights, or on an installed model."""

    # A component may also have `runtime_options`, the names of arguments that do not change its results. A model or
    # extractor with `needs_image = False` gets a blank image of the right size, and no image is read. A benchmark may
    # have `left_out`: example id -> stem of the image, for each example that its options leave out.

    def identity(self) -> Mapping[str, Any]:
        """JSON values that change exactly when the results may; never a path, a device or a batch size."""


@runtime_checkable
class Described(Protocol):
    """A component that records its environment (device, dtype, revision) with its results; a change only warns."""

    def provenance(self) -> Mapping[str, Any]:
        """JSON values, without loading weights."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Metadata of an example's image, given to components that read their results from files.

    stem: the stem of the image's file name, "" where it has no file. size: (H, W) in pixels. left_out: the example is
    not in this run, but files about it are no error.
    """

    stem: str
    size: tuple[int, int]
    left_out: bool = False


@runtime_checkable
class Indexed(Protocol):
    """A model or selector that reads its results from files, matched to the examples before anything is computed."""

    def index(self, images: Mapping[str, ImageInfo]) -> None:
        """Match the files to the examples by id, those left out included; raises UserError where they do not fit."""


class Model(Protocol):
    """A multi-modal LLM. A model that never captures attention may list in `extractions` the extractors that fit it."""

    @property
    def captures(self) -> bool:
        """True if the generations carry attention."""

    def generate(self, requests: Sequence[tuple[Image.Image, Prompt]]) -> list[Generation]:
        """Answer a batch, in order. Generation does not depend on the rest of the batch."""

    def vectors(self) -> TextVectors:
        """The model's own input embeddings, read without loading the rest of the model."""


@dataclass(frozen=True, slots=True)
class BatchFit:
    """The batch size that fits in memory. each: bytes a prompt; free: bytes for all of them; None if unknown."""

    prompts: int
    each: int | None
    free: int | None
    device: str

    def about(self) -> str:
        """A clause for the user; "" where nothing was measured."""
        if self.each is None or self.free is None:
            return f" (two examples do not fit on {self.device})" if self.device else " (the default; nothing measured)"
        return f" ({self.each / 2**20:.1f} MiB a prompt, {self.free / 2**30:.1f} GiB for them on {self.device})"


@runtime_checkable
class Fitting(Protocol):
    """A model that can measure the batch size that fits in memory."""

    def fit(self, requests: Sequence[tuple[Image.Image, Prompt]]) -> BatchFit:
        """Measure the batch size for prompts like these, all of one example, by generating their answers."""


@runtime_checkable
class Cautioned(Protocol):
    """A model whose answers have caveats that its options do not show."""

    def cautions(self) -> Sequence[str]:
        """Lines for the console, printed before the first generation; without loading weights."""


class PhraseFinder(Protocol):
    """Finds noun phrases."""

    def phrases(self, text: str) -> list[Phrase]:
        """The noun phrases of a text, in order."""


@dataclass(frozen=True, slots=True)
class SegmenterMasks:
    """masks: (P, K, H, W) bool, K masks for each of P prompts. scores: (P, K) the predicted IoU of each."""

    masks: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float32]


class Segmenter(Protocol):
    """Turns points or boxes into masks."""

    def masks(self, image: Image.Image, points: Sequence[tuple[float, float]]) -> SegmenterMasks:
        """Masks for each point alone; (x, y) in pixels of the image."""

    def box_masks(self, image: Image.Image, boxes: Sequence[tuple[float, float, float, float]]) -> SegmenterMasks:
        """Masks for each box alone; (x0, y0, x1, y1) in pixels of the image."""


class Extractor(Protocol):
    """Proposes masks for a referring expression. It never sees the ground truth."""

    def candidates(self, image: Image.Image, generation: Generation, expression: str) -> list[Candidate]:
        """The candidates in a fixed order; an empty list is a valid result."""


@runtime_checkable
class ExplainsNothing(Protocol):
    """An extractor that gives a reason when an answer yields no candidate."""

    def lacking(self, generation: Generation) -> str:
        """The reason; "" where there is none."""


class Selector(Protocol):
    """Decides which candidate is the answer. Only the oracle reads `example.gt_mask`."""

    def choose(self, example: Example, candidates: Sequence[Candidate]) -> Choice:
        """A decision for one example."""


@runtime_checkable
class ChoosesByKind(Protocol):
    """A selector whose input differs for each kind of prompt."""

    def choose_for(self, kind: Kind, example: Example, candidates: Sequence[Candidate]) -> Choice:
        """A decision for one example under one kind of prompt, in place of `choose`."""


class TextVectors(Protocol):
    """A vector space of short texts."""

    def vector(self, text: str) -> npt.NDArray[np.float32]:
        """(D,) the text's vector; zeros where no word is known."""


class Judge(Protocol):
    """Grades a free answer."""

    name: str

    def grade(self, example: Example, response: str) -> tuple[bool | None, str]:
        """(verdict, reason): True if the response answers the example's question correctly; None for unscored."""


@runtime_checkable
class Asker(Protocol):
    """A judge that answers any question, about images too."""

    def ask(self, system: str, question: str, images: Sequence[Image.Image] = ()) -> str:
        """The answer, never empty; raises `pixfound.judges.asking.JudgeError` where the request fails."""


@runtime_checkable
class Forgets(Protocol):
    """A judge that caches its replies on disk, and can drop one."""

    def forget(self, system: str, question: str, images: Sequence[Image.Image] = ()) -> None:
        """Drop the cached reply to these arguments of `ask`, so that the request is sent again."""


@dataclass(frozen=True, slots=True)
class Load:
    """The requests that a run is about to send to a judge: their number, the characters of their texts, and images."""

    requests: int = 0
    characters: int = 0
    images: int = 0

    def __add__(self, other: Load) -> Load:
        return Load(self.requests + other.requests, self.characters + other.characters, self.images + other.images)


@runtime_checkable
class Metered(Protocol):
    """A judge, or a model, that costs something."""

    def plan(self, load: Load) -> str:
        """One line about the most that these requests cost; raises UserError where that is over the limit."""

    def usage(self) -> Mapping[str, float | None]:
        """The cost so far, in this process."""


@runtime_checkable
class Remote(Protocol):
    """A judge behind a server, which may be down or need a key."""

    def check(self) -> None:
        """Check that requests can be sent; raises UserError where they would fail."""


@runtime_checkable
class AsksJudge(Protocol):
    """A selector that sends requests to the run's judge."""

    def load(self, example: Example, candidates: Sequence[Candidate]) -> Load:
        """The upper limit of the requests of one choice."""


class JudgeError(RuntimeError):
    """A request to the judge that failed; a later attempt may succeed."""
