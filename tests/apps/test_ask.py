"""One picture and one question, by the embedded miniature on its own scenes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pixfound
from pixfound.apps.ask.asker import Asked, Asker
from pixfound.apps.ask.cli import asker, main, scene_or_picture
from pixfound.benchmarks.pixshapes import PixShapes
from pixfound.errors import UserError
from pixfound.types.masks import RLE
from tests.support.judge_server import Act, JudgeServer

QUESTION = "What colour is the circle? (a) blue (b) orange"
PLACE = 2  # of the scene that it is about


@pytest.fixture(scope="module")
def miniature() -> Asker:
    return asker()


@pytest.fixture(scope="module")
def asked(miniature: Asker) -> Asked:
    return miniature.ask(scene_or_picture(f"pixshapes:{PLACE}"), QUESTION, "the circle")


def test_the_answer_is_that_of_a_run(asked: Asked, tmp_path: Path) -> None:
    """Text, candidates and choice equal those of an evaluation, which goes through records on disk."""
    quick = {"report.page": False, "report.charts": False, "report.pictures": 0, "scoring.resamples": 100}
    run = pixfound.evaluate(limit=4, outputs_dir=tmp_path, **quick)
    item = run.examples[PLACE]
    assert item.prompt("ground").text == asked.run.examples[0].prompt("ground").text
    assert item.prompt("open").text.strip() == asked.run.examples[0].prompt("open").text.strip() == QUESTION
    for kind, reply in asked.replies.items():
        stored = run.data.answer(item, kind)
        assert stored is not None and reply.text == stored.text
        for found, kept in zip(reply.candidates, run.data.candidates(item, kind, "attention") or (), strict=True):
            assert (found.mask, found.phrase, found.point) == (kept.mask, kept.phrase, kept.point)
            assert found.score == pytest.approx(kept.score, abs=1e-5)  # other pictures were segmented with it
    shown = run.mask(item)
    assert asked.mask is not None and shown is not None and (asked.mask == shown).all()
    assert asked.text == asked.replies["open"].text and asked.phrases


def test_the_sheet_frames_the_chosen_phrase(asked: Asked) -> None:
    sheet = np.asarray(asked.sheet()).astype(int)
    blue = (sheet[..., 2] > 200) & (sheet[..., 0] < 60) & (sheet[..., 1] < 120)
    lines = np.flatnonzero(blue.sum(axis=1) > 200)  # the upper and lower edges of frames
    edges = np.split(lines, np.flatnonzero(np.diff(lines) > 1) + 1)
    assert len(edges) == 2 * len(asked.replies)  # one frame for each reply
    assert {len(edge) for edge in edges} == {5} and edges[1][0] - edges[0][-1] > 200
    assert asked._repr_png_().startswith(b"\x89PNG")


def test_a_model_that_is_set_to_give_no_attention_gives_it_when_asked() -> None:
    (reply,) = asker(model="tiny_pixel").ask(scene_or_picture(f"pixshapes:{PLACE}"), QUESTION).replies.values()
    assert reply.generation.attention is not None and reply.chosen is not None
    with pytest.raises(UserError, match="capture=step"):
        asker(None, "model.capture=none", model="tiny_pixel").ask(scene_or_picture("pixshapes:2"), QUESTION)


def test_without_an_expression_the_question_alone_is_asked(miniature: Asker) -> None:
    asked = miniature.ask(scene_or_picture(f"pixshapes:{PLACE}"), QUESTION)
    assert list(asked.replies) == ["open"] and asked.main.text == asked.text
    assert list(miniature.ask(asked.picture, expression="the circle").replies) == ["ground"]
    with pytest.raises(pixfound.UserError, match="ask a question"):
        miniature.ask(asked.picture)


def test_the_choice_by_attention_is_the_mask_that_holds_most_for_its_size(asked: Asked) -> None:
    found = asker("attention").ask(asked.picture, expression="the circle").main
    extractor = next(iter(asked.run.data.parts.extractors.values())).built
    held = []
    for candidate in found.candidates:
        assert candidate.phrase is not None
        heat = extractor.attention_map(found.generation, candidate.phrase)
        assert heat is not None
        positive, mask = np.where(heat > 0, heat, 0), candidate.mask.decode()
        held.append(positive[mask].sum() / positive.sum() - mask.sum() / mask.size)
    assert found.choice.index == int(np.argmax(held)) and f"{max(held):.3f}" in found.choice.reason


def test_a_judge_chooses_in_rounds(asked: Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who always names the second picture of two: of six in order that is 1, 3, 5, then 3, and of 3 and 5 the last."""
    monkeypatch.setenv("JUDGE_KEY", "secret")
    automatic = {"chunk": 2, "presence": False, "shuffle": False}
    options = {f"extraction.selectors.automatic.{name}": value for name, value in automatic.items()}
    with JudgeServer(Act("2")) as server:
        judge: dict[str, Any] = {"judge.base_url": server.url, "judge.model": "m", "judge.api_key_env": "JUDGE_KEY"}
        judge |= {"judge.cache_dir": tmp_path}
        chooser = asker("judge", judge="openai", **judge, **options)
        found = chooser.ask(asked.picture, expression="the circle").main
        count = len(found.candidates)
        assert found.choice.index == count - 1 and len(server.bodies) == count - 1 >= 3
    with pytest.raises(pixfound.UserError, match="cannot look at images"):
        asker("judge")


def test_the_command(asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "scene.png"
    asked.picture.save(picture)
    files = {name: str(tmp_path / name) for name in ("a.png", "masks.json", "page")}
    words = [str(picture), QUESTION, "--expression", "the circle", "model=tiny", "segmenter.dtype=float32"]
    main([*words, "--png", files["a.png"], "--masks", files["masks.json"], "--page", files["page"]])
    printed = capsys.readouterr().out
    assert f"answer: {asked.text}\n" in printed and f"* {asked.phrases[0]}" in printed
    assert np.array_equal(np.asarray(Image.open(files["a.png"])), np.asarray(asked.sheet()))
    (stored,) = (mask for mask in json.loads(Path(files["masks.json"]).read_text()) if mask["prompt"] == "ground")
    assert asked.mask is not None and (RLE.from_coco(stored["segmentation"]).decode() == asked.mask).all()
    example = (Path(files["page"]) / "data/0/0.js").read_text()
    assert asked.main.text in example and '\\"absent\\":false' in example


def test_libraries_say_nothing_beside_the_answer(tmp_path: Path) -> None:
    words = ["pixshapes:2", "--expression", "the circle", "model=tiny_pixel", "extraction=native"]
    command = [sys.executable, "-m", "pixfound.apps.ask.cli", *words, "--png", str(tmp_path / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("grounding: It is [SEG].") and done.stderr == ""


def test_a_picture_that_is_too_narrow_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (500, 1)).save(tmp_path / "line.png")
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path / "line.png"), QUESTION])
    assert "a picture of 500 x 1 pixels is too narrow for a segmenter of 128" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pixshapes:x", "What?"], "give a number"),
        (["nothing.png", "What?"], "nothing.png: cannot be read"),
        (["pixshapes:0"], "ask a question"),
        (["pixshapes:0", "What", "is this?"], "in quotes"),
        (["pixshapes:0", "What?", "modle=tiny"], "did you mean model"),
        (["pixshapes:0", "What?", "--choose", "attention", "extraction=native"], "nothing can be chosen by attention"),
    ],
)
def test_what_is_wrong_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and message in error and error.count("\n") == 1


def test_scenes_are_those_of_the_benchmark() -> None:
    assert np.array_equal(np.asarray(scene_or_picture("pixshapes:5")), np.asarray(PixShapes(3)[5].image.load()))
