"""Answers from elsewhere: the model looks at them and writes nothing itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import ImageInfo
from pixfound.models.huggingface import HuggingFace
from pixfound.types import Prompt

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))
EXAMPLES = {"1": ImageInfo("a", (40, 50)), "2": ImageInfo("b", (40, 50)), "3": ImageInfo("c", (40, 50), left_out=True)}
SAID = {"1": "A red car.", "2": "no <image> here </s> at all"}


def requests(kind: Any) -> list[tuple[Image.Image, Prompt]]:
    return [(PICTURE, Prompt(id, kind, "v", "What is it?")) for id in SAID]


def written(path: Path, answers: dict[str, str]) -> str:
    path.write_text("".join(json.dumps({"question_id": id, "response": a}) + "\n" for id, a in answers.items()))
    return str(path)


def loaded(models: Path, **options: Any) -> HuggingFace:
    return HuggingFace(str(models / "llava"), dtype="float32", generation={"max_new_tokens": 6}, **options)


@pytest.mark.parametrize("capture", ["step", "forced", "none"])
def test_given_answers_are_looked_at_and_the_others_generated(models: Path, tmp_path: Path, capture: Any) -> None:
    model = loaded(models, capture=capture, answers={"open": written(tmp_path / "a.jsonl", SAID), "ground": None})
    model.bind_examples(EXAMPLES)
    plain = loaded(models)
    found = model.generate([*requests("open"), *requests("ground")])
    plainly = {"add_special_tokens": False, "split_special_tokens": True}
    ids = [plain.tokenizer(f" {text}", **plainly)["input_ids"] for text in SAID.values()]
    assert plain.tokenizer.convert_tokens_to_ids("<image>") not in ids[1]
    assert [g.text for g in found[:2]] == list(SAID.values()), "to the letter, whatever the tokenizer makes of it"
    assert ["".join(g.text[a:b] for a, b in g.spans) for g in found[:2]] == list(SAID.values())
    assert [len(g.spans) for g in found[:2]] == [len(i) + 1 for i in ids], "with an end token"
    expected = [*plain.attend(requests("open")[:1], [SAID["1"]]), *plain.generate(requests("ground"))]
    del found[1]
    for one, other in zip(found, expected, strict=True):
        if capture == "none":
            assert one.attention is None
        else:
            np.testing.assert_allclose(one.attention, other.attention, atol=1e-5)


def test_identity_is_the_content_not_the_path(models: Path, tmp_path: Path) -> None:
    one, same, other = (
        loaded(models, answers={"open": written(tmp_path / name, answers)}).identity()
        for name, answers in (("a.jsonl", SAID), ("b.jsonl", SAID), ("c.jsonl", {**SAID, "1": "x"}))
    )
    assert one == same != other
    assert loaded(models).identity() == loaded(models, answers={"open": None}).identity()
    runs = []
    for name, iou in (("run", 0.1), ("again", 0.2)):  # scores of masks are no part of the answers
        (tmp_path / name).mkdir()
        lines = [{"example_id": "1", "kind": "open", "row": None, "response": "x"}, {"row": "oracle", "iou": iou}]
        (tmp_path / name / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        runs.append(loaded(models, answers={"open": str(tmp_path / name)}))
    assert runs[0].identity() == runs[1].identity()
    with pytest.raises(UserError, match=r"model\.answers\.open=.*run: has no answer of 1 of the examples \(2\)"):
        runs[0].bind_examples(EXAMPLES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"answers": {"ground": "a.jsonl"}, "answer_prefix": "It is"}, r"model\.answer_prefix: .* use one of the two"),
        ({"answers": {"open": "no_such_file"}}, r"model\.answers\.open=no_such_file: cannot be read"),
        ({"answers": {"open": "."}}, r"holds no scores\.jsonl, so it is no finished run"),
    ],
)
def test_mistakes_are_said(models: Path, options: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        loaded(models, **options).identity()
