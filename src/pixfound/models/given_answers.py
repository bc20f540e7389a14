"""Answers that another program wrote, for a model that is asked where it looks at them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from pixfound.errors import UserError
from pixfound.interfaces import ImageInfo
from pixfound.io.predictions.naming import Owners
from pixfound.io.predictions.texts import read_answers
from pixfound.io.text_files import json_lines
from pixfound.types import Kind, Prompt

_SCORES = "scores.jsonl"


class GivenAnswers:
    """The answers to some kinds of prompt.

    paths: by kind, a file of answers (`pixfound.io.predictions.texts.read_answers`) or the folder of a finished run;
    None for a kind without any.
    """

    def __init__(self, paths: Mapping[Kind, str | None]) -> None:
        self.paths = {kind: Path(path).expanduser() for kind, path in paths.items() if path}
        self._texts: dict[Kind, Mapping[str, str]] = {}

    def bind(self, images: Mapping[str, ImageInfo]) -> None:
        """Read the answers about these examples; UserError where one of them has none."""
        owners = Owners(images)
        for kind, path in self.paths.items():
            key = f"model.answers.{kind}"
            texts = _of_run(path, owners, key, kind) if path.is_dir() else read_answers(path, owners, key)
            missing = [id for id, _ in owners.present() if id not in texts]
            if missing:
                more = " ..." if len(missing) > 5 else ""
                raise UserError(
                    f"{key}={path}: has no answer of {len(missing)} of the examples ({', '.join(missing[:5])}{more}); "
                    "add it, or take fewer examples: limit=N"
                )
            self._texts[kind] = texts

    def text(self, prompt: Prompt) -> str | None:
        """The answer to a prompt; None where answers to its kind are not given."""
        return self._texts[prompt.kind][prompt.example_id] if prompt.kind in self._texts else None

    def identity(self) -> dict[str, str]:
        """A digest of the answers to each kind: of the file, or of the lines of the run that hold them."""
        return {f"answers.{kind}": self._digest(path, kind) for kind, path in self.paths.items()}

    def _digest(self, path: Path, kind: Kind) -> str:
        key = f"model.answers.{kind}"
        digest = hashlib.sha256()
        if path.is_dir():
            for id, text in _lines_of_run(path, key, kind):
                digest.update(f"{len(id)}:{id}{len(text)}:{text}".encode("utf-8", "surrogatepass"))
            return digest.hexdigest()
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise UserError(
                f"{key}={path}: cannot be read ({error.strerror}); give a file or a run's folder"
            ) from error
        return digest.hexdigest()


def _of_run(folder: Path, owners: Owners, key: str, kind: Kind) -> Mapping[str, str]:
    """The answers of a run by example; those about examples that this run leaves out are passed over."""
    found = ((owners.find(id, f"{key}={folder}"), text) for id, text in _lines_of_run(folder, key, kind))
    return {id: text for id, text in found if id is not None}


def _lines_of_run(folder: Path, key: str, kind: Kind) -> Iterator[tuple[str, str]]:
    """(example id, answer) of each answer of a run to a kind of prompt."""
    if not (folder / _SCORES).is_file():
        raise UserError(f"{key}={folder}: holds no {_SCORES}, so it is no finished run; give its folder, or a file")
    for _, line in json_lines(folder / _SCORES, f"{key}={folder}"):
        if line.get("row") is None and line.get("kind") == kind and isinstance(line.get("response"), str):
            yield str(line.get("example_id")), line["response"]
