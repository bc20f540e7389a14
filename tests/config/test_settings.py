"""Names become folders: whatever is typed, nothing is written outside that of the outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pixfound.apps.certify.certificate import certify
from pixfound.apps.evaluation import evaluate
from pixfound.config.settings import Settings, check_names
from pixfound.errors import UserError
from tests.support.run import QUIET, config_of, random_models

OUTSIDE = [
    "../../up",
    "..",
    ".",
    "",
    " ",
    "/abs",
    "a//b",
    "a/../b",
    "a/",
    "a\0b",
    "a\nb",
    "a\x1b[2J",
    "\ud83d",
    "x" * 201,
]


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("key", ["benchmark", "model", "extraction"])
@pytest.mark.parametrize("name", [*OUTSIDE, None, 5])
def test_a_name_that_leads_out_is_refused_before_anything_is_written(name: Any, key: str, tmp_path: Path) -> None:
    config = config_of(*random_models(tmp_path), f"outputs_dir={tmp_path / 'out'}")
    config["names"][key] = name
    with pytest.raises(
        UserError, match=rf"(?s)^names\.{key}=.*: it names a folder of the outputs: give a word"
    ) as refused:
        evaluate(config)
    assert len(str(refused.value)) < 300
    with pytest.raises(UserError, match=rf"^names\.{key}="):
        certify(config)
    assert tree(tmp_path) == []


def test_a_folder_in_a_folder_and_any_script_are_names(tmp_path: Path) -> None:
    check_names({"model": "mine/llava-1.5 (7B)", "benchmark": "é中文🙂", "extraction": "a..b"})
    overrides = ["limit=2", "extraction=nulls", "scoring.resamples=100", *QUIET]
    config = config_of(f"outputs_dir={tmp_path / 'out'}", *overrides)
    folder = evaluate({**config, "names": {**config["names"], "model": "mine/llava 7B"}}).folder
    assert folder.relative_to(tmp_path / "out").parts[:-1] == ("runs", "pixshapes", "mine", "llava 7B", "nulls")


@pytest.mark.parametrize("typed", ["[a]", "{a: b}", "null", "true"])
def test_outputs_that_are_no_folder(typed: str) -> None:
    with pytest.raises(UserError, match=r"^outputs_dir=.*: give the name of a folder"):
        Settings.from_config(config_of(f"outputs_dir={typed}"))


@pytest.mark.parametrize(("typed", "folder"), [("2024", "2024"), ("1.5", "1.5"), ('"[a] é"', "[a] é")])
def test_outputs_may_have_any_name(typed: str, folder: str) -> None:
    assert Settings.from_config(config_of(f"outputs_dir={typed}")).outputs_dir == Path(folder)
