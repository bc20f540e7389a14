"""Files of datasets on the Hugging Face Hub, each verified against the checksum in the Hub's listing."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixfound.apps.data.files import git_blob_of, inside, sha256_of
from pixfound.errors import UserError

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)  # the Hub has no part in these
_ATTEMPTS = 2  # a transfer that arrives wrong is made once more


class Unreachable(UserError):
    """Raised where the Hub does not answer, or does not serve a complete dataset."""


@dataclass(frozen=True)
class Remote:
    """A file in the Hub's listing of a dataset. blob: its git blob id. sha256: only for files in LFS."""

    path: str
    size: int | None
    blob: str | None
    sha256: str | None

    def wrong(self, path: Path) -> str:
        """The difference of a file on disk from its listing, in words; "" where there is none."""
        if self.size is not None and path.stat().st_size != self.size:
            return f"has {path.stat().st_size} bytes, not {self.size}"
        if self.sha256 and sha256_of(path) != self.sha256:
            return "has other bytes than the listed sha256"
        if not self.sha256 and self.blob and git_blob_of(path) != self.blob:
            return "has other bytes than the listed git blob"
        return ""


@dataclass(frozen=True)
class Listing:
    """The files of a dataset at one commit."""

    repo: str
    commit: str
    files: Mapping[str, Remote]


class Hub:
    """Client for listings and downloads by huggingface_hub, which reads HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE."""

    def listing(self, repo: str, revision: str | None) -> Listing:
        """All files of a dataset; a name that leads out of the folder is an error."""
        from huggingface_hub import HfApi

        try:
            info = HfApi().dataset_info(repo, revision=revision, files_metadata=True, timeout=30)
        except Exception as error:  # the client's own errors, and those of whichever HTTP library it uses
            raise _explained(error, repo, revision) from error
        files = {}
        for sibling in info.siblings or ():
            path, lfs = inside(sibling.rfilename, f"the dataset {repo}"), sibling.lfs
            files[path] = Remote(path, sibling.size, sibling.blob_id, lfs.sha256 if lfs else None)
        return Listing(repo, str(info.sha), files)

    def fetch(self, listing: Listing, remote: Remote, folder: Path) -> Path:
        """Download a file into a folder and verify it; an interrupted download is resumed.

        Raises UserError where the content differs from the listing twice.
        """
        from huggingface_hub import hf_hub_download

        wrong = ""
        for attempt in range(_ATTEMPTS):
            try:
                path = Path(
                    hf_hub_download(
                        listing.repo,
                        remote.path,
                        repo_type="dataset",
                        revision=listing.commit,
                        local_dir=folder,
                        force_download=attempt > 0,
                    )
                )
            except Exception as error:
                if isinstance(error, OSError) and error.errno in _DISK:
                    raise
                if "Consistency check failed" not in str(error):  # the client found another size than announced
                    raise _explained(error, listing.repo, listing.commit, remote.path) from error
                wrong = "has another size than announced"
            else:
                wrong = remote.wrong(path)
                if not wrong:
                    return path
                path.unlink()
        raise UserError(
            f"{listing.repo}, {remote.path}: what arrives {wrong}, {_ATTEMPTS} times; run the command again"
        )


def _explained(error: Exception, repo: str, revision: str | None, file: str = "") -> UserError:
    """The error in one line."""
    from huggingface_hub import constants, errors

    if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # what the client says when it could not ask for a file
    status: Any = getattr(getattr(error, "response", None), "status_code", None)
    host, what = constants.ENDPOINT, f"{repo}, {file}" if file else repo
    if isinstance(error, errors.GatedRepoError):
        return Unreachable(f"{what}: ask for access at {host}/datasets/{repo}, then set HF_TOKEN")
    if isinstance(error, errors.RevisionNotFoundError):
        return UserError(f"{what}: {host} has no revision {revision!r} of it; give another with --revision")
    if isinstance(error, errors.EntryNotFoundError) and status == 404:
        return UserError(f"{what}: {host} lists this file but does not have it (404); give a copy with --from")
    if isinstance(error, errors.RepositoryNotFoundError) or status in (401, 403, 404):
        return Unreachable(f"{what}: {host} has no such dataset for you ({status}); set HF_TOKEN if it asks for one")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return Unreachable(f"{what}: the Hub is switched off by HF_HUB_OFFLINE=1")
    if status is not None:
        return Unreachable(f"{what}: {host} answers with the error {status}; try again later")
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    return Unreachable(f"{what}: {host} cannot be reached ({reason})")
