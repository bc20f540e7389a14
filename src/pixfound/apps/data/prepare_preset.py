"""Preparation of a preset of `paired_table`, by the key `download` of its YAML.

Its keys: `hub`, a dataset on the Hub, and `files`, patterns of its files; `urls`, files of other hosts. Without both,
`note` says where the files are. Archives (zip, tar) are unpacked. `sha256`: of released files by name, null where it is
not known; `size`, `licence` and `note` for who downloads. `pictures`: URLs in a `column` of the downloaded `rows`,
put into `folder`.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from pixfound.apps.data.checks import check_manifest
from pixfound.apps.data.files import sha256_of
from pixfound.apps.data.hub import DISK_ERRORS, download
from pixfound.apps.data.manifest import NAME, Entry, Manifest, read_manifest
from pixfound.apps.data.prepare import WORK, Prepared, locked
from pixfound.apps.data.web import fetch
from pixfound.benchmarks.table.rows import read_rows
from pixfound.errors import UserError

_AT_ONCE = 8  # pictures, each of a URL of its own
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

    An interrupted download goes on; files appear in `root` when all are there, annotations and pictures alike. What is
    fetched again must be what it was the first time, unless another revision is asked for. Raises UserError, with where
    to ask, for a set that cannot be downloaded.
    """
    root = root.expanduser().resolve()
    urls, repo = list(source.get("urls") or ()), source.get("hub")
    if not (repo or urls):
        raise UserError(
            f"{name}: is not to be had by a program ({source['note']}); put its files into {root}, as its card in "
            f"docs/benchmarks and conf/benchmark/{name}.yaml say"
        )
    old, released = read_manifest(root, name), dict(source.get("sha256") or {})
    if revision in (None, old.commits.get(str(repo))) and old.files and not check_manifest(root, old):
        return Prepared(old, was_complete=True)
    with locked(root):
        hub, stage = root / WORK / "hub", root / WORK / "set"
        own = [url for url in urls if _is_own(root / _unpacked(url), root, old)]
        wanted = {**source, "urls": [url for url in urls if url not in own]}
        origins, commits = _download(wanted, hub, old.commits, revision)
        if pictures := source.get("pictures"):
            origins |= _pictures(root, hub, list(origins), old, **pictures)
        stage.mkdir(parents=True)
        entries: dict[str, Entry] = {}
        for path, (inside, origin) in sorted(origins.items(), key=lambda item: not _is_archive(item[0])):
            for file in _stage(path, stage / inside):  # archives, which may fail, come first
                entries[file.relative_to(stage).as_posix()] = Entry(file.stat().st_size, sha256_of(file), origin)
        if not entries and repo:
            raise UserError(f"{repo}: has none of {', '.join(source['files'])}; look at its files in a browser")
        for place, entry in entries.items():
            if released.get(Path(place).name, entry.sha256) != entry.sha256:
                raise UserError(f"{entry.source}, {place}: is not as released (sha256); look at what changed in it")
        for place in entries:
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            os.replace(stage / place, root / place)
        manifest = Manifest(name, entries, commits)
        part = root / f"{NAME}.part"
        part.write_text(manifest.to_json(), encoding="utf-8")
        os.replace(part, root / NAME)
    unknown = f"checksums of the released files are not known: those of these are in {NAME}, and hold from now on"
    notes = ([] if released else [unknown]) + ([str(source["note"])] if "note" in source else [])
    notes += [f"{_unpacked(url)} was there, and is left as it is: {url} is not fetched" for url in own]
    return Prepared(manifest, dict(Counter(entry.source for entry in entries.values())), notes)


def _download(
    source: Mapping[str, Any], folder: Path, known: Mapping[str, str], revision: str | None
) -> tuple[dict[Path, tuple[Path, str]], dict[str, str]]:
    """(downloaded file -> its path in the benchmark's folder and its source, commit or checksum by source).

    known: those of an earlier preparation, which hold again.
    """
    files: dict[Path, tuple[Path, str]] = {}
    commits: dict[str, str] = {}
    if repo := source.get("hub"):
        place = folder / repo.replace("/", "--")
        commits[repo] = download(repo, revision or known.get(repo), list(source["files"]), place)
        for path in sorted(place.rglob("*")):
            inside = path.relative_to(place)
            if path.is_file() and inside.parts[0] != ".cache":
                files[path] = inside, repo
    for url in source.get("urls") or ():
        released = (source.get("sha256") or {}).get(PurePosixPath(url).name)
        path, commits[url] = fetch(url, folder / str(urlsplit(url).hostname), known.get(url) or released)
        files[path] = Path(path.name), url
    return files, commits


def _pictures(
    root: Path, hub: Path, files: Sequence[Path], old: Manifest, rows: str, column: str, folder: str
) -> dict[Path, tuple[Path, str]]:
    """Downloaded picture -> its path in the benchmark's folder and its host, for the URLs in a column of its tables.

    rows: pattern of the tables among `files`. Pictures that are in the benchmark's folder already are not downloaded.
    Raises UserError with the first that fails, after the others have been downloaded.
    """
    from tqdm import tqdm

    tables = [path for path in files if path.match(rows)]
    urls = dict.fromkeys(str(row.cell(column)) for path in tables for row in read_rows(str(path), {column}))
    wanted = {url: Path(folder) / unquote(PurePosixPath(urlsplit(url).path).name) for url in urls}
    wanted = {url: place for url, place in wanted.items() if not _is_own(root / place, root, old)}

    def load(url: str) -> Path | UserError:
        known = old.files.get(wanted[url].as_posix())
        try:
            return fetch(url, hub / "pictures", known.sha256 if known else None, progress=False)[0]
        except UserError as error:
            return error

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        loaded = list(tqdm(pool.map(load, wanted), "pictures", len(wanted), disable=None))
    if errors := [result for result in loaded if isinstance(result, UserError)]:
        raise UserError(f"{errors[0]} ({len(errors)} of {len(wanted)} pictures are missing)")
    hosts = [str(urlsplit(url).hostname) for url in wanted]
    places = zip(wanted.values(), hosts, strict=True)
    return {path: of for path, of in zip(loaded, places, strict=True) if isinstance(path, Path)}


def _unzip(path: Path, folder: Path) -> None:
    """Unpack names without the mark of UTF-8 as that too, which they mostly are, else as zipfile takes them (CP437)."""
    try:
        archive = zipfile.ZipFile(path, metadata_encoding="utf-8")
    except UnicodeDecodeError:
        archive = zipfile.ZipFile(path)
    with archive:
        archive.extractall(folder)


def _is_archive(path: Path) -> bool:
    return path.name.lower().endswith(_ARCHIVES)


def _unpacked(url: str) -> str:
    """The name of what a URL's file becomes: an archive a folder without its ending."""
    name = PurePosixPath(urlsplit(url).path).name
    return next((name[: -len(ending)] for ending in _ARCHIVES if name.endswith(ending)), name)


def _is_own(path: Path, root: Path, old: Manifest) -> bool:
    """True for what is in the benchmark's folder without having been prepared, such as a link to COCO's pictures."""
    inside = path.relative_to(root).as_posix()
    return path.exists() and not any(name == inside or name.startswith(f"{inside}/") for name in old.files)


def _stage(path: Path, target: Path) -> list[Path]:
    """Move a file to its target; unpack an archive into a folder of its own name, which it may bring itself.

    Returns what is there then.
    """
    suffix = next((ending for ending in _ARCHIVES if path.name.lower().endswith(ending)), None)
    target.parent.mkdir(parents=True, exist_ok=True)
    if suffix is None:
        shutil.move(path, target)
        return [target]
    folder = target.with_name(target.name[: -len(suffix)])
    try:
        if suffix == ".zip":
            _unzip(path, folder)
        else:
            shutil.unpack_archive(path, folder, filter="data")
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        path.unlink()
        raise UserError(f"{path.name}: cannot be unpacked ({error}); run the command again to fetch it anew") from error
    inner = folder / folder.name
    if inner.is_dir() and len(list(folder.iterdir())) == 1:
        for child in inner.iterdir():
            shutil.move(child, folder / child.name)
        inner.rmdir()
    return [file for file in sorted(folder.rglob("*")) if file.is_file()]
