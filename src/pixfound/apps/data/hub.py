"""Downloads from datasets on the Hugging Face Hub.

huggingface_hub does the work, and reads HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixfound.errors import UserError

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)  # not the Hub's errors
_ATTEMPTS = 2  # a transfer with wrong bytes is repeated once


class Unreachable(UserError):
    """Raised where the Hub does not answer, or does not serve a dataset at all."""


def download(repo: str, revision: str | None, patterns: Sequence[str], folder: Path) -> str:
    """Download the files of a dataset that match any pattern into a folder, and return the commit.

    An interrupted download is resumed, and complete files are not downloaded again. Each file is verified against the
    Hub's checksum; raises UserError where one is wrong twice.
    """
    from huggingface_hub import HfApi, snapshot_download

    try:
        commit = str(HfApi().dataset_info(repo, revision=revision, timeout=30).sha)
        folder.mkdir(parents=True, exist_ok=True)
        wrong: list[str] = []
        for attempt in range(_ATTEMPTS):
            complete = True
            try:
                snapshot_download(
                    repo, repo_type="dataset", revision=commit, local_dir=folder, allow_patterns=list(patterns)
                )
            except OSError as error:
                if attempt or "Consistency check failed" not in str(error):  # another size than announced
                    raise
                complete = False
            check = HfApi().verify_repo_checksums(repo, repo_type="dataset", revision=commit, local_dir=folder)
            wrong = [mismatch["path"] for mismatch in check.mismatches]
            if complete and not wrong:
                break
            for path in wrong:
                (folder / path).unlink()
    except Exception as error:  # of the client, and of whichever HTTP library it uses
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        raise _in_one_line(error, repo, revision) from error
    if wrong:
        raise UserError(
            f"{repo}, {', '.join(wrong[:3])}: arrived {_ATTEMPTS} times with other bytes than the Hub's checksum; "
            "run the command again"
        )
    return commit


def _in_one_line(error: Exception, repo: str, revision: str | None) -> UserError:
    from huggingface_hub import constants, errors

    if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    response: Any = getattr(error, "response", None)
    status, host = getattr(response, "status_code", None), constants.ENDPOINT
    if isinstance(error, errors.GatedRepoError):
        return Unreachable(f"{repo}: ask for access at {host}/datasets/{repo} in a browser, then set HF_TOKEN")
    if isinstance(error, errors.RevisionNotFoundError):
        return UserError(f"{repo}: {host} has no revision {revision!r} of it; give another with --revision")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return Unreachable(f"{repo}: the Hub is switched off by HF_HUB_OFFLINE=1")
    if isinstance(error, errors.RepositoryNotFoundError):
        return Unreachable(f"{repo}: {host} has no such dataset for you ({status}); set HF_TOKEN if it asks for one")
    if status is not None:
        url = response.url
        return Unreachable(f"{repo}: {url} answers with the error {status}; try again later, or give a copy by --from")
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    return Unreachable(f"{repo}: {host} cannot be reached ({reason})")
