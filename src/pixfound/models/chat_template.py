"""The chat template of a model: its own, one that is typed, or none where that is how it was trained."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from pixfound.errors import UserError

NONE = "none"  # what is typed for prompts of bare text
# Their classes take a template as all of transformers' later ones do, and their published weights come without: the
# prompt of PaliGemma is a task and its arguments, that of GOT-OCR 2 is written by its processor.
_BARE = ("PaliGemmaProcessor", "GotOcr2Processor")


def read_template(typed: str | None) -> str | None:
    """What `model.chat_template` stands for: the text of a Jinja template, `none`, or None for the model's own.

    UserError where it is neither a file nor a template.
    """
    if typed is None or typed == NONE or "{{" in typed or "{%" in typed:
        return typed
    try:
        return Path(typed).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"model.chat_template={typed}: cannot be read ({error.__class__.__name__}): give a file with a Jinja "
            "template, the text of one, null for the model's own, or none for prompts of bare text"
        ) from error


def own_template(processor: Any) -> Any:
    """The template that a processor, or else its tokenizer, came with; None where there is none."""
    return getattr(processor, "chat_template", None) or processor.tokenizer.chat_template or None


def usually_has_one(processor: Any) -> bool:
    """Whether models with a processor of this class come with a chat template.

    Transformers says so: a class for models that chat takes one where it is made.
    """
    made = type(processor)
    return made.__name__ not in _BARE and "chat_template" in inspect.signature(made.__init__).parameters


def check_template(processor: Any, path: str, instead: str = "") -> None:
    """UserError where a model has no chat template though models with its processor come with one.

    path: what the user typed. instead: what else can be typed.
    """
    if own_template(processor) is None and usually_has_one(processor):
        raise UserError(
            f"model.path={path}: has no chat template, and models with a {type(processor).__name__} are asked through "
            f"one: fetch chat_template.jinja or .json with the rest of its repository{instead}"
        )
