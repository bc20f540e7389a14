"""Certificates: of the embedded model, of every family, and of models that something is wrong with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pixfound.apps.certify import gates
from pixfound.apps.certify.certificate import certify
from pixfound.apps.certify.cli import main
from pixfound.apps.certify.pictures import golden_examples
from pixfound.apps.certify.probes import move_pixels
from pixfound.errors import UserError
from pixfound.models.attention import recorder
from pixfound.models.geometry import batch_encoder
from pixfound.models.huggingface import HuggingFace
from tests.support.command import run_command
from tests.support.families import EVERY_FAMILY, FAMILIES
from tests.support.run import config_of

Folder = Callable[[str], Path]
GATES = ["chat template", "text with and without capture", "batch", "attention", "forced pass", "geometry"]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    certificate = certify(config_of("model=tiny", f"outputs_dir={tmp_path_factory.mktemp('c')}"))
    assert certificate.passed
    return certificate.folder


def test_the_embedded_model_passes(embedded: Path) -> None:
    body = json.loads((embedded / "certificate.json").read_text())
    assert body["passed"]
    assert [gate["name"] for gate in body["gates"]] == GATES
    assert all(gate["passed"] for gate in body["gates"])
    found = {gate["name"]: gate["value"] for gate in body["gates"]}
    assert found["attention"] < 1e-5
    assert found["geometry"] > 0.75
    assert body["golden"]["answer"] == "The large red circle is at the right."
    assert body["golden"]["peak_on_it"]
    assert body["weights"]["class"] == "LlavaForConditionalGeneration"
    assert body["versions"]["torch"] == torch.__version__
    text = (embedded / "certificate.md").read_text()
    assert "# Certificate of tiny: passed" in text
    assert text.count("| passed |") == len(GATES)


def test_the_sheet_shows_the_map_over_the_picture(embedded: Path) -> None:
    sheet = np.asarray(Image.open(embedded / "certificate.png").convert("RGB")).astype(int)
    assert sheet.shape[1] > 1500
    ring = (np.abs(sheet - [0, 255, 255]).sum(axis=2) < 60).nonzero()
    assert len(ring[0]) > 20, "the peak has a ring"
    green = (np.abs(sheet - [30, 150, 50]).sum(axis=2) < 30).sum()
    red = (np.abs(sheet - [210, 30, 30]).sum(axis=2) < 30)[:, 640:].sum()
    assert green > 4 * red, "most spots are found"


@pytest.mark.verifies("certificate")
@pytest.mark.parametrize("family", EVERY_FAMILY)
def test_a_family_passes(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights; the vision tower mixes nothing, for a random mixture of all places has no place."""
    monkeypatch.setattr(gates, "_SPOTS", 3)
    folder = FAMILIES[family].save(tmp_path / "model", local=True)
    certificate = certify(
        config_of(
            "model=hf",
            f"model.path={folder}",
            "model.dtype=float32",
            "model.generation.max_new_tokens=4",
            f"outputs_dir={tmp_path}",
        )
    )
    assert [gate.name for gate in certificate.gates] == GATES
    assert certificate.passed, certificate.gates
    assert {file.name for file in certificate.folder.iterdir()} == {
        "certificate.json",
        "certificate.md",
        "certificate.png",
    }


def gate_of(model: HuggingFace, name: str) -> gates.Gate:
    examples = golden_examples()
    prompts = [gates.Prompt(e.id, "ground", "v", f"Identify {e.expression} in the scene.") for e in examples]
    findings = gates.run_gates(model, examples, prompts)
    return next(gate for gate in findings.gates if gate.name == name)


def test_tiles_in_the_wrong_place_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = HuggingFace("embedded:tiny_llava", dtype="float32")
    image = golden_examples()[0].image.load()
    assert np.mean([probe.hit for probe in move_pixels(model, image, 8)]) > 0.7
    shifted = tuple(replace(t, box=(t.box[0] + 150, t.box[1], t.box[2] + 150, t.box[3])) for t in model.tiles(image))
    monkeypatch.setattr(batch_encoder, "tiles_of", lambda encoded: shifted)
    assert np.mean([probe.hit for probe in move_pixels(model, image, 8)]) < 0.3
    assert gate_of(model, "geometry").passed is False


def test_a_capture_of_other_rows_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    right = recorder.attention_rows
    monkeypatch.setattr(recorder, "attention_rows", lambda *a: right(*a) * 0.9)
    gate = gate_of(HuggingFace("embedded:tiny_llava", dtype="float32", generation={"max_new_tokens": 4}), "attention")
    assert gate.passed is False
    assert gate.value is not None
    assert gate.value > 1e-4


def test_a_capture_that_changes_the_answer_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    right = recorder.decoding_step

    def wrong(*arguments: Any) -> Any:
        weights, output = right(*arguments)
        return weights, output * 0.3

    monkeypatch.setattr(recorder, "decoding_step", wrong)
    gate = gate_of(HuggingFace("embedded:tiny_llava", dtype="float32"), "text with and without capture")
    assert gate.passed is False


def test_without_capture_its_gates_are_not_used(tmp_path: Path) -> None:
    certificate = certify(config_of("model=tiny", "model.capture=none", f"outputs_dir={tmp_path}"))
    assert [(g.name, g.passed) for g in certificate.gates] == [
        ("chat template", True),
        ("batch", True),
        ("attention", None),
        ("forced pass", None),
        ("geometry", None),
    ]
    assert (certificate.folder / "certificate.png").is_file()


def test_a_model_of_another_kind_is_refused() -> None:
    config = config_of("model=tiny")
    config["model"] = {"_target_": "pixfound.models.null.Silent"}
    with pytest.raises(UserError, match="only Hugging Face models"):
        certify(config)


def test_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from pixfound.apps.certify.cli import main; main()"]
    done = subprocess.run([*command, "model=tiny"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("passed: outputs/certificates/tiny/")
    assert done.stderr == ""
    wrong = run_command(main, "model=hf", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "pixfound: model.path has no value" in wrong.stderr


def test_a_model_that_captures_afterwards_and_samples_is_certified_all_the_same(tmp_path: Path) -> None:
    sampling = ["model.capture=forced", "+model.generation.do_sample=true", "+model.generation.temperature=3.0"]
    certificate = certify(config_of("model=tiny", *sampling, f"outputs_dir={tmp_path}"))
    assert certificate.passed, certificate.gates
    other = certify(config_of("model=tiny", *sampling, "model.dtype=bfloat16", f"outputs_dir={tmp_path}"))
    assert other.passed, other.gates
    assert other.folder != certificate.folder, "another precision has a certificate of its own"
