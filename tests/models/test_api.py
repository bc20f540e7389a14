from __future__ import annotations

import base64
import io
import threading

import numpy as np
import pytest
from PIL import Image

from pixfound.apps.evaluation import evaluate
from pixfound.errors import UserError
from pixfound.interfaces import JudgeError, Load
from pixfound.models.api import OpenAIModel
from pixfound.models.huggingface import HuggingFace
from pixfound.types import KINDS, Prompt
from tests.support.judge_server import Act, JudgeServer
from tests.support.places import BOX, MIDDLE, SIZE, box_of, masks_for
from tests.support.run import QUIET, config_of, scores_of
from tests.support.served import answers_of

pytest.importorskip("openai")
pytestmark = pytest.mark.usefixtures("quick_retries")
IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8))


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")


def thousandths(values):
    """x and y in turn, in thousandths of the image's sides."""
    return [round(v * 1000 / SIZE[1 - i % 2]) for i, v in enumerate(values)]


def model(server, folder, **options):
    return OpenAIModel("m", base_url=server.url, cache_dir=str(folder), **options)


def requests(*texts):
    return [(IMAGE, Prompt(str(i), "open", "v", text)) for i, text in enumerate(texts)]


def test_it_is_shown_the_very_pixels_and_the_prompt(tmp_path):
    with JudgeServer(Act(" A cat.")) as server:
        (said,) = model(server, tmp_path, system="Be brief.").generate(requests("What is it?"))
    assert (said.text, said.image_size, said.attention) == ("A cat.", (6, 9), None)
    system, user = server.bodies[0]["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    assert user["content"][0] == {"type": "text", "text": "What is it?"}
    picture = base64.b64decode(user["content"][1]["image_url"]["url"].partition(",")[2])
    assert (np.asarray(Image.open(io.BytesIO(picture))) == np.asarray(IMAGE)).all()
    assert server.bodies[0]["temperature"] == 0


def test_a_reply_that_ends_at_its_limit_is_cut(tmp_path):
    with JudgeServer(Act("A cat and a", finish="length"), Act("A dog.")) as server:
        asked = model(server, tmp_path, concurrency=1)
        first = [said.cut for said in asked.generate(requests("a", "b"))]
        kept = [said.cut for said in model(server, tmp_path).generate(requests("a", "b"))]
    assert first == kept == [True, False]
    assert len(server.bodies) == 2


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
    with pytest.raises(UserError, match=r"OpenAIModel\.concurrency=0: must be a whole number"):
        OpenAIModel("m", concurrency=0)
    with pytest.raises(UserError, match="no word vectors"):
        OpenAIModel("m").text_vectors()
    (tmp_path / "file").touch()
    with JudgeServer(Act("Yes")) as server, pytest.raises(UserError, match=r"set model\.cache_dir=DIR"):
        model(server, tmp_path / "file" / "in it").generate(requests("a"))


def test_the_cost_has_a_limit(tmp_path):
    prices = {"price_per_million_input": 1e6, "price_per_million_output": 0.0}  # a hundred tokens are 100
    with JudgeServer(Act("Yes")) as server, pytest.raises(UserError, match=r"model\.max_cost=150 is reached"):
        model(server, tmp_path, max_cost=150, concurrency=1, **prices).generate(requests("a", "b", "c"))
    assert len(server.bodies) == 2


def test_a_failing_request_leaves_the_others_alone(tmp_path):
    def echo(body):
        said = body["messages"][-1]["content"][0]["text"]
        return None if said == "b" else said.upper()

    with JudgeServer(Act(echo)) as server:
        asked = model(server, tmp_path, max_retries=1)
        first, failed, last = asked.generate(requests("a", "b", "c"))
        assert (first.text, last.text) == ("A", "C") and isinstance(failed, JudgeError)
        assert len(server.bodies) == 3, "each is sent once"


def test_the_cost_is_estimated_before(tmp_path):
    asked = OpenAIModel("m", max_tokens=100, price_per_million_input=1.0, price_per_million_output=10.0, max_cost=0.02)
    assert asked.plan(Load(4, 4000, 4)).endswith("about 4060 tokens in and 400 out, cost about 0.0081")
    with pytest.raises(UserError, match=r"model\.max_cost=0\.02 would not do: at most 20 requests"):
        asked.plan(Load(20, 4000, 20))


def served(server, tmp_path, *overrides):
    return evaluate(
        config_of(
            "model=openai", "model.model=m", f"model.base_url={server.url}", f"model.cache_dir={tmp_path / 'c'}",
            "model.max_retries=0", f"outputs_dir={tmp_path}", "limit=6", *QUIET, *overrides,
        )
    )  # fmt: skip


@pytest.mark.verifies("VQA", model="openai")
def test_over_http_a_model_says_and_scores_what_it_does_directly(tmp_path, capsys):
    """The embedded model, behind an endpoint and without one: each answer, A and A-dagger are the same.

    And the answers that the endpoint wrote, given to the same model on this side: it looks where it would have looked.
    """
    local = ("model=tiny", f"outputs_dir={tmp_path}", "limit=6", *QUIET)
    direct = evaluate(config_of(*local))
    with JudgeServer(Act(answers_of(HuggingFace("embedded:tiny_llava", capture="none")))) as server:
        remote = served(server, tmp_path, "extraction=nulls")
    looking = evaluate(config_of(*local, *(f"model.answers.{kind}={remote.folder}" for kind in KINDS)))
    assert scores_of(looking) == scores_of(direct) and looking.folder != direct.folder
    said, written = ([line["response"] for line in scores_of(r) if line["row"] is None] for r in (direct, remote))
    assert said == written
    assert remote.metrics["vqa"] == direct.metrics["vqa"]
    assert direct.metrics["vqa"]["A_dagger_item"]["value"] > 0
    assert not remote.failures
    assert f"model: at most {3 * remote.metrics['examples']} requests to m" in capsys.readouterr().err


def test_one_refused_request_is_one_failure_of_the_run(tmp_path):
    """The others of its batch are scored, none is sent twice, and the same command asks for the one again."""
    seen = []

    def moody(body):
        seen.append(body["messages"][-1]["content"])
        return None if len(seen) == 2 else "(a)"

    with JudgeServer(Act(moody)) as server:
        first = served(server, tmp_path, "extraction=nulls", "model.concurrency=1", "batch_size=12")
        asked = len(seen)
        assert len(first.failures) == 1 and "JudgeError" in first.failures[0]
        assert len({str(content) for content in seen}) == asked
        again = served(server, tmp_path, "extraction=nulls", "model.concurrency=1", "batch_size=12")
    assert not again.failures and len(seen) == asked + 1


@pytest.mark.parametrize(
    ("kind", "reply"),
    [
        pytest.param(
            "box", f'[{{"bbox_2d": {thousandths(BOX)}}}]', marks=pytest.mark.verifies("boxes", model="openai")
        ),
        pytest.param(
            "point", f'[{{"point_2d": {thousandths(MIDDLE)}}}]', marks=pytest.mark.verifies("points", model="openai")
        ),
    ],
)
def test_a_place_that_a_server_names_is_drawn_there(tmp_path, kind, reply):
    with JudgeServer(Act(reply)) as server:
        speaking = {
            "_target_": "pixfound.models.api.OpenAIModel", "model": "m", "base_url": server.url,
            "cache_dir": str(tmp_path / "c"), "max_retries": 0,
        }  # fmt: skip
        (mask,) = masks_for(tmp_path, speaking, f"text_{kind}", "json_1000")
    assert box_of(mask) == pytest.approx(BOX, abs=2)
    assert 0 < len(server.bodies) <= 3
