"""Location and identity of weights: embedded miniature models, local folders, hub ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from pickle import UnpicklingError  # the name of an error; nothing is unpickled
from typing import Any

from pixfound.checkpoints.checks import check_folder
from pixfound.checkpoints.digests import file_digest
from pixfound.errors import UserError, nearest

EMBEDDED = "embedded:"
_POINTER = b"version https://git-lfs"
_SMALL = ["*.json", "*.jinja", "*.txt", "*.model"]
_NEEDED = ["*.safetensors", *_SMALL]  # not the same weights in other formats
PICKLED = (
    "holds a pickle of more than tensors, or a damaged one, and code in it is not run: give a folder or a revision "
    "with *.safetensors (safetensors.torch.save_file writes them from a checkpoint that you trust)"
)
OWN_CODE = (
    "holds Python code of its own, which is not run: read it, and if you trust it use model=hf with "
    "model.trust_remote_code=true"
)


def locate(path: str, key: str) -> str:
    """The folder of `path`, or `path` itself for a hub id.

    path: `embedded:NAME` for a model inside this package, a local folder, or a hub id ("owner/name").
    key: its config key, for the error message.
    """
    if path.startswith(EMBEDDED):
        root = Path(str(files("pixfound.weights")))
        names = [folder.name for folder in root.iterdir() if (folder / "config.json").is_file()]
        name = path.removeprefix(EMBEDDED)
        if name not in names:
            raise UserError(f"{key}={path}: no embedded model of this name; {nearest(name, names)}")
        return str(root / name)
    folder = Path(path).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(f"{key}={path}: the folder has no config.json, so it holds no transformers model")
        check_folder(folder, f"{key}={path}")
        return str(folder)
    if path.startswith(("/", ".", "~")) or path.count("/") != 1:
        raise UserError(f"{key}={path}: no such folder; give an existing folder or a hub id such as owner/name")
    return path


def fetch(path: str, revision: str | None, key: str, tensors: bool = True, code: bool = False) -> str:
    """The local folder of `path`; a hub id is downloaded into the hub's cache, or found there.

    tensors: True includes the weights, False gives only config, tokenizer and processor.
    code: True includes Python files.
    Raises UserError for a revision of a local folder.
    """
    located = _locate(path, revision, key)
    if Path(located).is_dir():
        return located
    from huggingface_hub import snapshot_download

    with loading(path, key):
        patterns = [*(_NEEDED if tensors else _SMALL), *(["*.py"] if code else [])]
        folder = snapshot_download(located, revision=revision, allow_patterns=patterns)
        check_folder(Path(folder), f"{key}={path}")
        return folder


def identity(path: str, revision: str | None, key: str) -> Mapping[str, Any]:
    """Identity of the weights: a digest of a local folder's content, or a hub id with its revision.

    Raises UserError for a revision of a local folder.
    """
    folder = Path(_locate(path, revision, key))
    if not folder.is_dir():
        return {"hub": path, "revision": revision or "main"}
    digest = hashlib.sha256()
    with loading(path, key):
        for file in sorted(f for f in folder.rglob("*") if f.is_file()):
            digest.update(str(file.relative_to(folder)).encode())
            digest.update(file_digest(file))
    return {"content": digest.hexdigest()}


def origin(path: str, revision: str | None) -> dict[str, str | None]:
    """The path and revision in the config, recorded with results; for a hub id also the commit in the cache.

    A branch such as main may move. Results are then still found under its name, and the commits show the change.
    """
    source = {"path": path, "revision": revision}
    if path.count("/") != 1 or path.startswith(EMBEDDED) or Path(path).expanduser().is_dir():
        return source
    from huggingface_hub import constants

    name = f"models--{path.replace('/', '--')}"
    try:
        commit = (Path(constants.HF_HUB_CACHE) / name / "refs" / (revision or "main")).read_text().strip()
    except (OSError, ValueError):  # not fetched yet, or the revision is a commit
        return source
    return {**source, "commit": commit}


def _locate(path: str, revision: str | None, key: str) -> str:
    """The folder of `path`, or the hub id; raises UserError for a revision of a local folder."""
    located, name = locate(path, key), _revision_key(key)
    if not isinstance(revision, str | None):  # a commit of digits alone is a number where it is typed without quotes
        raise UserError(f"{name}={revision}: must be a text; type it as '{name}=\"{revision}\"'")
    if revision is not None and Path(located).is_dir():
        raise UserError(
            f"{name}={revision}: {key}={path} is a folder, of which there are no revisions: what lies in it would be "
            f"used, whatever {name} says; use {name}=null, or give a hub id (owner/name) as {key}"
        )
    return located


def _revision_key(key: str) -> str:
    """The config key of the revision for the path under `key`."""
    return key.removesuffix("path") + "revision" if key.endswith(".path") else f"{key}_revision"


class DamagedWeights(ValueError):
    """A truncated or damaged file of weights; the message names the file and the remedy."""


def header(file: Path) -> tuple[int, dict[str, Any]]:
    """(byte offset of the tensors, header) of a safetensors file; raises DamagedWeights where it is incomplete."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        if start == _POINTER[:8]:
            raise DamagedWeights(f"{file.name} is a pointer of Git LFS and not the weights; run `git lfs pull` there")
        length = int.from_bytes(start, "little")
        body = stream.read(length) if len(start) == 8 and length <= size - 8 else b""
    try:
        tensors: dict[str, Any] = json.loads(body)
        ends = [about["data_offsets"][1] for name, about in tensors.items() if name != "__metadata__"]
        complete = 8 + length + max(ends, default=0) == size
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        complete = False
    if not complete:
        raise DamagedWeights(f"{file.name} is cut short or damaged; remove it and fetch it again")
    return 8 + length, tensors


@contextmanager
def loading(path: str, key: str) -> Iterator[None]:
    """Convert errors inside the `with` block to one line with the reason why the weights could not be loaded."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{key}={path}: {_account(error, path, key)}") from error


def wants_code(error: BaseException) -> bool:
    """True if transformers refused to run code that comes with the weights (trust_remote_code)."""
    return isinstance(error, ValueError) and "trust_remote_code" in str(error)


def _account(error: Exception, path: str, key: str) -> str:
    """The reason why weights could not be loaded, and the remedy."""
    from huggingface_hub import errors as hub

    if isinstance(error, hub.GatedRepoError):
        return f"is gated: accept its licence at https://huggingface.co/{path}, then log in with `hf auth login`"
    if isinstance(error, hub.RevisionNotFoundError):
        name = _revision_key(key)
        return f"has no such revision on the hub; give a branch, a tag or a commit of it as {name}, or null"
    if isinstance(error, hub.RepositoryNotFoundError):
        return "is not on the hub, or private: check the name, or log in with `hf auth login`"
    status = _status(error)
    if status in (401, 403):
        return (
            f"the hub refuses it (HTTP {status}): log in with `hf auth login`, anew where you are; a token that has "
            "expired is refused for public models too"
        )
    if status is not None and (status == 429 or status >= 500):
        return (
            f"the hub answers HTTP {status}: run the same command later, or give a folder that `hf download {path}` "
            "made elsewhere"
        )
    if isinstance(error, hub.LocalEntryNotFoundError | hub.OfflineModeIsEnabled | ConnectionError):
        return (
            "is not in the hub's cache, and the hub cannot be reached: check the network (HF_HUB_OFFLINE must not "
            f"be 1), or run `hf download {path}` where there is one and give that folder"
        )
    if wants_code(error):
        return OWN_CODE
    if isinstance(error, DamagedWeights):
        return str(error)
    if isinstance(error, UnpicklingError) or "weights_only" in str(error):
        return PICKLED
    reason = " ".join(str(error).split())[:300]
    return (
        f"could not be loaded as a model ({type(error).__name__}: {reason}). "
        "Check the name; without network give a local folder that holds the model"
    )


def _status(error: BaseException | None) -> int | None:
    """The HTTP status of an error or of its causes; None where there is none."""
    from huggingface_hub.errors import HfHubHTTPError

    while error is not None:
        if isinstance(error, HfHubHTTPError) and error.response is not None:
            return int(error.response.status_code)
        error = error.__cause__ or error.__context__
    return None
