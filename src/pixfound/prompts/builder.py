"""The three prompts of an example: an open question, a multiple-choice question, a grounding request.

Each is a template of a library, chosen by its id. The library and the assignment of templates to models are data
(conf/prompts); the texts are those of arXiv 2502.04192 (protocols 1, 2 and 3) and of its code.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from pixfound.errors import UserError, nearest
from pixfound.interfaces import Component
from pixfound.prompts.perturbations import parse_variation
from pixfound.prompts.spelling import misspelt, stream
from pixfound.prompts.templates import check_library, ids_by_model, template
from pixfound.types import KINDS, Example, Kind, Prompt
from pixfound.types.arguments import NonNegative, check_arguments
from pixfound.types.option_letters import letter

_ARTICLE = re.compile(r"(?:the|an|a)\s+$", re.IGNORECASE)
_OWN_ARTICLE = re.compile(r"(?:the|an|a)\s", re.IGNORECASE)
_PLAIN = ("{}", "{}", "{}")


@dataclass(frozen=True)
class Edits:
    """Numbers of edits that a spelling perturbation makes in each text; see conf/prompts/uniform.yaml."""

    question: NonNegative = 7
    extension: NonNegative = 7
    option: NonNegative = 1
    word: NonNegative = 1
    wording: NonNegative = 0
    repeats: bool = False


class Prompts(Component):
    r"""One template per kind, chosen by id.

    templates: kind (open, choice, ground, extension, vqa) -> id -> text.
    open, choice, ground: a template's id; None for the one that `by_model` gives to `model`.
    extension: id of the last line of the choice prompt.
    vqa: id of three slots around question, options and extension in the open and the choice prompt; or None.
    articles: `fix` drops a template's article before an expression that has its own, and the spaces around the
        expression; `raw` keeps all, as the original does ("Point to the the door").
    unescape: True converts \n and \t, written as two characters in a template, to a newline and a tab.
    noise: number of a spelling perturbation, or None. The misspellings are drawn from seed, number, example and text,
        so they are the same in any order and in both kinds of question. edits: see `Edits`.
    variation: a perturbation's name (see perturbations.py); it takes the place of `vqa`, `ground` or `noise`.
    model, by_model: the model's name; pattern -> kind -> id. The first pattern that matches the name gives the ids,
        and the last pattern those that it leaves out. A name that only the last pattern matches gives a warning.

    A prompt's `variant`, stored in every record, is made of the ids: "paper", "paper+t3+spelling_0".
    """

    def __init__(
        self,
        templates: Mapping[str, Mapping[str, str]],
        open: str | None = None,
        choice: str | None = None,
        ground: str | None = None,
        extension: str = "paper",
        vqa: str | None = None,
        articles: Literal["fix", "raw"] = "fix",
        unescape: bool = True,
        noise: NonNegative | None = None,
        edits: Mapping[str, Any] | None = None,
        seed: NonNegative = 0,
        variation: str = "none",
        model: str | None = None,
        by_model: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        check_library(templates)
        varied = parse_variation(variation, "prompts.variation")
        if varied.kind == "vqa":
            vqa = varied.value
        elif varied.kind == "ground":
            ground = varied.value
        elif varied.kind == "spelling":
            noise = varied.number
        given_ids = {"open": open, "choice": choice, "ground": ground}
        ids = ids_by_model(given_ids, model, by_model or {}) if None in given_ids.values() else given_ids
        self.ids = {**ids, "extension": extension, **({"vqa": vqa} if vqa is not None else {})}
        self.texts = {kind: template(templates, kind, str(id), unescape) for kind, id in self.ids.items()}
        self._slots = tuple(self.texts["vqa"].split("|")) if vqa is not None else _PLAIN
        self._fix, self._noise, self._seed, self._edits = articles == "fix", noise, seed, _edits(edits or {})
        self._variants = {kind: self._variant(kind) for kind in KINDS}

    def prompt(self, example: Example, kind: Kind) -> Prompt:
        """The prompt of a kind for an example."""
        options = [self._misspelt(o, self._edits.option, example, f"option {i}") for i, o in enumerate(example.options)]
        question = self._misspelt(example.question, self._edits.question, example, "question")
        extension = self._misspelt(self.texts["extension"], self._edits.extension, example, "extension")
        lettered = "\n".join(f"{letter(i)}. {option}" for i, option in enumerate(options))
        values = {
            "question": self._slots[0].replace("{}", question),
            "options": self._slots[1].replace("{}", options_text(options)),
            "lettered": self._slots[1].replace("{}", lettered).strip(),
            "extension": self._slots[2].replace("{}", extension),
            "expression": self._expression(example),
        }
        return Prompt(example.id, kind, self.variant(kind), self._filled(kind, values, example))

    def _filled(self, kind: Kind, values: Mapping[str, str], example: Example) -> str:
        pieces = [(text, name) for text, name, _, _ in string.Formatter().parse(self.texts[kind])]
        texts = [text for text, _ in pieces]
        if self._fix and _OWN_ARTICLE.match(values["expression"]):
            texts = [_ARTICLE.sub("", text) if name == "expression" else text for text, name in pieces]
        if not example.options:  # nor the space before them
            texts = ["" if name in ("options", "lettered") and text.isspace() else text for text, name in pieces]
        if kind == "ground":
            counts = spread(self._edits.wording, [len(text) for text in texts])
            texts = [
                self._misspelt(text, count, example, f"wording {i}")
                for i, (text, count) in enumerate(zip(texts, counts, strict=True))
            ]
        insertions = [values[name] if name else "" for _, name in pieces]
        return "".join(text + value for text, value in zip(texts, insertions, strict=True))

    def _expression(self, example: Example) -> str:
        text = example.expression.strip() if self._fix else example.expression
        words = enumerate(text.split(" "))
        return " ".join(self._misspelt(word, self._edits.word, example, f"word {i}") for i, word in words)

    def _misspelt(self, text: str, edits: int, example: Example, name: str) -> str:
        if self._noise is None:
            return text
        rng = stream(self._seed, self._noise, example.id, name)
        return misspelt(text, edits, rng, self._edits.repeats)

    def variant(self, kind: Kind) -> str:
        """Label of the template ids, which distinguishes prompts of a kind from those of other templates."""
        return self._variants[kind]

    def _variant(self, kind: Kind) -> str:
        parts = {"open": ("open", "vqa"), "choice": ("choice", "extension", "vqa"), "ground": ("ground",)}[kind]
        ids = [str(self.ids[part]) for part in parts if part in self.ids]
        noise = [] if self._noise is None else [f"spelling_{self._noise}"]
        return "+".join(dict.fromkeys([*ids, *noise]))


def options_text(options: Sequence[str]) -> str:
    """The options in MMVP's form: "(a) one (b) two"."""
    return " ".join(f"({letter(i).lower()}) {option}" for i, option in enumerate(options))


def spread(edits: int, lengths: Sequence[int]) -> list[int]:
    """Numbers of edits for texts of these lengths, in proportion; 0 for a text of less than five characters."""
    room = [length if length >= 5 else 0 for length in lengths]
    ends = [round(edits * sum(room[: i + 1]) / max(1, sum(room))) for i in range(len(room))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def _edits(options: Mapping[str, Any]) -> Edits:
    names = [field.name for field in fields(Edits)]
    for name in options:
        if name not in names:
            raise UserError(f"prompts.edits.{name}: there is no such option; {nearest(name, names)}")
    check_arguments(Edits, options, "prompts.edits")
    return Edits(**options)
