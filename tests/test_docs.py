"""What the guide names is there: commands compose, and keys, choices, files, classes and targets exist."""

from __future__ import annotations

import importlib
import re
import shlex
from collections import abc
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.run import config_of

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "pixfound"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "experiments/training/README.md")),
    *(PACKAGE / "weights").glob("*.md"),
    *sorted((ROOT / "docs").glob("*.md")),
]
CODE = [ROOT / "CONTRIBUTING.md", ROOT / "docs" / "extending.md"]  # pages that name classes
TEXT = {path: path.read_text() for path in PAGES}
GROUPS = {folder.name for folder in (ROOT / "conf").iterdir() if folder.is_dir() and any(folder.glob("*.yaml"))}
INVENTED = ("two_squares", "bright", "mine", "centre_box", "answer_length")  # what the guide's reader writes
PLUGINS = {
    "hydra/launcher=joblib": "hydra_plugins.hydra_joblib_launcher",
    "cluster=slurm": "hydra_plugins.hydra_submitit_launcher",
    "experiment=search": "hydra_plugins.hydra_optuna_sweeper",
}
TOPS = ("conf", "docs", "experiments", "src", "tests")
SOURCES = {f"/{path.relative_to(ROOT).as_posix()}" for top in TOPS for path in [ROOT / top, *(ROOT / top).rglob("*")]}
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command in the blocks of code that begins with a program of the project."""
    for line in text.replace("\\\n", " ").splitlines():
        if re.match(r" {4}(\$ )?pixfound", line):
            yield shlex.split(line.replace("$ ", ""), comments=True)


def spoken(text: str) -> list[str]:
    """What stands between back-ticks in the running text."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return [re.sub(r"\s+", " ", found) for found in re.findall(r"`([^`]+)`", prose)]


def overrides(text: str) -> set[str]:
    """KEY=VALUE wherever it is written, and keys of several parts."""
    words = {word for command in commands(text) for word in command if "=" in word and not word.startswith("-")}
    return words | {
        word
        for said in spoken(text)
        for word in said.replace("'", "").split()
        if re.match(r"[a-z_/]+(\.\w+)*=.|[a-z_]+(\.\w+)+$", word) and not word.endswith((".py", ".yaml", ".md"))
    }


def known_keys() -> set[tuple[str, ...]]:
    """Every key that a file of conf defines, where it goes in the config."""
    found: set[tuple[str, ...]] = set()

    def walk(node: Any, before: tuple[str, ...]) -> None:
        found.add(before)
        for name, child in node.items() if isinstance(node, dict) else ():
            walk(child, (*before, *str(name).split(".")))

    for file in (ROOT / "conf").rglob("*.yaml"):
        place = ".".join(file.parent.relative_to(ROOT / "conf").parts)
        named = re.match(r"# @package (\S+)", file.read_text())
        place = named[1].removeprefix("_global_") if named else place
        data, before = yaml.safe_load(file.read_text()), tuple(place.split(".")) if place else ()
        walk(data, before)
        for entry in (data or {}).get("defaults", ()):  # /GROUP@PLACE: any choice of the group goes there
            for group, _, inside in (key.partition("@") for key in entry if key[0] == "/" and "@" in key):
                for choice in (ROOT / "conf" / group[1:]).glob("*.yaml") if inside != "_here_" else ():
                    walk(yaml.safe_load(choice.read_text()), (*before, *inside.split(".")))
    return found


KEYS = known_keys()


def exists(key: str) -> bool:
    """Whether a dotted key is defined; a part in capitals stands for any name."""
    parts = key.split(".")
    return any(
        len(known) == len(parts) and all(p == k or p.isupper() for p, k in zip(parts, known, strict=True))
        for known in KEYS
    )


def choices(group: str) -> set[str]:
    """The names that a group takes."""
    return {file.stem for file in (ROOT / "conf" / group).glob("*.yaml")}


def importable(word: str) -> bool:
    """Whether a dotted word is a module, or something in one."""
    module, _, name = word.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), name) or find_spec(word) is not None
    except ModuleNotFoundError:
        return False


@each_page
def test_commands_compose(page: Path) -> None:
    for program, *words in commands(TEXT[page]):
        if program in ("pixfound", "pixfound-certify"):
            if all(importable(module) for word, module in PLUGINS.items() if word in words):
                given = [w for w in words if "=" in w and not re.search(r"=[a-z](,[a-z])+$", w)]  # model=a,b: any two
                first = [re.sub(r"=([^\[,]+),.*", r"=\1", w) for w in given]
                assert config_of(*first), words
        else:
            apps, name = PACKAGE / "apps", program.removeprefix("pixfound-")
            code = "".join(p.read_text() for p in (*apps.glob(f"{name}.py"), *(apps / name).glob("*.py")))
            for flag in (w for w in words if w.startswith("--")):
                assert f'"{flag}"' in code, f"{program} {flag}"


@each_page
def test_keys_and_choices_exist(page: Path) -> None:
    for word in overrides(TEXT[page]):
        key, _, value = word.partition("=")
        group = key.partition("@")[0]
        if group.startswith("hydra"):
            continue
        if group in GROUPS:
            for choice in re.findall(r"\w+", value):
                invented = len(choice) == 1 or choice.isupper() or choice in INVENTED
                assert invented or choice in choices(group), word
        elif key.split(".")[0] in GROUPS | {parts[0] for parts in KEYS if parts}:
            assert exists(key) or importable(f"pixfound.{key}"), word


def test_the_table_of_choices_is_whole() -> None:
    """It names every choice of the groups that it lists."""
    options = TEXT[ROOT / "docs" / "options.md"]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", options, flags=re.MULTILINE))
    for group in sorted(GROUPS & rows.keys()):
        named = set(re.findall(r"`(\w+)`", rows[group]))
        # each baseline is named once, and `trivial` is a part of other bundles
        elsewhere = {*choices("baseline"), "trivial"} if group == "extraction" else set()
        assert not choices(group) - named - elsewhere, group
    assert len(GROUPS & rows.keys()) >= 8


def test_every_option_of_the_top_level_is_documented() -> None:
    config = yaml.safe_load((ROOT / "conf" / "config.yaml").read_text())
    rows = re.findall(r"^\| (`.*`) \|", TEXT[ROOT / "docs" / "options.md"], flags=re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}
    for key, value in config.items():
        for option in [f"{key}.{inner}" for inner in value] if isinstance(value, dict) else [key]:
            assert key in ("defaults", "hydra") or option in named, option


def test_every_option_of_the_scoring_conventions_is_documented() -> None:
    conventions = yaml.safe_load((ROOT / "conf" / "scoring" / "default.yaml").read_text())["conventions"]
    named = re.findall(r"`conventions\.(\w+)`", TEXT[ROOT / "docs" / "scoring.md"])
    assert set(named) == set(conventions)


def test_every_group_is_documented() -> None:
    named = re.findall(r"`(\w+)`", TEXT[ROOT / "docs" / "options.md"])
    assert not GROUPS - set(named)


def test_the_first_page_is_short_and_names_every_other() -> None:
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 150
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in readme or page.name in ("index.md", "api.md"), page.name


@each_page
def test_files_and_modules_exist(page: Path) -> None:
    text = TEXT[page]
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (page.parent / target).exists(), target
    blocks = "\n".join(re.findall(r"^ {4}.*$", text, flags=re.MULTILINE)) if page in CODE else ""
    for word in [*spoken(text), *re.findall(r"[\w/]+\.py\b|\b[a-z]\w*/(?= )", blocks)]:
        if re.fullmatch(r"pixfound(\.\w+)+", word) and not any(name in word for name in INVENTED):
            assert importable(word), word
        path = re.fullmatch(r"([\w./-]+)\.(py|yaml)|([a-z]\w*/)+", word)
        if path and not word.startswith("outputs") and Path(word).stem not in INVENTED:
            assert any(known.endswith(f"/{word.rstrip('/')}") for known in SOURCES), word


def test_the_guides_classes_and_targets_exist() -> None:
    code = "\n".join(p.read_text() for top in ("src", "tests") for p in (ROOT / top).rglob("*.py"))
    defined = set(re.findall(r"^class (\w+)", code, flags=re.MULTILINE))
    for word in (word for page in CODE for word in spoken(TEXT[page])):
        if re.fullmatch(r"([A-Z][a-z]+)+", word):
            assert word in defined or hasattr(abc, word), word
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for text in TEXT.values():
        for line in re.findall(r"(?:^ {4}|`)make ([a-z -]+)", text, flags=re.MULTILINE):
            for target in line.split():
                assert target in targets, target


def test_what_is_not_there_is_noticed() -> None:
    assert exists("model.device_map") and exists("model.answers.KIND") and exists("report.pictures")
    assert not exists("model.devices") and not exists("model.path.KIND")
    assert overrides("`model.seg=first` and `scoring`, `a b=c`") == {"model.seg=first", "b=c"}
    assert list(commands("    pixfound a=b \\\n        c=d  # why\n")) == [["pixfound", "a=b", "c=d"]]
