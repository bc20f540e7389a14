"""Prompts for which a decoder has too few positions fail by themselves, before they are answered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import transformers as hf
from PIL import Image

from pixfound.apps.evaluation import evaluate
from pixfound.errors import PromptTooLong
from pixfound.models.generation_options import positions
from pixfound.models.huggingface import HuggingFace
from pixfound.types import Generation, Prompt
from tests.support.pixel import DATA, prompt_of
from tests.support.random_llava import save_random_llava
from tests.support.run import QUIET, config_of, scores_of

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
SHORT, LONG = (IMAGE, Prompt("a", "open", "v", "What?")), (IMAGE, Prompt("b", "open", "v", "what " * 200))


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A LLaVA with 512 positions and a tokenizer of bytes."""
    return str(save_random_llava(tmp_path_factory.mktemp("llava") / "m"))


def test_the_long_one_is_an_error_and_the_others_are_answered(llava: str) -> None:
    model = HuggingFace(llava, dtype="float32", capture="none", generation={"max_new_tokens": 8})
    first, error, last = model.generate([SHORT, LONG, SHORT])
    assert isinstance(first, Generation) and first == last == model.generate([SHORT])[0]
    assert isinstance(error, PromptTooLong)
    assert "max_new_tokens" in str(error) and "512 positions" in str(error)
    assert isinstance(model.generate([LONG])[0], PromptTooLong)


def test_the_last_token_that_fits_is_counted(llava: str) -> None:
    """Prompt and new tokens may fill all positions."""
    length = int(HuggingFace(llava, dtype="float32").encode([SHORT])["attention_mask"].sum())
    for new, fits in ((512 - length, True), (513 - length, False)):
        (said,) = HuggingFace(llava, dtype="float32", generation={"max_new_tokens": new}).generate([SHORT])
        assert isinstance(said, Generation) == fits


def test_a_model_that_draws_refuses_them_too() -> None:
    from pixfound.models.pixel.lisa import Lisa

    folder = DATA / "lisa"
    model = Lisa(
        path=str(folder / "model"), vision_tower=str(folder / "clip"), prompt=prompt_of("lisa_7b"), dtype="float32",
        generation={"max_new_tokens": 4},
    )  # fmt: skip
    said, error = model.generate([SHORT, (IMAGE, Prompt("b", "open", "v", "what " * 3000))])
    assert isinstance(said, Generation)
    assert isinstance(error, PromptTooLong)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"max_position_embeddings": 4096}, 4096),
        (  # as Qwen writes it: what it was trained on, four times as much by yarn
            {
                "max_position_embeddings": 32768,
                "rope_parameters": {
                    "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768, "rope_theta": 1e4,
                },
            },
            131072,
        ),
        (  # as Llama 3.1 writes it: what it reaches
            {
                "max_position_embeddings": 131072,
                "rope_parameters": {
                    "rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192, "rope_theta": 1e4,
                    "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                },
            },
            131072,
        ),
        (
            {"max_position_embeddings": 4096,
             "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
            8192,
        ),
    ],
)  # fmt: skip
def test_positions_by_kind_of_scaling(settings: dict[str, object], expected: int) -> None:
    assert positions(hf.LlamaConfig(**settings)) == expected


def test_no_limit_where_the_config_sets_none() -> None:
    assert positions(object()) is None


@pytest.mark.parametrize("batch_size", [32, "auto"])
def test_a_run_says_which_examples_and_goes_on(llava: str, tmp_path: Path, batch_size: object) -> None:
    """One question of PixShapes is made longer than the model's positions."""
    table = tmp_path / "q.csv"
    images = tmp_path / "images"
    images.mkdir()
    rows, annotations = ["id,image,question,options,answer,expression"], []
    for i in (1, 2):
        IMAGE.save(images / f"{i}.png")
        rows.append(f"{i},{i}.png,{'what ' * (150 if i == 2 else 1)}?,one|two,a,the thing")
        annotations.append(
            {"id": i, "image_id": i, "segmentation": [[1, 1, 20, 1, 20, 20, 1, 20]], "category_id": 1, "iscrowd": 0}
        )
    table.write_text("\n".join(rows) + "\n")
    coco = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 32, "height": 32} for i in (1, 2)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "x"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(coco))
    result = evaluate(
        config_of(
            "model=hf", f"model.path={llava}", "model.dtype=float32", "model.capture=none",
            "model.generation.max_new_tokens=4", "extraction=nulls", "benchmark=paired_coco",
            f"benchmark.annotations={tmp_path / 'a.json'}", f"benchmark.questions={table}",
            f"benchmark.images={images}", f"batch_size={batch_size}", f"outputs_dir={tmp_path / 'o'}",
            "scoring.resamples=100", *QUIET,
        )
    )  # fmt: skip
    answers = [score for score in scores_of(result) if score["row"] is None]
    lost = {score["key"].split("/")[0]: score["reason"] for score in answers if "PromptTooLong" in score["reason"]}
    assert set(lost) == {"2"}
    assert all(score["response"] is not None for score in answers if score["example_id"] == "1")
    assert "512 positions" in (result.folder / "report.md").read_text()
