"""Python files that come with weights are run when `trust_remote_code=true` is typed, and never else."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from pixfound.errors import UserError
from pixfound.models.huggingface import HuggingFace
from pixfound.types import Prompt
from tests.support.random_llava import save_random_llava

REQUEST = (Image.new("RGB", (64, 64)), Prompt("x", "open", "v", "What?"))
CONFIGURATION = """
from pathlib import Path
from transformers import LlavaConfig
Path({marker!r}).touch()
class OwnConfig(LlavaConfig):
    model_type = "own_llava"
"""
MODELING = """
from transformers import LlavaForConditionalGeneration
from .configuration_own import OwnConfig
class OwnModel(LlavaForConditionalGeneration):
    config_class = OwnConfig
"""


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that the code writes when it runs."""
    return tmp_path / "ran"


@pytest.fixture
def folder(tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A LLaVA under a name that only its own files know."""
    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("sys.stdin", io.StringIO("y\ny\ny\n"))  # whatever is answered to a question
    made = save_random_llava(tmp_path / "own")
    config = json.loads((made / "config.json").read_text())
    config["model_type"], config["architectures"] = "own_llava", ["OwnModel"]
    config["auto_map"] = {
        "AutoConfig": "configuration_own.OwnConfig",
        "AutoModelForImageTextToText": "modeling_own.OwnModel",
    }
    (made / "config.json").write_text(json.dumps(config))
    state = load_file(made / "model.safetensors")  # its head under the name that the class has for it
    state = {name.replace("language_model.lm_head.", "lm_head."): tensor for name, tensor in state.items()}
    save_file(state, made / "model.safetensors", metadata={"format": "pt"})
    (made / "configuration_own.py").write_text(CONFIGURATION.format(marker=str(marker)))
    (made / "modeling_own.py").write_text(MODELING)
    return made


def test_it_is_not_run_and_the_error_says_what_to_type(folder: Path, marker: Path) -> None:
    with pytest.raises(UserError, match=r"Python code of its own, which is not run.*model\.trust_remote_code=true"):
        HuggingFace(str(folder)).generate([REQUEST])
    assert not marker.exists()


@pytest.mark.parametrize("file", ["tokenizer_config.json", "processor_config.json"])
def test_nor_is_a_tokenizers_or_a_processors(file: str, folder: Path, marker: Path, tmp_path: Path) -> None:
    """Where transformers has a class of its own too, that one is taken."""
    plain = save_random_llava(tmp_path / "plain")
    settings = json.loads((plain / file).read_text())
    own = ["configuration_own.OwnConfig", "configuration_own.OwnConfig"]
    settings["auto_map"] = {"AutoTokenizer": own, "AutoProcessor": own[0], "AutoImageProcessor": own[0]}
    (plain / file).write_text(json.dumps(settings))
    (plain / "configuration_own.py").write_text((folder / "configuration_own.py").read_text())
    HuggingFace(str(plain), generation={"max_new_tokens": 2}).generate([REQUEST])
    assert not marker.exists()


def test_it_is_run_when_it_is_typed_which_is_recorded(folder: Path, marker: Path) -> None:
    model = HuggingFace(str(folder), trust_remote_code=True, generation={"max_new_tokens": 2})
    (generation,) = model.generate([REQUEST])
    assert marker.exists()
    assert type(model.loaded()).__name__ == "OwnModel"
    assert generation.attention is not None
    assert model.provenance()["trust_remote_code"] is True
    assert model.identity()["trust_remote_code"] is True
    assert "trust_remote_code" not in HuggingFace(str(folder)).identity()


def test_only_true_and_false_are_answers() -> None:
    with pytest.raises(UserError, match=r'HuggingFace\.trust_remote_code="yes": must be true or false'):
        HuggingFace("a/b", trust_remote_code="yes")  # type: ignore[arg-type]
