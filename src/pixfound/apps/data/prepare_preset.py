"""Preparation of a preset of `paired_table` from the Hub, by the key `download` of its YAML.

Its keys: `hub`, the dataset on the Hub, without which `note` says where the files are; `files`, patterns of the files,
of which archives (zip, tar) are unpacked; `sha256` of released files by name, null where it is not known; `size`,
`licence` and `note` for who downloads.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pixfound.apps.data.files import sha256_of
from pixfound.apps.data.hub import download
from pixfound.apps.data.manifest import NAME, Entry, Manifest, read_manifest
from pixfound.apps.data.prepare import WORK, Prepared, locked
from pixfound.errors import UserError

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


def presets() -> dict[str, Mapping[str, Any]]:
    """The `download` of each preset, by its name."""
    from omegaconf import OmegaConf

    downloads: dict[str, Mapping[str, Any]] = {}
    for file in sorted((resources.files("pixfound.conf") / "benchmark").iterdir(), key=lambda entry: entry.name):
        text = file.read_text() if file.name.endswith(".yaml") else ""
        data = OmegaConf.to_container(OmegaConf.create(text))
        if isinstance(data, dict) and "download" in data:
            downloads[file.name.removesuffix(".yaml")] = data["download"]
    return downloads


def prepare_preset(name: str, source: Mapping[str, Any], root: Path, revision: str | None = None) -> Prepared:
    """Download a preset's files into `root` and unpack its archives.

    An interrupted download goes on; files appear in `root` when all are there, annotations and pictures alike. Raises
    UserError, with where to ask, for a set that is not on the Hub or not open.
    """
    root = root.expanduser().resolve()
    if "hub" not in source:
        raise UserError(
            f"{name}: is not on the Hub ({source['note']}); put its files into {root}, as its card in "
            f"docs/benchmarks and conf/benchmark/{name}.yaml say"
        )
    repo, old = str(source["hub"]), read_manifest(root, name)
    complete = all(_size(root / path) == entry.size for path, entry in old.files.items())
    if old.files and complete and revision in (None, old.commits[repo]):
        return Prepared(old, was_complete=True)
    with locked(root):
        hub, stage = root / WORK / "hub" / repo.replace("/", "--"), root / WORK / "set"
        commit = download(repo, revision, list(source["files"]), hub)
        stage.mkdir(parents=True)
        files = [p for p in sorted(hub.rglob("*")) if p.is_file() and p.relative_to(hub).parts[0] != ".cache"]
        for path in sorted(files, key=lambda file: not file.name.endswith(_ARCHIVES)):  # what may fail comes first
            _stage(path, stage / path.relative_to(hub))
        staged = [path for path in sorted(stage.rglob("*")) if path.is_file()]
        entries = {p.relative_to(stage).as_posix(): Entry(p.stat().st_size, sha256_of(p), repo) for p in staged}
        if not entries:
            raise UserError(f"{repo}: has none of {', '.join(source['files'])}; look at its files in a browser")
        released = source.get("sha256") or {}
        for name_inside, entry in entries.items():
            if released.get(Path(name_inside).name, entry.sha256) != entry.sha256:
                raise UserError(f"{repo}, {name_inside}: is not as released (sha256); look at what changed in it")
        for name_inside in entries:
            (root / name_inside).parent.mkdir(parents=True, exist_ok=True)
            os.replace(stage / name_inside, root / name_inside)
        manifest = Manifest(name, entries, {repo: commit})
        part = root / f"{NAME}.part"
        part.write_text(manifest.to_json(), encoding="utf-8")
        os.replace(part, root / NAME)
    unknown = "checksums of the released files are not known: pixfound-data.json has those of these"
    notes = ([] if released else [unknown]) + ([str(source["note"])] if "note" in source else [])
    return Prepared(manifest, {repo: len(entries)}, notes)


def _stage(path: Path, target: Path) -> None:
    """Move a file to its target; unpack an archive into a folder of its own name, which it may bring itself."""
    suffix = next((ending for ending in _ARCHIVES if path.name.lower().endswith(ending)), None)
    target.parent.mkdir(parents=True, exist_ok=True)
    if suffix is None:
        shutil.move(path, target)
        return
    folder = target.with_name(target.name[: -len(suffix)])
    try:
        if suffix == ".zip":
            shutil.unpack_archive(path, folder)
        else:
            shutil.unpack_archive(path, folder, filter="data")
    except (OSError, ValueError, shutil.ReadError) as error:
        raise UserError(f"{path.name}: cannot be unpacked ({error}); run the command again") from error
    inner = folder / folder.name
    if inner.is_dir() and len(list(folder.iterdir())) == 1:
        for child in inner.iterdir():
            shutil.move(child, folder / child.name)
        inner.rmdir()


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
