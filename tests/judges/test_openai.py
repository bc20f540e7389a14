from __future__ import annotations

import base64
import io
import logging
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import JudgeError, Load, without_errors
from pixfound.judges.asking import UnreadableReply
from pixfound.judges.openai import OpenAIJudge
from tests.support.examples import drawn, make_example
from tests.support.judge_server import Act, JudgeServer

pytest.importorskip("openai")
pytestmark = pytest.mark.usefixtures("quick_retries")
KEY = "sk-secret-0123456789"
EXAMPLE = make_example(drawn("#."))
OK = Act("Yes")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def judge_at(tmp_path):
    def make(server: JudgeServer, **values) -> OpenAIJudge:
        plain = {"model": "m", "api_key_env": "JUDGE_KEY", "cache_dir": str(tmp_path / "cache")}
        return OpenAIJudge(**{**plain, "base_url": server.url, "max_retries": 2, "timeout_s": 5.0, **values})

    return make


def test_it_grades_and_counts(judge_at) -> None:
    with JudgeServer(Act("Yes."), Act("**No**"), Act("None of them")) as server:
        judge = judge_at(server, price_per_million_input=2.5, price_per_million_output=10)
        assert [without_errors(judge.grade([(EXAMPLE, text)]))[0][0] for text in ("a", "b")] == [True, False]
        with pytest.raises(UnreadableReply, match="could not be read: 'None of them'"):
            without_errors(judge.grade([(EXAMPLE, "c")]))
        assert judge.name == "openai:m"
        assert judge.usage() == pytest.approx(
            {"requests": 3, "cached": 0, "input_tokens": 300, "output_tokens": 6, "cost": 810e-6}
        )
        body = server.bodies[0]
        assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0.2, 256)
        assert [m["role"] for m in body["messages"]] == ["system", "user"]
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"


def test_a_reply_that_cannot_be_read_is_not_kept(judge_at) -> None:
    picture = Image.new("RGB", (4, 4))
    with JudgeServer(Act("Maybe"), Act("Perhaps"), OK, OK) as server:
        for _ in range(2):
            with pytest.raises(UnreadableReply):
                without_errors(judge_at(server).grade([(EXAMPLE, "c")]))
        assert (
            without_errors(judge_at(server).grade([(EXAMPLE, "c")]))[0][0]
            is without_errors(judge_at(server).grade([(EXAMPLE, "c")]))[0][0]
            is True
        )
        assert len(server.bodies) == 3
        judge_at(server).ask("s", "q", [picture])
        judge_at(server).forget("s", "q")
        judge_at(server).ask("s", "q", [picture])
        assert len(server.bodies) == 4, "that was another question"
        judge_at(server).forget("s", "q", [picture])
        judge_at(server).ask("s", "q", [picture])
        assert len(server.bodies) == 5


def test_null_leaves_a_setting_out_and_cost_unknown(judge_at) -> None:
    with JudgeServer(OK) as server:
        judge = judge_at(server, temperature=None, max_tokens=None)
        judge.ask("s", "q")
        assert set(server.bodies[0]) == {"model", "messages"}
        assert judge.usage()["cost"] is None


def test_the_second_ask_costs_nothing_even_without_key(judge_at, monkeypatch) -> None:
    with JudgeServer(Act("one"), Act("two"), Act("three")) as server:
        assert judge_at(server).ask("s", "q") == "one"
        monkeypatch.delenv("JUDGE_KEY")
        again = judge_at(server)
        assert again.ask("s", "q") == "one"
        assert again.usage()["requests"] == 0
        assert again.usage()["cached"] == 1
        monkeypatch.setenv("JUDGE_KEY", KEY)
        assert judge_at(server, temperature=0).ask("s", "q") == "two"
        assert judge_at(server).ask("s", "other") == "three"


def test_lone_surrogates_are_asked_about_answered_with_and_kept(judge_at) -> None:
    with JudgeServer(Act("Yes \ud83d"), Act("none")) as server:
        assert judge_at(server).ask("s", "is \udfff red?") == "Yes \ud83d"
        assert server.bodies[0]["messages"][1]["content"] == "is \ufffd red?"
        assert judge_at(server).ask("s", "is \udfff red?") == "Yes \ud83d"
        assert len(server.bodies) == 1


def test_it_waits_as_long_as_it_is_told(judge_at) -> None:
    with JudgeServer(Act(status=429, headers={"Retry-After": "0.2"}), OK) as server:
        begun = time.monotonic()
        assert judge_at(server).ask("s", "q") == "Yes"
        assert time.monotonic() - begun >= 0.2


def test_a_pause_that_is_too_long_is_an_error(judge_at) -> None:
    with JudgeServer(Act(status=429, headers={"Retry-After": "3600"})) as server:
        with pytest.raises(JudgeError, match=r"429.*after 1 try.*pause, Retry-After: 3600"):
            judge_at(server).ask("s", "q")
        assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("act", "tries", "message"),
    [
        (Act(status=500), 3, "HTTP 500: out of order .after 3 tries"),
        (Act(raw="{nonsense"), 1, "no chat completion"),
        (Act(raw="[]"), 1, "no chat completion"),
        (Act(raw='{"choices": []}'), 1, "no chat completion"),
    ],
)
def test_retries_are_bounded_and_one_good_reply_is_enough(judge_at, act, tries, message) -> None:
    again = [act] if tries > 1 else []
    with JudgeServer(*[act] * tries, *again, OK) as server:
        judge = judge_at(server)
        with pytest.raises(JudgeError, match=message):
            judge.ask("s", "q")
        assert len(server.bodies) == tries
        assert judge.ask("s", "q") == "Yes"  # no failure was cached
        assert judge.usage()["requests"] == tries + len(again) + 1


def test_one_question_finds_out_that_a_server_is_down_and_the_others_ask_once_until_it_is_up(judge_at) -> None:
    down = Act(cut=True)
    with JudgeServer(*[down] * 6, OK, down, down, OK) as server:
        judge = judge_at(server)
        for question, tries, bodies in (("a", "3 tries", 3), ("b", "1 try", 4), ("c", "1 try", 5), ("a", "1 try", 6)):
            with pytest.raises(JudgeError, match=f"the connection failed .*after {tries}"):
                judge.ask("s", question)
            assert len(server.bodies) == bodies
        assert judge.ask("s", "b") == "Yes"  # no failure was cached
        assert judge.ask("s", "c") == "Yes"  # and all tries are given again
        assert len(server.bodies) == 10


def test_a_server_that_hangs_is_given_up(judge_at) -> None:
    with JudgeServer(Act(hang=True)) as server, pytest.raises(JudgeError, match=r"timeout_s=0\.1 seconds"):
        judge_at(server, timeout_s=0.1, max_retries=1).ask("s", "q")
    assert len(server.bodies) == 2


@pytest.mark.parametrize("act", [Act("  "), Act(None), Act("", finish="length")])
def test_an_empty_reply_is_a_failure_that_is_paid_but_not_kept(judge_at, act) -> None:
    with JudgeServer(act, OK) as server:
        judge = judge_at(server)
        with pytest.raises(JudgeError, match="reply is empty"):
            without_errors(judge.grade([(EXAMPLE, "x")]))
        assert judge.usage()["input_tokens"] == 100
        assert without_errors(judge.grade([(EXAMPLE, "x")]))[0][0] is True


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (Act(status=401, error={"message": f"bad key {KEY}"}), "JUDGE_KEY"),
        (Act(status=403), "judge.api_key_env=NAME"),
        (Act(status=404, error={"message": "no model m"}), "judge.model=m.*no model m.*judge.base_url"),
        (Act(status=400, error={"message": "no", "param": "temperature"}), "judge.temperature=null"),
        (Act(status=429, error={"message": "pay", "code": "insufficient_quota"}), "no credit"),
    ],
)
def test_what_no_retry_mends_is_said_at_once(judge_at, act, message) -> None:
    with JudgeServer(act) as server:
        with pytest.raises(UserError, match=message):
            judge_at(server).ask("s", "q")
        assert len(server.bodies) == 1


def test_max_cost_ends_the_run_and_keeps_what_is_done(judge_at) -> None:
    prices = {"price_per_million_input": 10_000, "price_per_million_output": 0}  # 1 for each request
    with JudgeServer(OK) as server:
        judge = judge_at(server, max_cost=2, **prices)
        assert [judge.ask("s", q) for q in "ab"] == ["Yes", "Yes"]
        with pytest.raises(UserError, match=r"max_cost=2 is reached: 2 was spent on 2 requests \(200 tokens in"):
            judge.ask("s", "c")
        assert judge.ask("s", "a") == "Yes"
    with JudgeServer(Act("Yes", usage=None)) as server, pytest.raises(UserError, match="reports no tokens"):
        judge_at(server, max_cost=2, **prices).ask("s", "q")


def test_requests_at_a_time_are_limited(judge_at) -> None:
    together = threading.Barrier(3)  # opens only where three requests are under way at once
    with JudgeServer(Act(meet=together)) as server, ThreadPoolExecutor(12) as pool:
        judge = judge_at(server, concurrency=3)
        assert list(pool.map(lambda i: judge.ask("s", str(i)), range(12))) == ["Yes"] * 12
        assert server.peak == 3


def test_many_are_graded_in_order_and_an_outage_costs_each_its_own_tries(judge_at) -> None:
    with JudgeServer(OK) as server:
        judge = judge_at(server)
        judge.grade([(EXAMPLE, str(i)) for i in range(6)])
        server.script = [Act("No")]
        assert [found[0] for found in judge.grade([(EXAMPLE, t) for t in ("3", "new", "4")])] == [
            True,
            False,
            True,
        ]
        server.script = [Act(status=500)]
        before = len(server.bodies)
        down, kept = judge.grade([(EXAMPLE, "bad"), (EXAMPLE, "5")])
        assert isinstance(down, JudgeError)
        assert "HTTP 500" in str(down)
        assert kept[0] is True
        assert len(server.bodies) - before == 3  # one, and two retries


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_images_arrive_unchanged_as_png(judge_at, mode) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    with JudgeServer(OK) as server:
        judge_at(server).ask("s", "which?", [image, image.convert("CMYK")])
        text, first, second = server.bodies[0]["messages"][1]["content"]
    assert text == {"type": "text", "text": "which?"}
    for part in (first, second):
        head, _, data = part["image_url"]["url"].partition(",")
        assert head == "data:image/png;base64"
        sent = Image.open(io.BytesIO(base64.b64decode(data)))
        assert sent.format == "PNG"
        if part is first:
            assert sent.mode == mode
            assert np.array_equal(np.asarray(sent), np.asarray(image))


def test_the_key_is_nowhere(judge_at, tmp_path, caplog) -> None:
    echo = {"message": f"the key {KEY} was refused"}
    acts = [Act(status=code, error=echo) for code in (401, 403, 404, 400, 500, 500, 500)]
    texts = []
    with caplog.at_level(logging.DEBUG), JudgeServer(*acts, OK) as server:
        judge = judge_at(server)
        for _ in range(5):
            with pytest.raises((UserError, JudgeError)) as caught:
                judge.ask("s", "q")
            error: BaseException | None = caught.value
            while error is not None:
                texts.append("".join(traceback.format_exception(error)) + repr(error))
                error = error.__cause__ or error.__context__
        assert judge.ask("s", "q") == "Yes"
        texts += [repr(vars(judge)), repr(judge.identity()), repr(judge.provenance()), caplog.text]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    texts += [path.read_text() + path.name for path in files]
    assert not [text for text in texts if KEY in text]
    assert "cache" not in repr(judge.identity())


def test_without_key_or_package_it_says_what_to_do(judge_at, monkeypatch) -> None:
    with JudgeServer(OK) as server:
        with monkeypatch.context() as patch:
            patch.delenv("JUDGE_KEY")
            with pytest.raises(UserError, match="JUDGE_KEY: this environment variable is not set"):
                judge_at(server).ask("s", "q")
        monkeypatch.setitem(sys.modules, "openai", None)
        with pytest.raises(UserError, match=r'pip install "pixfound\[judge\]"'):
            judge_at(server).ask("s", "q")


@pytest.mark.parametrize(
    "bad",
    [{"temperature": 3}, {"max_tokens": 0}, {"timeout_s": 0}, {"max_retries": -1}, {"concurrency": 0}, {"max_cost": 1},
     {"base_url": "localhost"}, {"base_url": "http://u:p@host/v1"}, {"api_key_env": KEY}, {"answer_form": "word"}],
)  # fmt: skip
def test_settings_are_checked_at_once(bad) -> None:
    with pytest.raises(UserError, match=f"(?i)judge.*{next(iter(bad))}") as caught:
        OpenAIJudge(**bad)
    assert KEY not in str(caught.value)


def test_an_unwritable_cache_is_said_before_paying(judge_at, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with JudgeServer(OK) as server:
        with pytest.raises(UserError, match=r"judge\.cache_dir=DIR"):
            judge_at(server, cache_dir=str(tmp_path / "file" / "x")).ask("s", "q")
        assert not server.bodies


def test_the_cost_is_told_before_and_refused_where_it_is_too_much(judge_at) -> None:
    load = Load(requests=100, characters=40_000, images=10)
    with JudgeServer(OK) as server:
        assert "cost unknown" in judge_at(server).plan(load)
        prices = {"price_per_million_input": 2.0, "price_per_million_output": 10.0}
        line = judge_at(server, **prices).plan(load)
        assert "at most 100 requests to m, about 17650 tokens in and 400 out, cost about 0.039" in line
        assert judge_at(server, **prices, max_cost=0.04).plan(load) == line
        with pytest.raises(UserError, match=r"judge.max_cost=0.03 would not do: at most 100 requests"):
            judge_at(server, **prices, max_cost=0.03).plan(load)
        assert server.bodies == []
