"""Models without a chat template: refused where theirs is missing, said where there is none, another one if typed."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pixfound.apps.certify.certificate import certify
from pixfound.apps.evaluation import evaluate
from pixfound.config.factory import build
from pixfound.errors import UserError
from pixfound.interfaces import Model
from pixfound.models.huggingface import HuggingFace
from pixfound.pipeline.results import Result
from pixfound.types import Prompt
from tests.support.families import EVERY_FAMILY
from tests.support.pixel import DATA
from tests.support.random_llava import CHAT, save_random_llava
from tests.support.run import QUIET, config_of, scores_of

Folder = Callable[[str], Path]
REQUEST = (Image.new("RGB", (64, 64), "red"), Prompt("x", "open", "v", "What is this?"))
TEMPLATE = "{% for m in messages %}<image>Q:{{ m['content'][-1]['text'] }} A:{% endfor %}"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA whose chat template got lost."""
    folder = save_random_llava(tmp_path_factory.mktemp("bare") / "m")
    for file in ("chat_template.jinja", "chat_template.json"):
        (folder / file).unlink(missing_ok=True)
    for file in folder.glob("*_config.json"):
        settings = json.loads(file.read_text())
        settings.pop("chat_template", None)
        file.write_text(json.dumps(settings))
    return folder


def run(folder: Path, outputs: Path, *overrides: str) -> Result:
    options = ["model.dtype=float32", "model.generation.max_new_tokens=4", "extraction=nulls", "limit=2"]
    small = ["scoring.resamples=100", *QUIET, f"outputs_dir={outputs}"]
    return evaluate(config_of("model=hf", f"model.path={folder}", *options, *small, *overrides))


def test_a_lost_template_is_refused_before_weights_are_read(bare: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bare, tmp_path / "m"))
    for file in folder.glob("*.safetensors"):
        file.write_bytes(b"nothing that could be loaded")
    with pytest.raises(UserError, match=r"has no chat template, and models with a LlavaProcessor .*chat_template=FILE"):
        HuggingFace(str(folder), dtype="float32").generate([REQUEST])


def test_bare_text_where_it_is_typed_is_said_everywhere(
    bare: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        result = run(bare, tmp_path, "model.chat_template=none")
    said = [record.getMessage() for record in caplog.records if "without a chat template" in record.getMessage()]
    assert len(said) == 1 and str(bare) in said[0]
    assert result.metrics["bare"] == {"open": 2, "choice": 2, "ground": 2}
    assert "**Asked without a chat template:** 2 open, 2 choice, 2 ground" in (result.folder / "report.md").read_text()
    prompts = [score["prompt"] for score in scores_of(result) if score["row"] is None and score["kind"] == "ground"]
    assert len(prompts) == 2 and all(prompt.startswith("<image>Identify ") for prompt in prompts)
    assert all(score["prompt"] is None for score in scores_of(result) if score["row"] is not None)


def test_a_model_with_its_template_says_nothing(bare: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = Path(shutil.copytree(bare, tmp_path / "m"))
    (folder / "chat_template.jinja").write_text(CHAT)
    with caplog.at_level(logging.WARNING):
        result = run(folder, tmp_path)
    assert "chat template" not in caplog.text + (result.folder / "report.md").read_text()
    assert "bare" not in result.metrics
    (first, *_) = [score["prompt"] for score in scores_of(result) if score["kind"] == "ground"]
    assert first.startswith("USER: <image>\nIdentify ") and first.endswith(" ASSISTANT:")


def test_the_certificate_minds(bare: Path, tmp_path: Path, family_folder: Folder) -> None:
    """Shut where there should be one, open where there is, no gate for a model that has none by design."""
    found = {}
    (tmp_path / "t.jinja").write_text(TEMPLATE)
    for name, folder, *typed in (
        ("none", bare, "model.chat_template=none"),
        ("typed", bare, f"model.chat_template={tmp_path / 't.jinja'}"),
        ("paligemma", family_folder("paligemma")),
    ):
        few = ("model.dtype=float32", "model.generation.max_new_tokens=2", "model.capture=none")
        certificate = certify(config_of("model=hf", f"model.path={folder}", f"outputs_dir={tmp_path}", *few, *typed))
        (gate,) = [gate for gate in certificate.gates if gate.name == "chat template"]
        found[name] = (gate.passed, certificate.passed)
    assert found == {"none": (False, False), "typed": (True, True), "paligemma": (None, True)}


def test_a_template_is_a_text_or_a_file_and_counts_for_the_identity(bare: Path, tmp_path: Path) -> None:
    file = tmp_path / "t.jinja"
    file.write_text(TEMPLATE)
    models = [HuggingFace(str(bare), dtype="float32", chat_template=typed) for typed in (TEMPLATE, str(file))]
    assert {model.generate([REQUEST])[0].prompt for model in models} == {"<image>Q:What is this? A:"}

    def identity(typed: object) -> str:
        config = {"_target_": "pixfound.models.huggingface.HuggingFace", "path": str(bare), "chat_template": typed}
        return json.dumps(build(config, "model", Model).identity(), sort_keys=True)

    assert identity(TEMPLATE) == identity(str(file))
    assert len({identity(TEMPLATE), identity(None), identity("none")}) == 3
    file.write_text(TEMPLATE.replace("Q:", "Question:"))
    assert identity(TEMPLATE) != identity(str(file))


@pytest.mark.parametrize(
    "typed", ["nothing.jinja", "{% for %}", "{{ messages.nowhere() }}", "{{ 'no image' }}", "{{ '<image>' }}"]
)
def test_what_is_no_template_is_one_line(bare: Path, typed: str) -> None:
    with pytest.raises(UserError, match=r"^model\.chat_template") as caught:
        HuggingFace(str(bare), dtype="float32", chat_template=typed).generate([REQUEST])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("family", EVERY_FAMILY)
def test_families_have_one_but_for_those_that_need_none(family: str, family_folder: Folder) -> None:
    """Every processor of the families that are tested is known to take a template; PaliGemma's goes without."""
    from pixfound.models.chat_template import usually_has_one

    model = HuggingFace(str(family_folder(family)))
    assert usually_has_one(model.processor) == (family != "paligemma")
    assert bool(model.cautions()) == (family == "paligemma")


def test_a_pixel_level_model_without_its_template_is_refused(tmp_path: Path) -> None:
    from tests.models.pixel.test_sa2va import tiny

    folder = Path(shutil.copytree(DATA / "sa2va_qwen2_5" / "model", tmp_path / "m"))
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match=r"has no chat template, and models with a Qwen2_5_VLProcessor"):
        _ = tiny("sa2va_qwen2_5", folder, first_pixels=[3136, 12845056])._model
