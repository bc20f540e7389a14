"""A model whose folder, name and answers hold what terminals and browsers act on: its certificate is inert."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tokenizers import pre_tokenizers

from pixfound.apps.certify.cli import main
from pixfound.config.factory import build
from pixfound.interfaces import Model
from pixfound.report.certificate import certificate_lines
from tests.support.command import run_command
from tests.support.run import config_of
from tests.test_hostile_text import ACTS, SAID

NAME = "m[x](http:e) <b>`|"
FOLDER = "a [b](http:x) `c`|<b>\x1b[31m é 中\n# big"
EVIL = ("<script", "<b>", "](http", "](javascript", "\n# side", "\n# big")


@pytest.fixture(scope="module")
def certified(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder of all, and what the command printed."""
    root = tmp_path_factory.mktemp("hostile")
    save(models / "llava", root / FOLDER)
    return root, certify(*arguments(root))


def save(source: Path, folder: Path) -> None:
    """A random model, each token of which that no prompt has is a whole sentence: most of what it says are those."""
    shutil.copytree(source, folder)
    file = folder / "tokenizer.json"
    tokenizer = json.loads(file.read_text(encoding="utf-8"))
    level, vocabulary = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False), tokenizer["model"]["vocab"]
    text = SAID.encode("utf-8", "replace").decode()

    def sentence(number: int) -> str:
        return level.pre_tokenize_str(f"{text}{number}")[0][0]

    foreign = {token for token in vocabulary if len(token) == 1 and not token.isascii() and token not in "ĠĊ"}
    tokenizer["model"]["vocab"] = {(sentence(i) if t in foreign else t): i for t, i in vocabulary.items()}
    file.write_text(json.dumps(tokenizer), encoding="utf-8")


def arguments(root: Path) -> list[str]:
    texts = {"model.path": f"{root}/{FOLDER}", "names.model": NAME, "outputs_dir": f"{root}/out\x1b[2J"}
    return ["model=hf", "model.generation.max_new_tokens=12", *(f'{key}="{text}"' for key, text in texts.items())]


def certify(*overrides: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return run_command(main, *overrides, **more)


def test_it_is_harmless_in_every_place(certified: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    root, done = certified
    assert done.returncode == 0, done.stderr
    (file,) = root.glob("out*/certificates/*/*/certificate.md")
    text = file.read_text(encoding="utf-8")
    assert "&lt;script&gt;" in text, "the model says it"
    assert not ACTS.search(text) and not [evil for evil in EVIL if evil in text], text
    assert text.startswith("# Certificate of m[x]&#40;http:e) &lt;b&gt;'\\|: passed\n")
    body = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    assert "\x1b[31m" in body["golden"]["answer"], "and it is kept"
    assert body["model"] == NAME and body["config"]["path"] == f"{root}/{FOLDER}"
    with Image.open(file.with_suffix(".png")) as sheet:
        assert sheet.width < 5_000 and sheet.height < 2_000


def test_what_is_printed_moves_no_terminal(certified: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    root, done = certified
    assert not ACTS.search(done.stdout.replace("\n", " "))
    assert done.stdout.splitlines()[-1].startswith(f"passed: {root}/out [2J/certificates/{NAME}/")
    assert not ACTS.search(re.sub(r"[\n\r]", " ", done.stderr))


def test_a_report_that_names_it_is_harmless_too(certified: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    root, _ = certified
    config = config_of(*arguments(root))
    (there,) = certificate_lines(config, build(config["model"], "model", Model))
    assert there.startswith("Certificate of the model: passed")
    config = config_of(*arguments(root), "model.generation.max_new_tokens=3")
    (none,) = certificate_lines(config, build(config["model"], "model", Model))
    assert "there was none" in none
    for line in (there, none):
        assert not ACTS.search(line) and not [evil for evil in EVIL if evil in line]
        assert line.count("`") == 2, "a name cannot end the code that it stands in"


@pytest.mark.parametrize("name", ["two\nlines", "an\x1b[31mescape", "half \udcff", ".."])
def test_names_that_no_folder_should_have_are_refused(name: str, tmp_path: Path) -> None:
    done = certify("model=tiny", f'names.model="{name}"', f"outputs_dir={tmp_path}")
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("pixfound: names.model=") and "it names a folder of the outputs" in done.stderr
    assert done.stderr.count("\n") == 1 + name.count("\n") and "\x1b" not in done.stderr


def test_outputs_may_lie_in_the_home_folder_or_in_one_that_is_a_number(tmp_path: Path) -> None:
    few = ["model=tiny", "model.capture=none", "model.generation.max_new_tokens=2"]
    for typed, folder in (('"~/here"', tmp_path / "here"), ("2024", tmp_path / "2024")):
        done = certify(*few, f"outputs_dir={typed}", cwd=tmp_path, environment={"HOME": str(tmp_path)})
        assert done.returncode == 0, done.stderr
        assert len(list(folder.glob("certificates/tiny/*/certificate.md"))) == 1
