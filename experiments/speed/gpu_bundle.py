"""`make gpu-bundle`: the project and the wheels that a machine with torch and transformers lacks, in one archive.

For a machine without a package index: Linux on x86_64 with Python 3.11 or 3.12. On it

    tar xf pixfound-gpu.tar.gz && pixfound-gpu/install.sh [PYTHON]

installs into the Python that has torch and transformers, and takes of the wheels what that one lacks. All runs there
but tracker=wandb and what needs an extra.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from importlib.metadata import requires
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "outputs" / "bench" / "pixfound-gpu.tar.gz"
THERE = {"transformers", "numpy", "pillow", "tokenizers", "safetensors", "huggingface-hub", "hf-xet", "regex", "pyyaml"}
LEFT_OUT = {"torch", "transformers", "wandb"}  # wandb is large, and needed by tracker=wandb alone
TESTS = ["pytest", "hypothesis", "jsonschema"]
SOURCE_ONLY = ("antlr4-python3-runtime",)  # no wheel is published: it is built here, and fits any Python
PYTHONS = ("3.11", "3.12")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")


def main() -> None:
    """Write the archive and say its size."""
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    direct = [*(str(need) for need in needs("pixfound") if need.name not in LEFT_OUT), *TESTS]
    with TemporaryDirectory() as folder:
        wheels = Path(folder)
        collect(direct, wheels)
        (wheels / "needed.txt").write_text("\n".join(direct) + "\n")
        tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        with tarfile.open(TARGET, "w:gz") as archive:
            for name in tracked.splitlines():
                archive.add(ROOT / name, f"pixfound-gpu/{name}")
            for wheel in sorted(wheels.iterdir()):
                archive.add(wheel, f"pixfound-gpu/wheels/{wheel.name}")
            archive.add(Path(__file__).with_name("install.sh"), "pixfound-gpu/install.sh")
    print(f"{TARGET.stat().st_size / 1e6:.0f} MB: {TARGET.relative_to(ROOT)}")


def collect(direct: list[str], wheels: Path) -> None:
    """Put into a folder: pixfound's wheel, and those that the requirements `direct` need besides `THERE`, pinned."""
    versions = pins()
    wanted = sorted(closure(direct) - closure(["torch"]) - THERE)
    built = [versions[name] for name in wanted if name in SOURCE_ONLY]
    subprocess.run([*PIP, "wheel", "--no-deps", "--wheel-dir", str(wheels), *built, str(ROOT)], check=True)
    fetched = [versions[name] for name in wanted if name not in SOURCE_ONLY]
    for python in PYTHONS:
        line = [*PIP, "download", "--no-deps", "--only-binary=:all:", "--python-version", python, "--dest", str(wheels)]
        line += [part for platform in PLATFORMS for part in ("--platform", platform)]
        subprocess.run([*line, *fetched], check=True)


def pins() -> dict[str, str]:
    """constraints.txt: a package's canonical name -> NAME==VERSION."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonicalize_name(line.split("==")[0]): line for line in lines if not line.startswith("#")}


def closure(requirements: list[str]) -> set[str]:
    """The names of packages and of all that they need, as they are installed here."""
    found: set[str] = set()
    open_ends = [Requirement(line) for line in requirements]
    while open_ends:
        name = canonicalize_name(open_ends.pop().name)
        if name not in found:
            found.add(name)
            open_ends += needs(name)
    return found


def needs(name: str) -> list[Requirement]:
    """What a package requires without extras."""
    lines = [Requirement(line) for line in requires(name) or ()]
    return [need for need in lines if need.marker is None or need.marker.evaluate({"extra": ""})]


if __name__ == "__main__":
    main()
