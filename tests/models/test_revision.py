"""A revision is used, or it is said that it would not be: of a folder there are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pixfound.checkpoints import locating
from pixfound.config.factory import build_parts, fingerprints
from pixfound.errors import UserError
from pixfound.models.cambrian import TOWERS
from pixfound.models.cambrian.cambrian import Cambrian
from pixfound.models.encoder_decoder import Plain
from pixfound.models.pixel.lisa import Lisa
from pixfound.models.pixel.sa2va import Sa2VA
from pixfound.store.store import Store
from tests.support.pixel import DATA, prompt_of
from tests.support.run import config_of, random_models

CONF = Path(__file__).parents[2] / "conf"
SA2VA = {"architecture": "qwen2_5_vl", "place": "at", "bf16_mean": True}


def folder(name: str) -> str:
    return str(DATA / name / "model")


def lisa(tower_revision: str | None = None, revision: str | None = None) -> Lisa:
    said = {"vision_tower": str(DATA / "lisa" / "clip"), "vision_tower_revision": tower_revision}
    return Lisa(path=folder("lisa"), revision=revision, prompt=prompt_of("lisa_7b"), **said)


def cambrian(revision: str | None) -> Cambrian:
    towers = {name: {"path": folder("cambrian"), "revision": revision} for name in TOWERS}
    return Cambrian(folder("cambrian"), towers=towers, prompt=prompt_of("cambrian_8b"))


@pytest.mark.parametrize(
    ("made", "key", "path"),
    [
        (lambda: lisa(revision="main"), "model.revision", "model.path"),
        (lambda: lisa("main"), "model.vision_tower_revision", "model.vision_tower"),
        (lambda: cambrian("main"), "model.towers.siglip.revision", "model.towers.siglip.path"),
        (lambda: Sa2VA(path=folder("rga3"), revision="main", **SA2VA), "model.revision", "model.path"),
        (lambda: Plain(folder("lisa"), revision="main"), "model.revision", "model.path"),
    ],
    ids=["lisa", "its tower", "cambrian's tower", "rga3", "plain"],
)
def test_every_model_says_it_before_anything_is_read(made: Callable[[], Any], key: str, path: str) -> None:
    said = rf"^{key}=main: {path}=\S+ is a folder, .* use {key}=null, or give a hub id \(owner/name\) as {path}$"
    with pytest.raises(UserError, match=said):
        made().identity()


@pytest.mark.parametrize("key", ["model", "segmenter", "extraction.extractors.clipseg"])
def test_a_run_ends_before_a_model_is_loaded(key: str, models: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "clipseg"}')
    typed = [
        "segmenter=sam_vit_b",
        *random_models(models),
        "baseline=clipseg",
        f"extraction.extractors.clipseg.path={tmp_path}",
    ]
    fingerprints(build_parts(config_of(*typed)))
    with pytest.raises(UserError, match=rf"^{key.replace('clipseg', 'NAME')}\.revision=v1\.0: "):
        fingerprints(build_parts(config_of(*typed, f"{key}.revision=v1.0")))


def test_the_embedded_models_have_none_either() -> None:
    with pytest.raises(UserError, match=r"^model\.revision=main: model\.path=embedded:tiny_llava is a folder"):
        locating.fetch("embedded:tiny_llava", "main", "model.path")
    assert locating.identity("embedded:tiny_llava", None, "model.path")["content"]


def test_a_hub_id_keeps_its_own() -> None:
    assert locating.identity("owner/name", "v1.0", "model.path") == {"hub": "owner/name", "revision": "v1.0"}


def test_a_commit_of_digits_alone_is_to_be_quoted() -> None:
    with pytest.raises(UserError, match=r"^model\.revision=1234567: must be a text; type it as '(.*)'$") as said:
        locating.identity(
            "owner/name",
            config_of("model=hf", "model.path=a/b", "model.revision=1234567")["model"]["revision"],
            "model.path",
        )
    typed = str(said.value).split("'")[1]
    assert config_of("model=hf", "model.path=owner/name", typed)["model"]["revision"] == "1234567"


def test_no_shipped_config_pins_what_a_folder_would_not_have() -> None:
    """`model=NAME model.path=FOLDER` goes without a word about revisions."""
    shipped = [yaml.safe_load(file.read_text()) for file in CONF.glob("[ms]*/*.yaml")]
    assert len(shipped) > 40
    assert not [found for found in shipped if found.get("revision")]


def test_a_branch_that_moved_on_the_hub_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    store, model = Store(tmp_path / "store"), Plain("owner/name")
    assert "commit" not in model.provenance()
    ref = tmp_path / "models--owner--name" / "refs" / "main"
    ref.parent.mkdir(parents=True)
    ref.write_text("a" * 40)
    store.begin({"identity": {}, "provenance": model.provenance()})
    assert store.changes(model.provenance()) == []
    ref.write_text("b" * 40)
    assert store.changes(model.provenance()) == [f"commit: {'a' * 40} -> {'b' * 40}"]
    ref.unlink()
    assert store.changes(model.provenance()) == [], "nothing is known of it here"
