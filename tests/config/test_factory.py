"""What identifies a part: what comes out of it, never how it works."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from pixfound.config.factory import build, build_parts
from pixfound.errors import UserError
from pixfound.interfaces import Component, Extractor, Judge, Model, Segmenter
from tests.support.run import config_of

LLAVA = "pixfound.models.huggingface.HuggingFace"
JUDGE = {"_target_": "pixfound.judges.openai.OpenAIJudge", "model": "gpt-4o"}


def test_how_a_judge_works_is_no_part_of_its_identity() -> None:
    plain = build(JUDGE, "judge", Judge).identity()
    assert build({**JUDGE, "concurrency": 9, "max_retries": 1, "timeout_s": 3.0}, "judge", Judge).identity() == plain
    assert build({**JUDGE, "temperature": 0.0}, "judge", Judge).identity() != plain
    assert build({**JUDGE, "model": "other"}, "judge", Judge).identity() != plain


@pytest.mark.parametrize(
    "config",
    [
        {"_target_": LLAVA, "path": "embedded:tiny_llava"},
        {"_target_": "pixfound.segmenters.sam.Sam", "path": "embedded:tiny_sam"},
    ],
    ids=["model", "segmenter"],
)
def test_the_dtype_is_part_of_the_identity_and_the_device_is_not(config: dict[str, Any]) -> None:
    plain = build({**config, "dtype": "float32", "device": "auto"}, "x", Component).identity()
    assert build({**config, "dtype": "float32", "device": "cpu"}, "x", Component).identity() == plain
    assert build({**config, "dtype": "bfloat16", "device": "auto"}, "x", Component).identity() != plain


def test_a_component_that_moved_is_the_same_until_its_version_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"_target_": "pixfound.selectors.simple.RandomCandidate", "seed": 3}
    before = build(config, "x", Component).identity()
    monkeypatch.setitem(sys.modules, "pixfound.moved", sys.modules["pixfound.selectors.simple"])
    assert build({**config, "_target_": "pixfound.moved.RandomCandidate"}, "x", Component).identity() == before
    monkeypatch.setattr("pixfound.selectors.simple.RandomCandidate.version", 2, raising=False)
    assert build(config, "x", Component).identity() != before


OUTSIDE = """
import json
from pixfound.interfaces import Component
from {package}bright import above
class Mine(Component):
    def __init__(self, threshold=1): ...
    def extract(self, image):
        from {package}late import unused
        return above(image)
"""


@pytest.mark.parametrize("package", ["", "lab_parts."])
def test_a_component_from_outside_is_known_by_its_source(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / package.rstrip(".")
    folder.mkdir(exist_ok=True)
    texts = {"__init__": "", "bright": "def above(image): return image > 1", "late": "unused = 1", "other": ""}
    for name, text in {**texts, "mine": OUTSIDE.format(package=package)}.items():
        (folder / f"{name}.py").write_text(text)

    def identity() -> dict[str, Any]:
        return build({"_target_": f"{package}mine.Mine"}, "x", Component).identity()

    before = identity()
    for module in ("mine", "bright", "late"):
        file = folder / f"{module}.py"
        text = file.read_text()
        file.write_text(f"{text}\n# another line")
        assert identity() != before, module
        file.write_text(text)
        assert identity() == before
    (folder / "other.py").write_text("# nobody imports it")
    assert identity() == before
    for name in [name for name in sys.modules if name.split(".")[0] in ("lab_parts", *texts, "mine")]:
        monkeypatch.delitem(sys.modules, name)


def test_services_are_given_to_those_that_ask() -> None:
    segmenter = build({"_target_": "pixfound.segmenters.sam.Sam", "path": "embedded:tiny_sam"}, "segmenter", Segmenter)
    point = build(
        {"_target_": "pixfound.extractors.null_baselines.CentrePoint"}, "x", Extractor, {"segmenter": segmenter}
    )
    assert point.built.segmenter is segmenter.built
    assert point.identity()["uses"]["segmenter"] == segmenter.identity()


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(UserError, match=r"segmenter: Sam needs segmenter.path=\.\.\."):
        build({"_target_": "pixfound.segmenters.sam.Sam"}, "segmenter", Segmenter)


@pytest.mark.parametrize(
    ("config", "module"),
    [
        (JUDGE, "pixfound.judges.asking"),
        ({"_target_": "pixfound.judges.mllm.MllmJudge", "model": {"_target_": LLAVA, "path": "embedded:tiny_llava"}},
         "pixfound.judges.asking"),
        ({"_target_": "pixfound.judges.rules.RulesJudge"}, "pixfound.judges.rules"),
    ],
    ids=["openai", "mllm", "rules"],
)  # fmt: skip
def test_answers_are_graded_anew_when_replies_are_read_in_another_way(
    config: dict[str, Any], module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build(config, "judge", Judge).identity()
    assert build(config, "judge", Judge).identity() == before
    monkeypatch.setattr(f"{module}.READING", 10**6)
    assert build(config, "judge", Judge).identity() != before


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("model.path=5", "model.path=5"),
        ("segmenter.path=null", "segmenter.path=null"),
        ("model=hf model.path=x model.system=[a]", r'model.system=\["a"\]'),
        ("benchmark=pixmmvp benchmark.root=2024", "benchmark.root=2024"),
        ("benchmark=pixmmvp benchmark.root=x benchmark.images={a:b}", r'benchmark.images={"a": "b"}'),
        ("baseline=clipseg extraction.extractors.clipseg.path=true", "extraction.extractors.clipseg.path=true"),
    ],
)
def test_what_is_no_text_where_one_is_needed_is_said(override: str, key: str) -> None:
    config = config_of(*override.split())
    with pytest.raises(UserError, match=rf"^{key}: must be a text(, or null)?; .* '\S+=\"TEXT\"'$"):
        build_parts(config)


def test_no_text_is_none_where_that_is_allowed_and_quotes_make_a_number_one() -> None:
    config = config_of("model=hf", 'model.path="2024"', "model.revision=null", "model.system=null")
    assert (build(config["model"], "model", Model).built.path, config["model"]["system"]) == ("2024", None)


@pytest.mark.parametrize("target", ["pixfound.selectors.simple.First", "collections.OrderedDict"])
def test_a_component_of_another_kind_is_refused_with_the_class_to_inherit_from(target: str) -> None:
    with pytest.raises(UserError, match=rf"model\._target_={target}: is no Model; .*pixfound\.interfaces\.Model"):
        build({"_target_": target}, "model", Model)
