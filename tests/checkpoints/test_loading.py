"""What can be wrong with a model is one line, said before its weights are read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from PIL import Image
from safetensors.torch import load_file, save_file

from pixfound.checkpoints import processors
from pixfound.checkpoints.loading import load_config
from pixfound.checkpoints.processors import load_processor
from pixfound.config.factory import build_parts
from pixfound.errors import UserError
from pixfound.models.attention.support import check_capture
from pixfound.models.huggingface import HuggingFace
from pixfound.segmenters.sam import Sam
from pixfound.types import Prompt
from tests.support.run import config_of, random_models

Folder = Callable[[str], Path]
REQUEST = (Image.new("RGB", (64, 64)), Prompt("x", "open", "v", "What?"))


def config_folder(config: hf.PreTrainedConfig, folder: Path) -> Path:
    config.save_pretrained(folder)
    return folder


QUERIES = [hf.Idefics2Config, hf.AriaConfig, hf.Blip2Config]


@pytest.mark.parametrize(
    "config", [hf.Florence2Config, hf.BlipConfig, hf.MllamaConfig, *QUERIES], ids=lambda c: c.__name__
)
def test_a_model_that_cannot_be_captured_says_so_without_weights(config: type, tmp_path: Path) -> None:
    folder = config_folder(config(), tmp_path)
    with pytest.raises(UserError, match=r"cannot be captured.*(model\.capture=none|model=plain) extraction=nulls"):
        check_capture(load_config(str(folder), "P"), "P")
    with pytest.raises(UserError, match="cannot be captured"):
        HuggingFace(str(folder)).generate([REQUEST])


@pytest.mark.parametrize("config", [hf.Florence2Config, hf.MllamaConfig, *QUERIES])
def test_it_says_so_when_it_is_configured(config: Any, tmp_path: Path) -> None:
    """Before anything is run, and with what it can be used for, which then is configured."""
    folder = config_folder(config(architectures=["Aside"]), tmp_path / "model")
    overrides = [*random_models(tmp_path), f"model.path={folder}", f"outputs_dir={tmp_path}"]
    instead = ["model=plain"] if config().is_encoder_decoder else ["model=hf", "model.capture=none"]
    with pytest.raises(UserError, match=f"the attention of Aside cannot be captured.*{instead[-1]} extraction=nulls"):
        build_parts(config_of(*overrides))
    assert not build_parts(config_of(*overrides, *instead, "extraction=nulls")).model.built.captures


@pytest.mark.parametrize(
    ("config", "why"), [(hf.Florence2Config, "an encoder-decoder"), (hf.Kosmos2Config, "names no image_token_id")]
)
def test_a_model_for_another_adapter_is_sent_there(config: Any, why: str, tmp_path: Path) -> None:
    folder = config_folder(config(), tmp_path)
    with pytest.raises(UserError, match=f"{why}; use model=plain"):
        HuggingFace(str(folder), capture="none").generate([REQUEST])


@pytest.mark.parametrize("config", [hf.LlavaConfig, hf.Qwen3VLConfig, hf.Gemma3Config, hf.Mistral3Config])
def test_a_model_that_can_be_captured_passes(config: type, tmp_path: Path) -> None:
    check_capture(load_config(str(config_folder(config(), tmp_path)), "P"), "P")


@pytest.mark.parametrize("config", QUERIES)
def test_tokens_that_are_queries_of_a_resampler_have_no_place(config: type, tmp_path: Path) -> None:
    """64 of them would make a fine grid of 8 x 8, and every map would be wrong."""
    with pytest.raises(UserError, match=r"image tokens come from a resampler \(Q-Former\), so none has a position"):
        check_capture(load_config(str(config_folder(config(), tmp_path)), "P"), "P")


CHOOSING = [
    hf.MistralLarge4Config, hf.Glm5NextConfig, hf.Qwen4ExpConfig, hf.Dots3NoteConfig, hf.UnlimitedOcrConfig,
    hf.InklingConfig,
]  # fmt: skip


@pytest.mark.parametrize("config", CHOOSING)
def test_layers_that_choose_their_tokens_are_refused(config: Any, tmp_path: Path) -> None:
    """Their keys are fewer than the prompt's tokens, as a window's are, and every column would be another's."""
    folder = config_folder(config(architectures=["Chooser"]), tmp_path)
    with pytest.raises(UserError, match=r"its layers of .* choose the tokens that they attend to"):
        check_capture(load_config(str(folder), "P"), "P")
    with pytest.raises(UserError, match="the attention of Chooser cannot be captured: its layers of"):
        _ = HuggingFace(str(folder)).captures


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (hf.DeepseekOcr2Config, "come from a resampler"),
        (hf.DiffusionGemmaConfig, "a block of tokens in several passes"),
    ],
)
def test_tokens_without_a_place_or_a_step_are_refused(config: Any, why: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=why):
        check_capture(load_config(str(config_folder(config(), tmp_path)), "P"), "P")


def test_a_model_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds a sam model.*multi-modal LLM"):
        load_config(str(config_folder(hf.SamConfig(), tmp_path)), "P")


def copy_without(folder: Path, target: Path, pattern: str) -> Path:
    target.mkdir()
    for file in folder.iterdir():
        if not file.match(pattern):
            (target / file.name).write_bytes(file.read_bytes())
    return target


def test_missing_weights(family_folder: Folder, tmp_path: Path) -> None:
    folder = copy_without(family_folder("llava"), tmp_path / "m", "*.safetensors")
    with pytest.raises(UserError, match=r"has no weights \(\*\.safetensors\)"):
        HuggingFace(str(folder)).generate([REQUEST])


def cut(folder: Path, length: int) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:length])


def overwritten(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)


def altered(folder: Path, end: str, change: Callable[[torch.Tensor], torch.Tensor | None]) -> None:
    """One tensor of the checkpoint is taken away, or becomes another."""
    state = load_file(folder / "model.safetensors")
    name = next(name for name in state if name.endswith(end))
    changed = change(state.pop(name))
    save_file(state if changed is None else {**state, name: changed}, folder / "model.safetensors", {"format": "pt"})


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 123\n"
DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut": (lambda f: cut(f, 100_000), r"model\.safetensors is cut short or damaged; remove it and fetch it again"),
    "cut in its header": (lambda f: cut(f, 40), "is cut short or damaged"),
    "cut in its length": (lambda f: cut(f, 5), "is cut short or damaged"),
    "empty": (lambda f: cut(f, 0), "is cut short or damaged"),
    "noise": (lambda f: overwritten(f, "model.safetensors", bytes(range(256)) * 9), "is cut short or damaged"),
    "a list": (lambda f: overwritten(f, "model.safetensors", b"\2" + bytes(7) + b"[]"), "is cut short or damaged"),
    "a pointer": (lambda f: overwritten(f, "model.safetensors", POINTER), "is a pointer of Git LFS.*`git lfs pull`"),
    "half a config": (lambda f: overwritten(f, "config.json", b"{"), r"its config\.json is damaged"),
    "no config": (lambda f: overwritten(f, "config.json", b"[]"), r"its config\.json is damaged"),
    "a config of bytes": (lambda f: overwritten(f, "config.json", b"\xff\xfe"), r"its config\.json is damaged"),
    "another tokenizer": (lambda f: overwritten(f, "tokenizer.json", b"{}"), "its processor cannot be made.*fetch the"),
    "a tensor less": (
        lambda f: altered(f, "q_proj.weight", lambda t: None),
        r"the weights lack .*q_proj\.weight \(1 parameters in all\), so they are incomplete",
    ),
    "a tensor too small": (
        lambda f: altered(f, "q_proj.weight", lambda t: t[:10].clone()),
        r"the weights have another shape than its config says for .*q_proj\.weight",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_named_in_one_line(damage: str, models: Path, tmp_path: Path) -> None:
    folder = copy_without(models / "llava", tmp_path / "m", "nothing")
    change, said = DAMAGE[damage]
    change(folder)
    with pytest.raises(UserError, match=said) as error:
        build_parts(config_of(*random_models(models), f"model.path={folder}")).model.built.generate([REQUEST])
    found = str(error.value)
    assert found.startswith(f"model.path={folder}: ") and "\n" not in found and len(found) < 600


def test_a_text_only_model(tmp_path: Path) -> None:
    folder = config_folder(hf.LlamaConfig(hidden_size=32, num_attention_heads=2), tmp_path)
    with pytest.raises(UserError, match=r"holds a llama model.*give the path of a multi-modal LLM"):
        HuggingFace(str(folder)).generate([REQUEST])


def test_a_segmenter_that_lacks_a_tensor_is_not_drawn_at_random(models: Path, tmp_path: Path) -> None:
    folder = copy_without(models / "sam", tmp_path / "m", "nothing")
    altered(folder, "iou_token.weight", lambda t: None)
    with pytest.raises(UserError, match=r"segmenter\.path=.*: the weights lack mask_decoder\.iou_token\.weight"):
        next(Sam(str(folder), device="cpu").point_masks([(REQUEST[0], [(1.0, 1.0)])]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": [0, 3]}, r"model\.layers: there is no 3; the text decoder has 3, from 0 to 2"),
        ({"heads": [4]}, r"model\.heads: there is no 4; the text decoder has 4"),
        ({"layers": "x"}, r'HuggingFace\.layers="x": must be a list in brackets, as .*, or null'),
        ({"layers": []}, r"HuggingFace\.layers=\[\]: must be a list"),
        ({"heads": [-1]}, r"HuggingFace\.heads=\[-1\]: must be a list"),
        ({"heads": [True]}, r"HuggingFace\.heads=\[true\]: must be a list"),
        (
            {"generation": {"max_new_tokens": 0}},
            r"model\.generation\.max_new_tokens=0: give a whole number of at least",
        ),
        ({"generation": {"max_new_tokens": "many"}}, r"max_new_tokens=many: give a whole number"),
        (
            {"generation": {"temprature": 1}},
            r"generation\.temprature: .*no such option; did you mean temperature",
        ),
        ({"device": "cuda:99"}, r"device=cuda:99: torch .* sees \d+ GPUs? here; give auto"),
        ({"device": "tpv"}, r"device=tpv: there is no such device; give auto, cpu, cuda or cuda:N"),
    ],
    ids=str,
)
def test_options_that_no_model_takes(options: dict[str, Any], said: str, models: Path) -> None:
    with pytest.raises(UserError, match=said):
        HuggingFace(str(models / "llava"), **{"device": "cpu", **options}).generate([REQUEST])


def test_a_missing_tokenizer(family_folder: Folder, tmp_path: Path) -> None:
    folder = copy_without(family_folder("llava"), tmp_path / "m", "token*")
    with pytest.raises(UserError, match="its processor cannot be made"):
        HuggingFace(str(folder)).generate([REQUEST])


@pytest.mark.parametrize("key", ["model.dtype", "segmenter.dtype"])
def test_a_dtype_that_does_not_exist_is_said_when_it_is_configured(key: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"{key}=float33: (must be one of|valid values are) .*float32"):
        build_parts(config_of(*random_models(tmp_path), f"{key}=float33"))


def test_a_package_that_is_missing_is_named(family_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.models.smolvlm import processing_smolvlm

    monkeypatch.setattr(processing_smolvlm, "num2words", None)
    monkeypatch.setattr(processors, "_installed", lambda name: name != "num2words")
    with pytest.raises(UserError, match=r"needs num2words: pip install num2words"):
        load_processor(str(family_folder("smolvlm")), "P")


class Hub(BaseHTTPRequestHandler):
    """A hub on which every model has something wrong with it; its name says what."""

    def do_GET(self) -> None:
        code = next((c for c in ("GatedRepo", "RevisionNotFound", "RepoNotFound") if c in self.path), None)
        body = json.dumps({"error": code or "?"}).encode()
        status = next((int(s) for s in ("401", "403", "429", "503") if s in self.path), 404)
        self.send_response(403 if code == "GatedRepo" and status == 404 else status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


ASK = """
import sys
from pixfound.checkpoints import locating
from pixfound.errors import UserError
for path in sys.argv[1:]:
    try:
        locating.fetch(path, None, "model.path")
        print("no error")
    except UserError as error:
        print(error)
"""


def ask(paths: list[str], home: Path, **environment: str) -> list[str]:
    import os

    values = {**os.environ, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", ASK, *paths], env=values, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_the_hub_refuses(hub: str, tmp_path: Path) -> None:
    paths = ["a/GatedRepo", "a/RevisionNotFound", "a/RepoNotFound", "a/GatedRepo401", "a/RepoNotFound401"]
    paths += ["a/401", "a/403", "a/429", "a/503"]
    said = ask(paths, tmp_path, HF_ENDPOINT=hub, HF_HUB_OFFLINE="0")
    gated, revision, unknown, *without_token = said[:5]
    assert "model.path=a/GatedRepo: is gated: accept its licence" in gated
    assert "is gated: accept its licence" in without_token[0]
    assert "is not on the hub, or private: check the name, or log in" in without_token[1]
    for status, line in zip((401, 403), said[5:7], strict=True):
        assert f"the hub refuses it (HTTP {status}): log in with `hf auth login`" in line
    for status, line in zip((429, 503), said[7:], strict=True):
        assert f"the hub answers HTTP {status}: run the same command later" in line
    assert "no such revision" in revision
    assert "model.revision" in revision
    assert "is not on the hub, or private" in unknown


def test_no_network(tmp_path: Path) -> None:
    for environment in ({"HF_HUB_OFFLINE": "1"}, {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}):
        (said,) = ask(["a/b"], tmp_path, **environment)
        assert "model.path=a/b: is not in the hub's cache, and the hub cannot be reached" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_attn_implementation": "kernels-community/flash-attn"}, "_attn_implementation names code on the hub"),
        ({"text_config": {"attn_implementation": {"": "a/b"}}}, "attn_implementation names code on the hub"),
        ({"text_config": {"num_hidden_layers": 10**6}}, "num_hidden_layers is 1000000, more than 1000"),
        ({"vision_config": {"depths": [2, 10**6]}}, "depths is 1000000, more than 1000"),
        ("[" * 100_000, "nested too deeply"),
        (" " * 17 * 2**20, "larger than 16 MiB"),
    ],
)  # fmt: skip
def test_a_config_that_fetches_code_or_builds_for_hours_is_refused_at_once(
    change: Any, message: str, models: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(models / "llava", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    for key, value in change.items() if isinstance(change, dict) else ():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    (folder / "config.json").write_text(change if isinstance(change, str) else json.dumps(config))
    begun = time.monotonic()
    with pytest.raises(UserError, match=message):
        HuggingFace(str(folder), device="cpu").generate([REQUEST])
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "chat_template.jinja"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_never_opened(name: str, kind: str, models: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(models / "llava", tmp_path / "model")
    (folder / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to("/dev/zero")
    for use in (lambda model: model.identity(), lambda model: model.generate([REQUEST])):
        with pytest.raises(UserError, match=f"{name} is no regular file"):
            use(HuggingFace(str(folder), device="cpu"))


def test_a_chat_template_that_never_ends_is_cut_off(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(models / "llava", tmp_path / "model")
    endless = "{% for i in range(99999) %}{% for j in range(999) %}{% endfor %}{% endfor %}"
    (folder / "chat_template.jinja").write_text(endless)
    monkeypatch.setattr("pixfound.models.geometry.batch_encoder._PATIENCE_S", 0.5)
    with pytest.raises(UserError, match=r"its chat template has written no prompt within 0\.5 seconds"):
        HuggingFace(str(folder), device="cpu").generate([REQUEST])
