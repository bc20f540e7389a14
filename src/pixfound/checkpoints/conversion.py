"""Conversion of published checkpoints: every key is used or dropped for a reason, every parameter is filled."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pixfound.checkpoints import locating
from pixfound.compute.devices import check_dtype
from pixfound.errors import UserError

_ROW = re.compile(r"(.*)\[(\d+)\]$")
_PARTS = re.compile(r"(.*)\{(.*)\}(.*)$")

SAM = (  # Meta's names of SAM and SAM 2 -> transformers', inside their part; see transformers' conversion scripts
    (r"mask_downscaling\.0\.", "mask_embed.conv1."),
    (r"mask_downscaling\.1\.", "mask_embed.layer_norm1."),
    (r"mask_downscaling\.3\.", "mask_embed.conv2."),
    (r"mask_downscaling\.4\.", "mask_embed.layer_norm2."),
    (r"mask_downscaling\.6\.", "mask_embed.conv3."),
    (r"pe_layer\.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"),
    (r"output_upscaling\.0\.", "upscale_conv1."),
    (r"output_upscaling\.1\.", "upscale_layer_norm."),
    (r"output_upscaling\.3\.", "upscale_conv2."),
    (r"(iou_prediction_head|output_hypernetworks_mlps\.\d+|pred_obj_score_head)\.layers\.0\.", r"\1.proj_in."),
    (r"(iou_prediction_head|output_hypernetworks_mlps\.\d+|pred_obj_score_head)\.layers\.2\.", r"\1.proj_out."),
    (r"(iou_prediction_head|output_hypernetworks_mlps\.\d+|pred_obj_score_head)\.layers\.1\.", r"\1.layers.0."),
    (r"\.norm(\d)\.", r".layer_norm\1."),
    (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
)
SAM1 = (
    *SAM,
    (r"point_embeddings\.", "point_embed."),
    (r"image_encoder\.neck\.0\.", "vision_encoder.neck.conv1."),
    (r"image_encoder\.neck\.1\.", "vision_encoder.neck.layer_norm1."),
    (r"image_encoder\.neck\.2\.", "vision_encoder.neck.conv2."),
    (r"image_encoder\.neck\.3\.", "vision_encoder.neck.layer_norm2."),
    (r"image_encoder\.patch_embed\.proj\.", "vision_encoder.patch_embed.projection."),
    (r"image_encoder\.blocks\.", "vision_encoder.layers."),
    (r"image_encoder\.", "vision_encoder."),
)
SAM2 = (
    (r"sam_prompt_encoder\.", "prompt_encoder."),
    (r"sam_mask_decoder\.", "mask_decoder."),
    (r"image_encoder\.neck\.convs\.(\d+)\.conv\.", r"vision_encoder.neck.convs.\1."),
    (r"image_encoder\.trunk\.patch_embed\.proj\.", "vision_encoder.backbone.patch_embed.projection."),
    (r"image_encoder\.trunk\.", "vision_encoder.backbone."),
    (r"(backbone\.blocks\.\d+\.mlp|transformer\.layers\.\d+\.mlp)\.layers\.0\.", r"\1.proj_in."),
    (r"(backbone\.blocks\.\d+\.mlp|transformer\.layers\.\d+\.mlp)\.layers\.1\.", r"\1.proj_out."),
    *SAM,
    (r"point_embeddings\.(\d)\.weight", r"point_embed.weight[\1]"),
    (r"\.out_proj\.", ".o_proj."),
    (r"no_mem_embed$", "no_memory_embedding"),
)
SHARED = {  # SAM and SAM 2 encode the positions of points and of the image with one matrix
    "prompt_encoder.shared_embedding.positional_embedding": "shared_image_embedding.positional_embedding"
}
SAM2_VIDEO = {  # of a Sam2Model, what only follows objects through videos
    r"\.(memory_attention|memory_encoder|mask_downsample|obj_ptr_proj|obj_ptr_tpos_proj)\.": "memory of earlier frames",
    r"\.(maskmem_tpos_enc|no_mem_pos_enc|no_obj_ptr|no_obj_embed_spatial)$": "memory of earlier frames",
}


@dataclass(frozen=True)
class Target:
    """The destination of a tensor of the checkpoint.

    name: of the parameter. row: the row of the parameter, None for all. part: (i, n) for the i-th of n equal parts of
    the tensor; None for all of it.
    """

    name: str
    row: int | None = None
    part: tuple[int, int] = (0, 1)


@dataclass(frozen=True)
class KeyMap:
    """Mapping from a checkpoint's names to a model's.

    parts: (prefix, the model's prefix, renames). A key belongs to the first part whose prefix (a pattern) it starts
        with. The renames, pairs of pattern and replacement, are applied in order to the rest of the key. A name that
        ends in `[i]` is row i of that parameter. A name with `{a,b}` is two names, for the halves of the stored tensor.
    dropped: pattern -> the reason why a key is not used. elsewhere: prefixes of parameters that come from another
        checkpoint. copies: suffix of a name -> suffix of a second parameter that gets the same tensor.
    """

    parts: Sequence[tuple[str, str, Sequence[tuple[str, str]]]]
    dropped: Mapping[str, str] = field(default_factory=dict)
    elsewhere: tuple[str, ...] = ()
    copies: Mapping[str, str] = field(default_factory=dict)

    def targets(self, name: str) -> list[Target]:
        """The targets of a key of the checkpoint; empty where the key is dropped."""
        if any(re.search(pattern, name) for pattern in self.dropped):
            return []
        for prefix, target, renames in self.parts:
            start = re.match(prefix, name)
            if start is None:
                continue
            suffix = name[start.end() :]
            for pattern, replacement in renames:
                suffix = re.sub(pattern, replacement, suffix)
            renamed = target + suffix
            copies = (renamed.removesuffix(a) + b for a, b in self.copies.items() if renamed.endswith(a))
            return [t for key in (renamed, *copies) for t in _targets(key)]
        return [Target(name)]


def _targets(key: str) -> list[Target]:
    """The targets of a name with `[i]` or `{a,b}`."""
    row, parts = _ROW.match(key), _PARTS.match(key)
    if row:
        return [Target(row[1], row=int(row[2]))]
    if parts:
        names = parts[2].split(",")
        return [Target(f"{parts[1]}{name}{parts[3]}", part=(i, len(names))) for i, name in enumerate(names)]
    return [Target(key)]


class Checkpoint:
    """The tensors in a folder, of safetensors or of PyTorch's .bin, in one file or in shards.

    folder: the local folder. path: the user's path, with its config key for error messages.
    """

    def __init__(self, folder: str, path: str, key: str = "model.path") -> None:
        self.folder, self.path, self.key = Path(folder), path, key

    @cached_property
    def files(self) -> list[Path]:
        """Files of tensors; safetensors where both formats exist."""
        files = sorted(self.folder.glob("*.safetensors")) or sorted(self.folder.glob("pytorch_model*.bin"))
        if not files:
            raise UserError(
                f"{self.key}={self.path}: has no weights (*.safetensors or pytorch_model*.bin) beside its config; "
                "fetch the whole repository, or give the folder that holds them"
            )
        return files

    @cached_property
    def names(self) -> list[str]:
        """The keys of all files; those of shards are read from the index."""
        indices = sorted(self.folder.glob("*.index.json"), key=lambda f: self.files[0].suffix not in f.name)
        if indices:
            shards: dict[str, str] = json.loads(indices[0].read_text())["weight_map"]
            missing = sorted({f for f in shards.values() if not (self.folder / f).is_file()})
            if missing:
                raise UserError(f"{self.key}={self.path}: lacks {', '.join(missing[:3])}; fetch the missing shards")
            return list(shards)
        return [name for name, _ in self.tensors()]

    def tensors(self) -> Iterator[tuple[str, Any]]:
        """Every (key, tensor), one file in memory at a time."""
        from safetensors import safe_open

        for file in self.files:
            with locating.loading(self.path, self.key):
                if file.suffix == ".bin":
                    yield from read_bin(file, "cpu").items()
                    continue
                with safe_open(str(file), "pt") as stored:
                    yield from ((name, stored.get_tensor(name)) for name in stored.keys())  # noqa: SIM118


def read_bin(file: Path, place: str) -> Mapping[str, Any]:
    """The tensors of a PyTorch .bin on a device, `meta` for shapes alone; raises where the file has other content."""
    import torch

    tensors: Mapping[str, Any] = torch.load(file, map_location=place, weights_only=True, mmap=zipfile.is_zipfile(file))
    return tensors


def fetch(path: str, revision: str | None, key: str, tensors: bool = True) -> str:
    """The folder of `path` from `locating.fetch`; for a hub id without safetensors, with its .bin files.

    tensors: False leaves the weights out.
    """
    folder = locating.fetch(path, revision, key, tensors)
    if not tensors or Path(path).expanduser().is_dir() or any(Path(folder).glob("*.safetensors")):
        return folder
    from huggingface_hub import snapshot_download

    with locating.loading(path, key):
        return snapshot_download(path, revision=revision, allow_patterns=["pytorch_model*.bin"])


@contextmanager
def building(dtype: str, key: str) -> Iterator[None]:
    """Create modules inside the `with` block in this dtype and without initialised values, as all will be loaded."""
    import torch
    from transformers.initialization import no_init_weights

    check_dtype(dtype, key)
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        with no_init_weights():
            yield
    finally:
        torch.set_default_dtype(before)


def load_strict(model: Any, checkpoint: Checkpoint, keymap: KeyMap) -> None:
    """Fill every parameter of `model` from the checkpoint, in the model's dtype.

    Raises UserError, before a tensor is read where the names are known, if a key is neither used nor dropped, if a
    parameter stays empty, or if a shape differs.
    """
    import torch

    parameters, where = model.state_dict(), f"{checkpoint.key}={checkpoint.path}"
    targets = {name: keymap.targets(name) for name in checkpoint.names}
    unexpected = [n for n, mapped in targets.items() if any(t.name not in parameters for t in mapped)]
    filled = {t.name for mapped in targets.values() for t in mapped}
    places = {parameters[n].data_ptr() for n in filled if n in parameters}  # tied weights are stored once
    elsewhere = (*keymap.elsewhere, "\0")
    missing = [n for n, t in parameters.items() if t.data_ptr() not in places and not n.startswith(elsewhere)]
    for keys, problem in ((unexpected, "unexpected keys"), (missing, "missing keys")):
        if keys:
            raise UserError(
                f"{where}: {problem} {', '.join(keys[:3])} ({len(keys)} in all), so the checkpoint is of another model "
                "or line: choose the model=... that it was published as"
            )
    with torch.no_grad():
        for name, stored in checkpoint.tensors():
            for target in targets[name]:
                i, parts = target.part
                tensor = stored.tensor_split(parts)[i]
                place = parameters[target.name] if target.row is None else parameters[target.name][target.row]
                if place.shape != tensor.shape and place.shape != tensor.squeeze(0).shape:
                    raise UserError(
                        f"{where}: {name} has shape {tuple(stored.shape)}, which does not fit this model's "
                        f"{target.name} {tuple(place.shape)}: choose the model=... that it was published as"
                    )
                place.copy_(tensor.reshape(place.shape))
