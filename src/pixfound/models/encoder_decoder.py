"""Models without attention capture that write locations as special tokens (Florence-2, Kosmos-2).

It serves transformers' image-text-to-text classes that `pixfound.models.huggingface` does not: encoder-decoders, and
those whose config has no image token. Shapes: `B` batch, `T` generated tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from pixfound.checkpoints import locating
from pixfound.checkpoints.loading import load_config, load_model
from pixfound.checkpoints.processors import load_processor
from pixfound.compute.devices import check_dtype, device_name, pick_device
from pixfound.interfaces import TextVectors
from pixfound.io.images import as_rgb
from pixfound.models.embeddings import InputEmbeddings
from pixfound.models.generation_options import check_generation, generation_options
from pixfound.models.geometry.batch_encoder import Request
from pixfound.types import Generation
from pixfound.types.token_spans import token_spans


class Plain:
    """A model run through its own processor, without a chat template, and transformers' `generate`.

    path: hub id or local folder. revision: of the hub id. dtype: a torch dtype's name or auto.
    device: auto, cpu, cuda or cuda:N. generation: arguments of transformers' GenerationConfig; greedy by default.

    The text keeps special tokens, such as those of locations; BOS, EOS and padding are left out.
    """

    captures = False

    def __init__(
        self,
        path: str,
        revision: str | None = None,
        dtype: str = "auto",
        device: str = "auto",
        generation: Mapping[str, Any] | None = None,
    ) -> None:
        self.path, self.revision, self.dtype, self.device = path, revision, dtype, device
        self.generation = generation_options(generation)
        check_dtype(dtype, "model.dtype", auto=True)

    def identity(self) -> Mapping[str, Any]:
        """Values that identify the weights; part of the fingerprint."""
        return locating.identity(self.path, self.revision, "model.path")

    def provenance(self) -> Mapping[str, Any]:
        """The requested device and dtype, and the origin of the weights."""
        return {"device": device_name(self.device), "dtype": self.dtype, **locating.origin(self.path, self.revision)}

    def cautions(self) -> list[str]:
        """Warnings about its answers, one line each."""
        return [f"model.path={self.path}: is asked without a chat template, as model=plain asks: with the bare text"]

    def vectors(self) -> TextVectors:
        """The input embeddings, without loading the model."""
        return InputEmbeddings(self._folder, self._processor.tokenizer)

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """Answer a batch of (image, prompt), in order. An answer does not depend on the rest of the batch.

        The first call loads the model: UserError, before its weights are downloaded, where it is not supported.
        FloatingPointError where logits are not finite.
        """
        found: dict[int, Generation] = {}
        for group in self._groups([prompt.text for _, prompt in requests]):
            answers = self._answers([requests[i] for i in group])
            found |= {i: self._generation(requests[i], ids) for i, ids in zip(group, answers, strict=True)}
        return [found[i] for i in range(len(requests))]

    def _groups(self, texts: Sequence[str]) -> list[list[int]]:
        """Indices of the prompts of each batch: all in one for encoder-decoders, else prompts of equal length.

        An encoder masks padding, which is on the right. On the left of a decoder's prompt, padding may shift the
        positions of generated tokens (Kosmos-2).
        """
        if self._model.config.is_encoder_decoder:
            return [list(range(len(texts)))]
        groups: dict[int, list[int]] = {}
        for i, text in enumerate(texts):
            groups.setdefault(len(self._processor.tokenizer(text)["input_ids"]), []).append(i)
        return list(groups.values())

    def _answers(self, requests: Sequence[Request]) -> list[list[int]]:
        """Token ids (T) of each answer, up to and including the first end token.

        FloatingPointError where a token was chosen from logits that are not finite.
        """
        import torch

        from pixfound.compute.numerics import FiniteLogits
        from pixfound.models.attention.prefix_sharing import greedy

        model, processor, finite = self._model, self._processor, FiniteLogits()
        texts, images = [prompt.text for _, prompt in requests], [as_rgb(image) for image, _ in requests]
        batch = processor(text=texts, images=images, padding=True, return_tensors="pt")
        inputs = {k: v.to(model.device, model.dtype if v.is_floating_point() else None) for k, v in batch.items()}
        config = greedy(model.generation_config, **self.generation)
        with torch.inference_mode(), finite.watching(model):
            ids = model.generate(**inputs, generation_config=config)
        start = 1 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]  # a decoder's own start token
        end = processor.tokenizer.eos_token_id
        answers = [row[: row.index(end) + 1] if end in row else row for row in ids[:, start:].tolist()]
        finite.check([len(answer) for answer in answers], model.dtype)
        return answers

    def _generation(self, request: Request, ids: Sequence[int]) -> Generation:
        tokenizer = self._processor.tokenizer
        marks = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
        text, spans = token_spans(ids, lambda part: str(tokenizer.decode([i for i in part if i not in marks])))
        return Generation(text, (request[0].height, request[0].width), spans, prompt=request[1].text, bare=True)

    @cached_property
    def _folder(self) -> str:
        return locating.fetch(self.path, self.revision, "model.path")

    @cached_property
    def _processor(self) -> Any:
        folder = locating.fetch(self.path, self.revision, "model.path", tensors=False)
        config = load_config(folder, self.path)
        check_generation(self.generation)
        processor = load_processor(folder, self.path)
        if config.is_encoder_decoder:  # an encoder counts positions from the first token, padding included
            processor.tokenizer.padding_side = "right"
        return processor

    @cached_property
    def _model(self) -> Any:
        _ = self._processor  # its errors are raised before the weights are downloaded
        return load_model(self._folder, self.path, self.dtype, pick_device(self.device), None)
