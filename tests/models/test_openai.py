from __future__ import annotations

import base64
import io
import threading

import numpy as np
import pytest
from PIL import Image

from pixfound.errors import UserError
from pixfound.models.openai import OpenAIModel
from pixfound.pipeline.evaluate import evaluate
from pixfound.types import Prompt
from tests.support.judge_server import Act, JudgeServer
from tests.support.run import config_of, scores_of

pytest.importorskip("openai")
IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8))


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")


def model(server, folder, **options):
    return OpenAIModel("m", base_url=server.url, cache_dir=str(folder), backoff_s=0.01, **options)


def requests(*texts):
    return [(IMAGE, Prompt(str(i), "open", "v", text)) for i, text in enumerate(texts)]


def test_it_is_shown_the_very_pixels_and_the_prompt(tmp_path):
    with JudgeServer(Act("A cat.")) as server:
        (said,) = model(server, tmp_path, system="Be brief.").generate(requests("What is it?"))
    assert (said.text, said.image_size, said.attention) == ("A cat.", (6, 9), None)
    system, user = server.bodies[0]["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    assert user["content"][0] == {"type": "text", "text": "What is it?"}
    picture = base64.b64decode(user["content"][1]["image_url"]["url"].partition(",")[2])
    assert (np.asarray(Image.open(io.BytesIO(picture))) == np.asarray(IMAGE)).all()
    assert server.bodies[0]["temperature"] == 0


def test_answers_are_in_order_side_by_side_and_kept(tmp_path):
    def echo(body):
        return body["messages"][-1]["content"][0]["text"].upper()

    with JudgeServer(Act(echo, meet=threading.Barrier(3, timeout=5))) as server:
        asked = model(server, tmp_path, concurrency=3)
        assert [g.text for g in asked.generate(requests("a", "b", "c"))] == ["A", "B", "C"]
        assert [g.text for g in model(server, tmp_path).generate(requests("c", "a"))] == ["C", "A"]
        assert len(server.bodies) == 3 and len(server.bodies[0]["messages"]) == 1


def test_a_server_out_of_order_is_asked_again(tmp_path):
    with JudgeServer(Act(status=503), Act("Yes")) as server:
        assert model(server, tmp_path).generate(requests("a"))[0].text == "Yes"


def test_messages_name_the_options_of_the_model(tmp_path):
    with JudgeServer(Act(status=404)) as server, pytest.raises(UserError, match=r"set model\.model to one"):
        model(server, tmp_path).generate(requests("a"))
    with pytest.raises(UserError, match=r"model\.concurrency must be"):
        OpenAIModel("m", concurrency=0)
    with pytest.raises(UserError, match="no word vectors"):
        OpenAIModel("m").vectors()


def test_the_cost_has_a_limit(tmp_path):
    prices = {"price_per_million_input": 1e6, "price_per_million_output": 0.0}  # a hundred tokens are 100
    with JudgeServer(Act("Yes")) as server, pytest.raises(UserError, match=r"model\.max_cost=150 is reached"):
        model(server, tmp_path, max_cost=150, concurrency=1, **prices).generate(requests("a", "b", "c"))
    assert len(server.bodies) == 2


def test_the_whole_pipeline(models, tmp_path):
    """A server that names a box for every expression: the segmenter is given it, and masks are scored."""
    with JudgeServer(Act('[{"bbox_2d": [100, 100, 900, 900]}]')) as server:
        result = evaluate(
            config_of(
                "model=openai", "model.model=m", f"model.base_url={server.url}", f"model.cache_dir={tmp_path / 'c'}",
                "extraction=text_box", "extraction.extractors.text_box.convention=json_1000", "limit=4",
                f"segmenter.path={models / 'sam'}", f"outputs_dir={tmp_path}", "report.pictures=0",
            )
        )  # fmt: skip
    lines = [line for line in scores_of(result) if line["row"] == "text_box"]
    assert lines and all(line["shown"] for line in lines)
    assert 0 < len(server.bodies) <= 12
