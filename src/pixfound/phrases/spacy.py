"""Noun phrases by spaCy's parser, as in arXiv 2502.04192 (en_core_web_lg)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pixfound.errors import UserError
from pixfound.interfaces import PhraseFinder
from pixfound.io.surrogates import replace_surrogates
from pixfound.types import Phrase


class SpacyPhrases(PhraseFinder):
    """The noun chunks of a spaCy pipeline. pipeline: the name of an installed one."""

    def __init__(self, pipeline: str = "en_core_web_lg") -> None:
        self.pipeline = pipeline

    def identity(self) -> Mapping[str, Any]:
        """The pipeline's version; an error where it is not installed."""
        return {"version": pipeline_version(self.pipeline)}

    def phrases(self, text: str) -> list[Phrase]:
        """The noun chunks of a text, in order."""
        return [
            Phrase(c.text, c.root.text, (c.start_char, c.end_char))
            for c in self._nlp(replace_surrogates(text)).noun_chunks
        ]

    @cached_property
    def _nlp(self) -> Any:
        return load_pipeline(self.pipeline)


def is_installed(name: str) -> bool:
    """True if a pipeline is an installed package or a folder; does not load it."""
    try:
        return bool(version(name))
    except (PackageNotFoundError, ValueError):
        return (Path(name) / "meta.json").is_file()


def pipeline_version(name: str) -> str:
    """The version of an installed pipeline; does not load it."""
    try:
        return version(name)
    except (PackageNotFoundError, ValueError):
        if find_spec("spacy") and not is_installed(name):
            raise _not_installed(name) from None  # before spaCy is imported, and torch with it
        return str(load_pipeline(name).meta["version"])  # a pipeline in a folder, or an error that says what to type


def load_pipeline(name: str) -> Any:
    """Load an installed spaCy pipeline; raises an error with the install command where it is missing."""
    try:
        import spacy
    except ImportError as error:
        raise UserError('spaCy is not installed; type: pip install "pixfound[spacy]"') from error
    try:
        return spacy.load(name)
    except ImportError as error:
        raise UserError(f"the spaCy pipeline {name} needs a package that is not installed: {error}") from error
    except OSError as error:
        raise _not_installed(name) from error


def _not_installed(name: str) -> UserError:
    return UserError(
        f"the spaCy pipeline {name} is not installed; type: python -m spacy download {name} "
        "(or use phrases=textblob, which needs no download)"
    )
