"""Florence-2 and Kosmos-2, tiny and random, from their prompts to scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import Image

from pixfound.apps.evaluation import evaluate
from pixfound.extractors.parsers.grammars import loc_polygons, patch_boxes
from pixfound.models.encoder_decoder import Plain
from pixfound.types import Prompt
from tests.support.plain import save_florence2, save_kosmos2
from tests.support.run import config_of, scores_of

SAVE: dict[str, Callable[[Path], Path]] = {"florence2": save_florence2, "kosmos2": save_kosmos2}
ASKED = {
    "florence2": ["<REFERRING_EXPRESSION_SEGMENTATION>a cat", "<REFERRING_EXPRESSION_SEGMENTATION>a much longer one"],
    "kosmos2": ["<grounding><phrase> a cat</phrase>", "<grounding><phrase> a much longer one</phrase>"],
}
RUN = {
    "florence2": ["model=florence2_large", "extraction=text_mask"],
    "kosmos2": ["model=kosmos2", "extraction=text_box"],
}


@pytest.fixture(scope="module", params=SAVE)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random model."""
    return SAVE[request.param](tmp_path_factory.mktemp("plain") / request.param)


def requests(folder: Path) -> list[tuple[Image.Image, Prompt]]:
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(80 * i, 80 * i + 90, (40, 60 + i, 3), dtype=np.uint8)) for i in range(3)]
    texts = [ASKED[folder.name][0], *ASKED[folder.name]]
    return [(image, Prompt("x", "ground", "v", text)) for image, text in zip(images, texts, strict=True)]


def model(folder: Path) -> Plain:
    return Plain(str(folder), dtype="float32", device="cpu", generation={"max_new_tokens": 14})


def test_an_answer_does_not_depend_on_its_batch(folder: Path) -> None:
    asked, speaker = requests(folder), model(folder)
    together = speaker.generate(asked)
    assert together == [speaker.generate([request])[0] for request in asked]
    assert len({generation.text for generation in together}) == 3  # the picture matters, and so does the prompt
    for generation, (image, _) in zip(together, asked, strict=True):
        assert generation.image_size == (image.height, image.width)
        assert "".join(generation.text[a:b] for a, b in generation.spans) == generation.text


def test_the_text_is_what_transformers_generates(folder: Path) -> None:
    """By hand: no batch, no padding, the whole sequence decoded, its marks taken away."""
    processor = hf.AutoProcessor.from_pretrained(folder)
    whole = hf.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    for request, generation in zip(requests(folder), model(folder).generate(requests(folder)), strict=True):
        inputs = processor(text=request[1].text, images=request[0], return_tensors="pt")
        settings = {"generation_config": whole.generation_config, "max_new_tokens": 14}  # Kosmos-2 forgets its own
        ids = whole.generate(**inputs, **settings)[0]
        ids = ids if whole.config.is_encoder_decoder else ids[inputs["input_ids"].shape[1] :]
        text = processor.tokenizer.decode(ids, skip_special_tokens=False)
        for mark in ("<s>", "</s>", "<pad>"):
            text = text.replace(mark, "")
        assert generation.text == text
        assert loc_polygons(text) or patch_boxes(text)


def test_words_have_vectors(folder: Path) -> None:
    vectors = model(folder).text_vectors()
    assert vectors.vector("cat").shape == (32,) and (vectors.vector("cat") != vectors.vector("dog")).any()


def test_the_whole_pipeline(folder: Path, models: Path, tmp_path: Path) -> None:
    result = evaluate(
        config_of(
            "model=plain", f"model.path={folder}", "model.dtype=float32", "model.generation.max_new_tokens=14",
            f"segmenter.path={models / 'sam'}", "benchmark=pixshapes", "limit=2", "scoring.resamples=100",
            "report.pictures=1", "report.charts=false", f"outputs_dir={tmp_path}", *RUN[folder.name],
        )
    )  # fmt: skip
    assert not result.failures
    lines = [
        json.loads(x) for f in tmp_path.glob("stages/extract/*/journal-*.jsonl") for x in f.read_text().splitlines()
    ]
    assert any(line["value"]["candidates"] for line in lines)
    row = RUN[folder.name][1].removeprefix("extraction=")
    scores = [line for line in scores_of(result) if line["row"] == row and line["kind"] == "ground"]
    assert len(scores) == 2 and all(line["iou"] is not None for line in scores)
