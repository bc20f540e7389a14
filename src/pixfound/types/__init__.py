"""Data types passed between components: frozen, plain, the same for every model.

Frame: image pixels, origin at the left top corner, x to the right, y down; points are (x, y), boxes are
(x0, y0, x1, y1). Legend of shapes: `T` generated tokens, `N` image tokens, `H` x `W` image pixels.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixfound.errors import UserError
from pixfound.types.layer_attention import LayerAttention
from pixfound.types.lens import Lens
from pixfound.types.masks import RLE
from pixfound.types.option_letters import MOST_OPTIONS, letter

Kind = Literal["open", "choice", "ground"]
MaskKind = Literal["open", "ground"]  # the choice prompt is answered by a letter
KINDS: tuple[Kind, ...] = ("open", "choice", "ground")
Grading = Literal["exact", "vqa", "anls", "relaxed"]
FloatArray = npt.NDArray[np.float32]


class ImageSource:
    """An image that is loaded on demand."""

    __slots__ = ()

    def load(self) -> Image.Image:
        """The image as RGB; raises OSError where it is missing or corrupt."""
        raise NotImplementedError

    def digest(self) -> str:
        """A hash of the content, independent of where it is stored."""
        raise NotImplementedError

    @property
    def location(self) -> str:
        """Path of the image's file; "" where it has none."""
        return ""

    @property
    def is_turned(self) -> bool:
        """True if the image is turned as its EXIF orientation says."""
        return False


@dataclass(frozen=True, slots=True)
class Example:
    """One image with a question, a referring expression and their ground truth.

    id: unique in its benchmark. pair_id: shared by the two examples of a pair; None without pairs.
    question: "" where nothing but the expression is asked. options: the answer options, in the order of the letters;
    () where answers are free. answer: index of the correct option; None without options.
    expression: refers to an object; "" (and not `named`) where only the question is asked.
    gt_mask: mask of the object that `expression` refers to; of area 0 where it is absent from the image.
    objects: a mask for each annotated object of the image, the referred one included; () if unknown.
    instances: a mask for each object that the expression refers to, where it may be several; `gt_mask` is their union.
        () if only the union is annotated. other_instances: those of each further annotator, () for one who found none.
    boxes: annotated boxes (x0, y0, x1, y1) of what is referred to, in fractions of pixels; () if only masks are.
    ignore: mask of pixels that no score looks at; None for none.
    count: number of objects to point at, where the question is one of counting; None for other questions.
    tags: category names, e.g. {"category": "colour"}.
    labels: index of the correct option by version of the benchmark's labels; {} where there is one version.
    named: True if the benchmark names an object to show; else the mask is empty without much meaning.
    answers: accepted answers to a question without options, as annotated, repeated where annotators agree.
    grading: the rule by which a free answer is compared with them (`pixfound.judges.free_answers`).
    Raises UserError for an example that cannot be scored: empty texts, equal options, or more options than letters.
    """

    id: str
    image: ImageSource
    question: str
    options: tuple[str, ...]
    answer: int | None
    expression: str
    gt_mask: RLE
    pair_id: str | None = None
    objects: tuple[RLE, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    named: bool = True
    instances: tuple[RLE, ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    ignore: RLE | None = None
    count: int | None = None
    answers: tuple[str, ...] = ()
    grading: Grading = "exact"
    other_instances: tuple[tuple[RLE, ...], ...] = ()

    def __post_init__(self) -> None:
        fault = next(chain(self._faults(), self._faults_of_options()), None)
        if fault:
            raise UserError(f"example {self.id}: {fault}")

    def _faults(self) -> Iterator[str]:
        """Reasons why the example cannot be scored, apart from those of its options."""
        if self.options and not 2 <= len(self.options) <= MOST_OPTIONS:
            yield f"a question needs 2 to 26 options, a letter for each, not {len(self.options)}"
        has_question = bool(self.options or self.answers)
        if has_question and not self.question.strip():
            yield "the question is empty"
        if not self.expression.strip() and (self.named or self.expression or not has_question):
            yield "the expression is empty"
        if self.question and not has_question:
            yield "a question without options needs accepted answers"
        if self.answers and self.options:
            yield "accepted answers stand beside options; it has one of the two"
        if not all(answer.strip() for answer in self.answers):
            yield "an accepted answer is empty"
        others = chain.from_iterable(self.other_instances)
        for mask in (*self.instances, *others, *(() if self.ignore is None else (self.ignore,))):
            if mask.size != self.gt_mask.size:
                yield f"has masks of sizes {self.gt_mask.size} and {mask.size}, (H, W)"

    def _faults_of_options(self) -> Iterator[str]:
        plain = [_plain(option) for option in self.options]
        for place, option in enumerate(plain):
            first = plain.index(option)
            if not option:
                yield f"option {letter(place)} is empty"
            if first != place:
                yield f"the options {letter(first)} and {letter(place)} are equal ({option!r})"
        for answer in (self.answer, *self.labels.values()):
            if (answer is None) if self.options else (answer is not None):
                yield f"answer {answer} needs options, and options an answer"
            elif answer is not None and not 0 <= answer < len(self.options):
                yield f"answer {answer} is no index into {self.options}"

    @property
    def annotated(self) -> bool:
        """True if there is a ground truth; False for a picture that is only asked about."""
        return True

    @property
    def absent(self) -> bool:
        """True if the referred object is not in the image."""
        return self.gt_mask.area == 0 and bool(self.expression)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds of prompt to ask: `open` needs a question, `choice` options, `ground` an expression."""
        available = {"open": bool(self.question), "choice": bool(self.options), "ground": bool(self.expression)}
        return tuple(kind for kind in KINDS if available[kind])

    @property
    def right_answer(self) -> str:
        """The text of the correct option, or the accepted answer that most annotators gave; "" without a question."""
        if self.answer is not None:
            return self.options[self.answer]
        return max(self.answers, key=self.answers.count, default="")


def _plain(option: str) -> str:
    """An option normalised as in grading: lower case, single spaces, no punctuation at its end."""
    text = " ".join(unicodedata.normalize("NFKC", option).casefold().split())
    return text.rstrip(" .,;:") or text


@dataclass(frozen=True, slots=True)
class Prompt:
    """The prompt of one kind for one example. variant: label of the template ids."""

    example_id: str
    kind: Kind
    variant: str
    text: str


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of image tokens and the region of the image that it covers.

    first: index of its top left token among the example's image tokens. grid: (rows, columns).
    stride: tokens from the start of one row to the next (more than columns where rows end in a separator).
    box: (x0, y0, x1, y1) in pixels of the original image; extends beyond it where the model padded.
    """

    first: int
    grid: tuple[int, int]
    stride: int
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Generation:
    """A model's answer about an image, with its attention and masks.

    image_size: (H, W) of the image. spans: T character spans (start, end) of the generated tokens in `text`; empty for
        special tokens. tiles: positions of the N image tokens in the image.
    attention: (T, N) row i is the attention, mean over layers and heads, of the query that predicts token i
        over the N image tokens; None for a model that was not captured.
    penultimate: (N,) the row before the first, of the last but one position of the prompt.
    lens: logits of the words of prompt and answer at the image tokens, where the model is asked for them.
    kept: the attention of layers and heads that `attention` and `penultimate` average, where the model keeps it.
    masks: masks predicted by the model itself. mask_scores: of each of them, where they are known, else ().
    candidates: masks proposed by the model, of which a selector takes one.
    input_size: (H, W) of the resized image whose pixels the model's coordinates refer to, from a processor that keeps
        the aspect ratio; None where there is no such size.
    cut: True if the limit of new tokens truncated the answer.
    prompt: the text given to the model's processor, as rendered by its chat template; "" where it is unknown.
    bare: True if `prompt` is the plain text without a chat template.
    unanswered, ungrounded: the reason why there is no answer, or nothing to derive masks from, as the files that a
        model reads may lack them. "" where they are present.
    """

    text: str
    image_size: tuple[int, int]
    spans: tuple[tuple[int, int], ...] = ()
    tiles: tuple[Tile, ...] = ()
    attention: FloatArray | None = field(default=None, repr=False)
    penultimate: FloatArray | None = field(default=None, repr=False)
    masks: tuple[RLE, ...] = field(default=(), repr=False)
    candidates: tuple[Candidate, ...] = field(default=(), repr=False)
    input_size: tuple[int, int] | None = None
    cut: bool = False
    unanswered: str = ""
    ungrounded: str = ""
    kept: LayerAttention | None = field(default=None, repr=False)
    lens: Lens | None = field(default=None, repr=False)
    prompt: str = ""
    bare: bool = False
    mask_scores: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun phrase of an answer. span: (start, end) characters, (0, 0) where unknown; head: its main word.

    The referring expression is a phrase of span (0, 0) where a map is made for it.
    """

    text: str
    head: str
    span: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A mask that an extractor proposes.

    score: the segmenter's predicted IoU, or a text-prompted model's confidence, or None. similarity: of its phrase to
    the expression, where the source of the candidate gives it. name: of the file that it was read from.
    parts: the instances that `mask` is the union of, where they are kept and are several; () for a single instance.
    scores: further scores by name, of the extractor, for selectors that know them.
    """

    mask: RLE
    phrase: Phrase | None = None
    point: tuple[float, float] | None = None
    box: tuple[float, float, float, float] | None = None
    score: float | None = None
    similarity: float | None = None
    name: str = ""
    parts: tuple[Candidate, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def instances(self) -> tuple[Candidate, ...]:
        """The parts; the candidate itself where there are none."""
        return self.parts or (self,)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        phrase = self.phrase and {"text": self.phrase.text, "head": self.phrase.head, "span": list(self.phrase.span)}
        return {
            "mask": self.mask.to_json(),
            "phrase": phrase,
            "point": self.point and list(self.point),
            "box": self.box and list(self.box),
            "score": self.score,
            **({"similarity": self.similarity} if self.similarity is not None else {}),
            **({"name": self.name} if self.name else {}),
            **({"parts": [part.to_json() for part in self.parts]} if self.parts else {}),
            **({"scores": dict(self.scores)} if self.scores else {}),
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Candidate:
        """Parse the output of `to_json`."""
        phrase = data["phrase"]
        return Candidate(
            mask=RLE.from_json(data["mask"]),
            phrase=phrase and Phrase(phrase["text"], phrase["head"], (phrase["span"][0], phrase["span"][1])),
            point=data["point"] and (data["point"][0], data["point"][1]),
            box=data["box"] and tuple(data["box"]),
            score=data["score"],
            similarity=data.get("similarity"),
            name=data.get("name", ""),
            parts=tuple(map(Candidate.from_json, data.get("parts", ()))),
            scores=data.get("scores", {}),
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """A selector's decision for one example.

    kind: `candidate` takes the candidate at `index`; `empty` predicts the empty mask deliberately; `full` takes the
    whole image; `missing` had nothing to choose from and is scored by the scoring profile; `unscored` has no decision
    (a judge was down) and is neither correct nor wrong.
    about: JSON values on how the decision was made, for analyses; `scores` maps names to numbers of the chosen mask,
    higher for a more certain one.
    """

    kind: Literal["candidate", "empty", "full", "missing", "unscored"]
    index: int | None = None
    reason: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.index is None) == (self.kind == "candidate"):
            raise ValueError(f"a choice of kind {self.kind!r} with index {self.index} makes no sense")
