"""The library of prompt templates: validation, lookup, and the default templates of a model."""

from __future__ import annotations

import logging
import string
from collections.abc import Mapping
from fnmatch import fnmatchcase

from pixfound.errors import UserError, nearest
from pixfound.types import KINDS

log = logging.getLogger(__name__)
Library = Mapping[str, Mapping[str, str]]  # kind -> id -> text
FIELDS = ("question", "options", "lettered", "extension", "expression")
LIBRARY_KINDS = (*KINDS, "extension", "vqa")


def ids_by_model(given_ids: Mapping[str, str | None], model: str | None, by_model: Library) -> dict[str, str | None]:
    """The requested ids, and those of the model's pattern where none is requested."""
    patterns = list(by_model)
    fits = next((p for p in patterns if fnmatchcase(model or "", p)), None)
    model_ids = {**by_model[patterns[-1]], **by_model[fits]} if fits is not None else {}
    for kind, id in given_ids.items():
        if id is None and kind not in model_ids:
            raise UserError(f"prompts.{kind} has no value: give a template's id, or one in prompts.by_model")
    if fits == patterns[-1]:
        ids = ", ".join(f"prompts.{kind}={model_ids[kind]}" for kind, id in given_ids.items() if id is None)
        log.warning("no wording is known for model=%s: taking the default, %s", model, ids)
    return {kind: model_ids[kind] if id is None else id for kind, id in given_ids.items()}


def template(templates: Library, kind: str, id: str, unescape: bool) -> str:
    """The text of a template id. unescape: see `Prompts`."""
    if id not in templates.get(kind, {}):
        raise UserError(f"prompts.{kind}={id}: there is no such template; {nearest(id, templates.get(kind, {}))}")
    text = templates[kind][id]
    return text.replace("\\n", "\n").replace("\\t", "\t") if unescape else text


def check_library(templates: Library) -> None:
    """Raise UserError for an unknown kind, field or slot."""
    for kind, texts in templates.items():
        if kind not in LIBRARY_KINDS:
            raise UserError(f"prompts.templates.{kind}: there is no such kind; {nearest(kind, LIBRARY_KINDS)}")
        for id, text in texts.items():
            where = f"prompts.templates.{kind}.{id}"
            if kind == "vqa":
                if [slot.count("{}") for slot in text.split("|")] != [1, 1, 1]:
                    raise UserError(f"{where}: must be three texts with one {{}} each, as in '{{}}|{{}}|{{}}'")
            elif kind != "extension":
                _check_fields(text, where)


def _check_fields(text: str, where: str) -> None:
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise UserError(f"{where}: {error}; a brace that is meant as such is written twice") from error
    for name in names:
        if name not in FIELDS:
            raise UserError(f"{where}: no field {{{name}}}; {nearest(name, FIELDS)}")
