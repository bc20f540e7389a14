"""The chat template of a model: its own, a given one, or none for models trained without."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from pixfound.errors import UserError

NONE = "none"  # value of model.chat_template for prompts of bare text
# These processor classes take a template, as all later ones of transformers do, but the published weights have none.
# The prompt of PaliGemma is a task and its arguments; that of GOT-OCR 2 is written by its processor.
_BARE = ("PaliGemmaProcessor", "GotOcr2Processor")


def read_template(typed: str | None) -> str | None:
    """The value of `model.chat_template`: the text of a Jinja template, `none`, or None for the model's own.

    typed: a path, the text of a template, `none`, or None. UserError where it is neither a file nor a template.
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
    """The chat template of a processor, or else of its tokenizer; None where both have none."""
    return getattr(processor, "chat_template", None) or processor.tokenizer.chat_template or None


def usually_has_one(processor: Any) -> bool:
    """Return True where models with a processor of this class are published with a chat template.

    Transformers' processor classes of chat models have the argument `chat_template`; those in `_BARE` are exceptions.
    """
    kind = type(processor)
    return kind.__name__ not in _BARE and "chat_template" in inspect.signature(kind.__init__).parameters


def check_template(processor: Any, path: str, instead: str = "") -> None:
    """UserError where a model has no chat template, though models with its processor are published with one.

    path: `model.path` as typed. instead: alternatives for the message, with their punctuation.
    """
    if own_template(processor) is None and usually_has_one(processor):
        raise UserError(
            f"model.path={path}: has no chat template, and models with a {type(processor).__name__} are asked through "
            f"one: fetch chat_template.jinja or .json with the rest of its repository{instead}"
        )
