"""The package as people get it: a wheel, a clone that nobody installed, its own version, and the files beside it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

import pixfound

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "conf" / "config.yaml"


def run(folder: Path, paths: list[Path], *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m pixfound` in a folder, with the dependencies but without what is installed in place (no .pth file)."""
    spec = find_spec("hydra")
    assert spec is not None and spec.origin is not None
    known = [*paths, Path(spec.origin).parents[1]]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, known))}
    command = [sys.executable, "-S", "-m", "pixfound", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what is committed that a build needs, whose config has another seed."""
    folder = tmp_path / "clone"
    for name in ("src", "conf", "experiments"):
        shutil.copytree(
            ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("*.egg-info", "__pyc*")
        )
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    config = folder / "conf" / "config.yaml"
    config.write_text(config.read_text().replace("seed: 0 ", "seed: 12 "))
    return folder


def test_a_clone_on_the_path_sees_its_own_configs(clone: Path, tmp_path: Path) -> None:
    done = run(tmp_path, [clone / "src"], "experiment=demo", "--cfg", "job")
    assert (done.returncode, done.stderr) == (0, "")
    assert yaml.safe_load(done.stdout)["seed"] == 12
    assert yaml.safe_load(done.stdout)["model"]["path"] == "embedded:tiny_llava"


def test_a_wheel_runs_from_any_folder(clone: Path, tmp_path: Path) -> None:
    pip, offline = [sys.executable, "-m", "pip", "-q"], ["--no-deps", "--no-index"]
    built = [*pip, "wheel", *offline, "--no-build-isolation", "-w", str(tmp_path), str(clone)]
    done = subprocess.run(built, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(clone)
    (wheel,) = tmp_path.glob("*.whl")
    target = tmp_path / "site"
    subprocess.run([*pip, "install", *offline, "--target", str(target), str(wheel)], check=True, capture_output=True)
    done = run(tmp_path, [target], "experiment=demo", "--cfg", "job")
    assert (done.returncode, done.stderr) == (0, "")
    assert yaml.safe_load(done.stdout)["seed"] == 12
    metadata = next(target.glob("pixfound-*.dist-info/METADATA")).read_text()
    for needed in (
        "Project-URL: Paper, https://arxiv.org/abs/2502.04192",
        "Classifier: Programming Language :: Python :: 3.11",
    ):
        assert needed in metadata


def test_version_is_pixfounds_own() -> None:
    for module in ("pixfound", "pixfound.apps.certify.cli"):
        code = "from pixfound.apps.certify.cli import main; main()" if "certify" in module else ""
        command = [sys.executable, *(["-c", code] if code else ["-m", module]), "--version"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"pixfound {pixfound.__version__}\n", "")


def test_help_keeps_the_comments_and_shows_the_choices(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pixfound", "model=openai", "model.model=m", "--help"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    commented = [line for line in CONFIG.read_text().splitlines() if re.search(r"\w.*  *#", line)]
    assert len(commented) > 15
    for line in commented:
        assert line in done.stdout
    assert "${hydra:runtime.choices.model}" in done.stdout  # the text of the file, dollars and all
    assert "timeout_s: 60.0" in done.stdout  # what was chosen


def test_the_citation_names_this_version_and_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == pixfound.__version__
    assert citation["references"][0]["identifiers"][0]["value"] == "10.48550/arXiv.2502.04192"


def test_continuous_integration_and_hooks_run_what_make_check_runs() -> None:
    (job,) = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"].values()
    assert job["steps"][-1]["run"] == ".ci/run"
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    checks = re.findall(
        r"@\$\(BIN\)/(\S+.*)", (ROOT / "Makefile").read_text().partition("\ncheck:")[2].partition("\n\n")[0]
    )
    assert len(checks) == 4
    assert [hook["entry"] for hook in repo["hooks"]] == [f".venv/bin/{check}" for check in checks]


def test_completion_names_the_choices(tmp_path: Path) -> None:
    environment = {**os.environ, "COMP_LINE": "pixfound benchmark=pix", "COMP_POINT": "22"}
    command = [sys.executable, "-m", "pixfound", "-sc", "query=bash"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert {"benchmark=pixmmvp", "benchmark=pixshapes"} <= set(done.stdout.split())
