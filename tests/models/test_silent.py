from __future__ import annotations

import pytest
from PIL import Image

from pixfound.config.factory import build_parts
from pixfound.errors import UserError
from pixfound.models.null import Silent
from pixfound.types import Prompt
from tests.support.run import config_of


def test_nothing_is_said_and_that_is_no_answer():
    requests = [(Image.new("L", (8, 4)), Prompt("e", kind, "v", "What?")) for kind in ("open", "choice", "ground")]
    for said in Silent().generate(requests):
        assert said.text == "" and said.image_size == (4, 8)
        assert said.unanswered and not said.ungrounded


def test_what_needs_its_attention_says_so_before_anything_runs():
    with pytest.raises(UserError, match="gives no attention"):
        build_parts(config_of("model=none", "extraction=attend_segment"))


def test_there_are_no_word_vectors():
    with pytest.raises(UserError, match="source=spacy"):
        Silent().text_vectors()
