"""A judge that is one of the project's own models: offline, and the same answer every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from pixfound.errors import UserError
from pixfound.judges.asking import ANSWER_FORMS, AnswerForm, JudgeError, grade_by_asking
from pixfound.judges.overlays import sheet
from pixfound.types import Example, Prompt

_BLANK = (64, 64)


class MllmJudge:
    """Grades open answers, and answers questions about images, by asking a multi-modal LLM.

    model: the config of a model, as in conf/model, with its `_target_`. Models read one image with a prompt: several
    images are put on one sheet, each with its number; a question without an image is asked about a blank picture.
    answer_form: what the judge is told to be right, "(a)" as in arXiv 2502.04192, or "(a) open".
    """

    def __init__(self, model: Mapping[str, Any], answer_form: AnswerForm = "letter") -> None:
        from pixfound.pipeline.parts import build

        if answer_form not in ANSWER_FORMS:
            raise UserError(f"judge.answer_form must be {' or '.join(ANSWER_FORMS)}")
        self._model = build(model, "judge.model")
        if not hasattr(self._model.built, "generate"):
            raise UserError(f"judge.model._target_={model['_target_']}: is no model; take one of conf/model")
        self.answer_form = answer_form
        self.name = f"mllm:{model.get('path', model['_target_'])}"

    runtime_options = ("model",)  # `identity` has it, without its device and path

    def grade(self, example: Example, response: str) -> tuple[bool | None, str]:
        """Whether a response answers the example's question rightly, or None (unscored), and why."""
        return grade_by_asking(self, example, response, self.answer_form)

    def ask(self, system: str, question: str, images: Sequence[Image.Image] = ()) -> str:
        """The model's answer; raises JudgeError where it says nothing."""
        image = sheet(images) if images else Image.new("RGB", _BLANK, "white")
        prompt = Prompt("judge", "open", "judge", f"{system}\n{question}")
        reply = str(self._model.built.generate([(image, prompt)])[0].text)
        if not reply.strip():
            raise JudgeError(f"{self.name} says nothing")
        return reply

    def identity(self) -> Mapping[str, Any]:
        """That of the model."""
        return {"model": self._model.identity()}

    def provenance(self) -> Mapping[str, Any]:
        """That of the model."""
        return self._model.provenance()
