"""A judge that uses one of the package's own models: offline and deterministic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import JudgeError
from pixfound.io.overlays import sheet
from pixfound.io.surrogates import replace_surrogates
from pixfound.judges.asking import AnswerForm, Verdicts, asking_identity, check_options, grade_by_asking
from pixfound.types import Example, Prompt

_BLANK = (64, 64)


class MllmJudge:
    """Grades open answers, and answers questions about images, with a multi-modal LLM.

    model: the config of a model, as in conf/model, with its `_target_`. Models take one image a prompt: several images
    are joined to one sheet, each with its number; a question without an image is sent with a blank image.
    answer_form, verdicts: see `pixfound.judges.asking.grade_by_asking`.
    """

    def __init__(
        self, model: Mapping[str, Any], answer_form: AnswerForm = "letter", verdicts: Verdicts = "meant"
    ) -> None:
        from pixfound.config.factory import build

        check_options(answer_form, verdicts)
        self._model = build(model, "judge.model")
        if not hasattr(self._model.built, "generate"):
            raise UserError(f"judge.model._target_={model['_target_']}: is no model; take one of conf/model")
        self.answer_form, self.verdicts = answer_form, verdicts
        self.name = f"mllm:{model.get('path', model['_target_'])}"

    runtime_options = ("model",)  # `identity` has it, without its device and path

    def grade(self, example: Example, response: str) -> tuple[bool | None, str]:
        """(verdict, reply), True if the response is correct; raises JudgeError where the reply is unreadable."""
        return grade_by_asking(self, example, response, self.answer_form, self.verdicts)

    def ask(self, system: str, question: str, images: Sequence[Image.Image] = ()) -> str:
        """The model's answer; raises JudgeError where it is empty."""
        image = sheet(images) if images else Image.new("RGB", _BLANK, "white")
        prompt = Prompt("judge", "open", "judge", replace_surrogates(f"{system}\n{question}"))
        reply = str(self._model.built.generate([(image, prompt)])[0].text)
        if not reply.strip():
            raise JudgeError(f"{self.name} says nothing")
        return reply

    def identity(self) -> Mapping[str, Any]:
        """JSON values for the fingerprint: the model's identity, the prompts, and the parsing of replies."""
        return {"model": self._model.identity(), **asking_identity()}

    def provenance(self) -> Mapping[str, Any]:
        """The provenance of the model."""
        return self._model.provenance()
