"""A judge that uses one of the package's own models: offline and deterministic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from pixfound.interfaces import Grade, GradeRequest, Judge, JudgeError, Model, without_errors
from pixfound.io.overlays import sheet
from pixfound.io.surrogates import replace_surrogates
from pixfound.judges.asking import AnswerForm, Verdicts, asking_identity, grade_by_asking, side_by_side
from pixfound.types import Prompt

_BLANK = (64, 64)


class MllmJudge(Judge):
    """Grades open answers, and answers questions about images, with a multi-modal LLM.

    model: the config of a model, as in conf/model, with its `_target_`. Models take one image a prompt: several images
    are joined to one sheet, each with its number; a question without an image is sent with a blank image.
    answer_form, verdicts: see `pixfound.judges.asking.grade_by_asking`.
    """

    answers_questions = True
    runtime_options = ("model",)  # `identity` has it, without its device and path

    def __init__(
        self, model: Mapping[str, Any], answer_form: AnswerForm = "letter", verdicts: Verdicts = "meant"
    ) -> None:
        from pixfound.config.factory import build

        self._model = build(model, "judge.model", Model)
        self.answer_form, self.verdicts = answer_form, verdicts
        self.name = f"mllm:{model.get('path', model['_target_'])}"

    def grade(self, requests: Sequence[GradeRequest]) -> list[Grade | JudgeError]:
        """A grade with the judge's reply as its reason; a JudgeError where the reply is unreadable."""
        return side_by_side(lambda r: grade_by_asking(self, *r, self.answer_form, self.verdicts), requests, 1)

    def ask(self, system: str, question: str, images: Sequence[Image.Image] = ()) -> str:
        """The model's answer; raises JudgeError where it is empty."""
        image = sheet(images) if images else Image.new("RGB", _BLANK, "white")
        prompt = Prompt("judge", "open", "judge", replace_surrogates(f"{system}\n{question}"))
        (generation,) = without_errors(self._model.built.generate([(image, prompt)]))
        if not (reply := generation.text).strip():
            raise JudgeError(f"{self.name} says nothing")
        return reply

    def identity(self) -> Mapping[str, Any]:
        """JSON values for the fingerprint: the model's identity, the prompts, and the parsing of replies."""
        return {"model": self._model.identity(), **asking_identity()}

    def provenance(self) -> Mapping[str, Any]:
        """The provenance of the model."""
        return self._model.provenance()
