"""The demo in a real browser: its words, against the attention of the same question in Python."""

from __future__ import annotations

import io
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixfound.apps.ask.cli import asker, scene_or_picture
from pixfound.apps.demo import build, examples, light, main, serve, word_spans

SHOTS = Path(__file__).parents[2] / "build" / "page"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("gradio", reason='gradio is not installed: pip install ".[demo]"')
    page = build(["tiny", "tiny_pixel"], ["seed=0"], None, tmp_path_factory.mktemp("examples"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    yield serve(page, port=port, block=False)
    page.close()


def shown(tab: Any, label: str) -> Any:
    """The pixels of the picture under a label, fetched from the server."""
    block = tab.locator(".block", has=tab.locator("label", has_text=label)).last
    url = block.locator("img").get_attribute("src")
    return np.asarray(Image.open(io.BytesIO(tab.request.get(url).body())).convert("RGB")).astype(int)


def test_words_light_up_regions(address: str, browser: Any, capfd: pytest.CaptureFixture[str]) -> None:
    tab, requests, wrong = browser.new_page(viewport={"width": 1300, "height": 1000}), list[str](), list[str]()
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.goto(address)
    tab.locator("tr", has_text="the circle").click()
    tab.wait_for_function("() => [...document.querySelectorAll('textarea, input')].some(e => e.value === 'the circle')")
    tab.get_by_role("button", name="Ask", exact=True).click()
    tab.locator(".token").first.wait_for(timeout=60_000)
    asked = asker().ask(scene_or_picture("pixshapes:2"), "What colour is the circle? (a) blue (b) orange", "the circle")
    words = [reply.text.split() for reply in asked.replies.values()]
    assert tab.locator(".token .text").all_text_contents() == [*words[0], *words[1]]
    before = shown(tab, "Where it looked")
    place = words[1].index("circle")
    tab.locator(".token").nth(len(words[0]) + place).click()
    tab.wait_for_timeout(500)
    for _ in range(40):
        found = shown(tab, "Where it looked")
        if (found != before).any():
            break
        tab.wait_for_timeout(250)
    heat, mask = light(asked, asked.main, word_spans(asked.main.text)[place])
    np.testing.assert_allclose(found, np.asarray(heat).astype(int), atol=2)
    np.testing.assert_allclose(shown(tab, "Mask of the phrase"), np.asarray(mask).astype(int), atol=2)
    SHOTS.mkdir(parents=True, exist_ok=True)
    tab.evaluate("window.scrollTo(0, 0)")
    tab.screenshot(path=SHOTS / "demo.png")
    other = asker(model="tiny_pixel").ask(asked.picture, asked.question, asked.expression)
    heat = np.asarray(light(other, other.main, (0, len(other.main.text)))[0]).astype(int)
    tab.get_by_label("Model").click()
    tab.get_by_role("option", name="tiny_pixel").click()
    tab.get_by_role("button", name="Ask", exact=True).click()
    for _ in range(240):
        if np.abs(shown(tab, "Where it looked") - heat).max() <= 2:
            break
        tab.wait_for_timeout(250)
    np.testing.assert_allclose(shown(tab, "Where it looked"), heat, atol=2)
    tab.get_by_label("Question").fill("")
    tab.get_by_label("Expression to be shown").fill("")
    tab.get_by_role("button", name="Ask", exact=True).click()
    tab.get_by_text("ask a question, or give an expression").wait_for()
    assert "Traceback" not in capfd.readouterr().err
    assert requests and all(url.startswith((address, "data:", "blob:")) for url in requests) and not wrong
    tab.close()


def test_the_examples_can_be_asked(tmp_path: Path) -> None:
    rows = examples(tmp_path)
    assert len(rows) >= 4 and all(Image.open(file).size[0] > 0 for file, *_ in rows)
    assert rows[1][1:] == ["What colour is the circle? (a) blue (b) orange", "the circle"]


@pytest.mark.parametrize(("words", "message"), [(["tiny"], "KEY=VALUE"), (["model=tinny"], "did you mean tiny")])
def test_what_is_wrong_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gradio", reason='gradio is not installed: pip install ".[demo]"')
    with pytest.raises(SystemExit) as ended:
        main(words)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and message in error and error.count("\n") == 1


def test_the_address_is_said_at_once() -> None:
    pytest.importorskip("gradio", reason='gradio is not installed: pip install ".[demo]"')
    command = [sys.executable, "-m", "pixfound.apps.demo", "model=tiny"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        assert re.fullmatch(r"to look at in a browser: http://127\.0\.0\.1:\d+/?\n", served.stdout.readline())
        served.terminate()
