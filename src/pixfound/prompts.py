"""The three things said to a model about an example: an open question, a choice, a request to ground.

Their wording is that of arXiv 2502.04192 (protocols 1, 2 and 3) unless a config says otherwise.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence

from pixfound.errors import UserError, nearest
from pixfound.types import Example, Kind, Prompt

_FIELDS = ("question", "options", "lettered", "expression")


class Prompts:
    """One template per kind.

    variant: the set's id, kept in every record. templates: kind -> text with the fields {question},
    {options} ("(a) one (b) two"), {lettered} (a line "A. one" for each option) and {expression}.
    """

    def __init__(self, variant: str, templates: Mapping[Kind, str]) -> None:
        for kind, text in templates.items():
            for _, name, _, _ in string.Formatter().parse(text):
                if name is not None and name not in _FIELDS:
                    raise UserError(f"prompts.templates.{kind}: no field {{{name}}}; {nearest(name, _FIELDS)}")
        self.variant = variant
        self.templates = dict(templates)

    def prompt(self, example: Example, kind: Kind) -> Prompt:
        """The prompt of a kind for an example."""
        text = self.templates[kind].format(
            question=example.question,
            options=options_text(example.options),
            lettered="\n".join(f"{letter(i)}. {option}" for i, option in enumerate(example.options)),
            expression=example.expression,
        )
        return Prompt(example.id, kind, self.variant, text)


def options_text(options: Sequence[str]) -> str:
    """The options in MMVP's form: "(a) one (b) two"."""
    return " ".join(f"({letter(i).lower()}) {option}" for i, option in enumerate(options))


def letter(index: int) -> str:
    """A, B, C ... for 0, 1, 2 ..."""
    return string.ascii_uppercase[index]
