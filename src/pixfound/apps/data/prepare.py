"""Preparation of a benchmark: correct files are kept, local copies are used, the rest is downloaded from the Hub.

Nothing appears in the benchmark's folder before all files are complete and verified. After a failure the downloaded
files are kept for the next run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pixfound.apps.data.checks import check_folder
from pixfound.apps.data.files import Dataset
from pixfound.apps.data.gather import Gathering
from pixfound.apps.data.manifest import NAME, Manifest, read_manifest
from pixfound.apps.data.shelf import Shelf
from pixfound.apps.data.staging import staged
from pixfound.errors import UserError, nearest


@dataclass(frozen=True)
class Prepared:
    """The result of a preparation.

    sources: number of files by source. notes: optional files that were left out, with the reason. was_complete: True if
    there was nothing to do.
    """

    manifest: Manifest
    sources: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    was_complete: bool = False


def prepare(
    dataset: Dataset,
    root: Path,
    copies: Sequence[Path] = (),
    revisions: Mapping[str, str] | None = None,
    allow_changed: bool = False,
) -> Prepared:
    """Bring a benchmark into its layout in `root`.

    copies: folders to search first. revisions: branch, tag or commit by dataset on the Hub.
    allow_changed: accept annotation files that differ from the released ones.
    Raises UserError with every missing file and its path where the dataset cannot be completed.
    """
    revisions = dict(revisions or {})
    for repo in revisions:
        if repo not in dataset.repos:
            raise UserError(
                f"--revision {repo}=...: {dataset.name} does not come from it; {nearest(repo, dataset.repos)}"
            )
    root = root.expanduser().resolve()
    if root.exists() and not root.is_dir():
        raise UserError(f"--root {root}: is a file; give a folder")
    old = read_manifest(root, dataset.name)
    pinned = {repo: rev for repo, rev in revisions.items() if old.commits.get(repo) != rev}
    if old.files and not pinned and not check_folder(dataset, root, old):
        return Prepared(old, was_complete=True)
    shelf = Shelf([folder.expanduser() for folder in copies])
    with staged(root) as stage:
        work = Gathering(dataset, root, stage, shelf, old, revisions, frozenset(pinned), allow_changed)
        work.gather(dataset.annotations)
        images = dataset.images(stage.folder)
        work.gather(images)
        notes = work.check(images)
        manifest = work.manifest((*dataset.annotations, *images))
        (stage.folder / NAME).write_text(manifest.to_json(), encoding="utf-8")
        stage.place()
    return Prepared(manifest, work.counts(), notes)
