"""Vectors of short texts from a model's input embeddings, read from its checkpoint without loading the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pixfound.checkpoints.conversion import Checkpoint
from pixfound.errors import UserError
from pixfound.io.surrogates import replace_surrogates

_NAMES = (
    "embed_tokens.weight",
    "wte.weight",
    "wte.embedding",  # without the special tokens, which are in a table of their own
    "tok_embeddings.weight",
    "word_embeddings.weight",
    "shared.weight",
)


class InputEmbeddings:
    """Vector of a text: the mean of its tokens' input embeddings, minus the mean over the vocabulary.

    folder: of a checkpoint in safetensors or PyTorch's .bin. UserError where it has no embedding table.

    Tokens beyond the table (added special tokens) carry no meaning of the text, and are left out. The mean is
    subtracted because embeddings of language models share a large common direction, which makes all texts similar.
    """

    def __init__(self, folder: str, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        table = _table(folder)
        self._table = table - table.mean(axis=0, keepdims=True)  # (V, D)
        self.vector = lru_cache(maxsize=65536)(self._vector)

    def _vector(self, text: str) -> npt.NDArray[np.float32]:
        """(D,) fp32 vector of a text, tokenized with a leading space as inside a sentence; zeros for an empty one."""
        token_ids: Sequence[int] = self._tokenizer(f" {replace_surrogates(text)}", add_special_tokens=False)[
            "input_ids"
        ]
        ids = [i for i in token_ids if i < len(self._table)]
        if not ids:
            return np.zeros(self._table.shape[1], dtype=np.float32)
        return np.asarray(self._table[ids].mean(axis=0), dtype=np.float32)


def _table(folder: str) -> npt.NDArray[np.float32]:
    import torch
    from safetensors import safe_open

    if not any(Path(folder).glob("*.safetensors")) and any(Path(folder).glob("pytorch_model*.bin")):
        stored = Checkpoint(folder, folder)
        tables = sorted((n for n in stored.names if n.endswith(_NAMES)), key=lambda n: ("visi" in n, len(n)))
        for name, tensor in stored.tensors():
            if name in tables[:1]:
                return np.asarray(tensor.to(torch.float32).numpy())
    index = Path(folder) / "model.safetensors.index.json"
    if index.is_file():
        places: dict[str, str] = json.loads(index.read_text())["weight_map"]
    else:
        file = Path(folder) / "model.safetensors"
        if not file.is_file():
            raise UserError(f"{folder}: has no safetensors to read input embeddings from; use selectors with spaCy")
        with safe_open(str(file), "pt") as tensors:
            places = dict.fromkeys(tensors.keys(), file.name)
    names = sorted((n for n in places if n.endswith(_NAMES)), key=lambda n: ("visi" in n, len(n)))
    if not names:
        raise UserError(f"{folder}: no tensor ends with {' or '.join(_NAMES)}, so input embeddings are unknown")
    with safe_open(str(Path(folder) / places[names[0]]), "pt") as tensors:
        return np.asarray(tensors.get_tensor(names[0]).to(torch.float32).numpy())
