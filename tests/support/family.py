"""What a tiny random model of a family is made of, and how its folder is written.

Folders have the files of a published checkpoint: weights, tokenizer, `preprocessor_config.json`, chat template.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from pixfound.models.huggingface import HuggingFace


@dataclass(frozen=True)
class Family:
    """How one family's folder is made.

    special: tokens beside <pad>, the start and the end. named: which of them the processor knows by which name.
    config: of the token ids, the model's config. images: makes the image processor. settings: of the processor.
    start, end: the tokens around a text; starts: whether the tokenizer writes the start itself. needs: a package
    without which its image processor cannot be made.
    """

    config: Callable[[Callable[[str], int], int], Any]
    images: Callable[[], Any]
    template: str | None
    special: tuple[str, ...]
    named: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    start: str | None = "<s>"
    end: str = "</s>"
    starts: bool = True
    needs: str | None = None

    def save(self, folder: Path, seed: int = 0, local: bool = False) -> Path:
        """Write the model and all that belongs to it. local: see `token_local`."""
        tokenizer = byte_tokenizer(self)
        config = self.config(tokenizer.convert_tokens_to_ids, len(tokenizer))
        torch.manual_seed(seed)
        model = hf.AutoModelForImageTextToText.from_config(config).eval()
        placed = any("position" in name or "pos_embed" in name for name, _ in model.named_parameters())
        with torch.no_grad():  # what starts at zero would hide the image or the place
            for name, weight in model.named_parameters():
                grey = "patch_embed" in name and not placed  # zero as well, and nothing else is added to it
                if not weight.any() and (grey or not name.endswith("bias")):
                    weight.normal_(std=0.1)
        if local:
            token_local(model)
        model.generation_config.eos_token_id = tokenizer.eos_token_id
        model.generation_config.pad_token_id = tokenizer.pad_token_id
        blank = {i for i in range(len(tokenizer)) if not tokenizer.decode([i]).strip()}
        marks = (set(tokenizer.all_special_ids) | blank) - {tokenizer.eos_token_id}
        model.generation_config.suppress_tokens = sorted(marks)  # a random model would write nothing else
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        self.images().save_pretrained(folder)
        (folder / "processor_config.json").write_text(json.dumps(dict(self.settings)))
        if self.template is not None:
            (folder / "chat_template.jinja").write_text(self.template)
        return folder


def token_local(model: Any) -> None:
    """Take attention out of the vision tower: each of its tokens then depends on its own pixels alone."""
    text = {id(parameter) for parameter in model.get_decoder().parameters()}
    for name, parameter in model.named_parameters():
        if id(parameter) not in text and "attn" in name.replace("attention.", "attn.") and "norm" not in name:
            parameter.data.zero_()


@cache
def _loaded(folder: Path, local: bool) -> HuggingFace:
    model = HuggingFace(str(folder), dtype="float32", device="cpu")
    if local:
        token_local(model.loaded())
    return model


def adapter(folder: Path, local: bool = False, **options: Any) -> HuggingFace:
    """An adapter of a folder's model. All of a folder share its config, processor and weights: leave them as they are.

    local: see `token_local`; those share weights of their own.
    """
    model, shared = HuggingFace(str(folder), dtype="float32", device="cpu", **options), _loaded(folder, local)
    model._check_config(shared._config)
    vars(model).update(_config=shared._config, _processor=shared.processor, _model=shared.loaded())
    return model


def byte_tokenizer(family: Family) -> Any:
    """A tokenizer of single bytes with a family's special tokens: it can write anything."""
    marks = ["<pad>", *([family.start] if family.start else []), family.end, *family.special]
    words = {token: i for i, token in enumerate([*marks, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    backend = Tokenizer(models.BPE(vocab=words, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(mark, normalized=False, special=True) for mark in marks])
    if family.start and family.starts:
        backend.post_processor = processors.TemplateProcessing(
            single=f"{family.start} $A", special_tokens=[(family.start, words[family.start])]
        )
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token=family.start, eos_token=family.end,
        extra_special_tokens=dict(family.named),
    )  # fmt: skip


def skipped(needs: str | None) -> list[pytest.MarkDecorator]:
    """The mark of a test that needs a package; its reason is read by tests/support/family_table.py."""
    return [] if needs is None else [pytest.mark.skipif(find_spec(needs) is None, reason=f"needs {needs}")]
