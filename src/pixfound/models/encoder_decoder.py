"""Models without attention capture that write locations as special tokens (Florence-2, Kosmos-2).

It serves transformers' image-text-to-text classes that `pixfound.models.huggingface` does not: encoder-decoders, and
those whose config has no image token. Shapes: `B` batch, `T` generated tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pixfound.errors import PromptTooLong
from pixfound.io.images import as_rgb
from pixfound.models.geometry.batch_encoder import Request
from pixfound.models.transformers_model import TransformersModel
from pixfound.types import Generation
from pixfound.types.token_spans import token_spans


@dataclass(eq=False, kw_only=True)
class Plain(TransformersModel):
    """A model run through its own processor, without a chat template, and transformers' `generate`.

    The text keeps special tokens, such as those of locations; BOS, EOS and padding are left out.
    """

    def cautions(self) -> list[str]:
        """Warnings about its answers, one line each."""
        return [f"model.path={self.path}: is asked without a chat template, as model=plain asks: with the bare text"]

    def generate(self, requests: Sequence[Request]) -> list[Generation | PromptTooLong]:
        """Answer a batch of (image, prompt), in order. No prompt is refused as too long.

        FloatingPointError where logits are not finite.
        """
        generations: dict[int, Generation] = {}
        for group in self._groups([prompt.text for _, prompt in requests]):
            answers = self._answers([requests[i] for i in group])
            generations |= {i: self._generation(requests[i], ids) for i, ids in zip(group, answers, strict=True)}
        return [generations[i] for i in range(len(requests))]

    def _groups(self, texts: Sequence[str]) -> list[list[int]]:
        """Indices of the prompts of each batch: all in one for encoder-decoders, else prompts of equal length.

        An encoder masks padding, which is on the right. On the left of a decoder's prompt, padding may shift the
        positions of generated tokens (Kosmos-2).
        """
        if self._config.is_encoder_decoder:
            return [list(range(len(texts)))]
        groups: dict[int, list[int]] = {}
        for i, text in enumerate(texts):
            groups.setdefault(len(self.tokenizer(text)["input_ids"]), []).append(i)
        return list(groups.values())

    def _answers(self, requests: Sequence[Request]) -> list[list[int]]:
        """Token ids (T) of each answer, up to and including the first end token.

        FloatingPointError where a token was chosen from logits that are not finite.
        """
        import torch

        from pixfound.compute.numerics import FiniteLogits
        from pixfound.models.attention.prefix_sharing import greedy

        model, finite = self._model, FiniteLogits()
        texts, images = [prompt.text for _, prompt in requests], [as_rgb(image) for image, _ in requests]
        batch = self.processor(text=texts, images=images, padding=True, return_tensors="pt")
        inputs = {k: v.to(model.device, model.dtype if v.is_floating_point() else None) for k, v in batch.items()}
        config = greedy(model.generation_config, **self.generation)
        with torch.inference_mode(), finite.watching(model):
            ids = model.generate(**inputs, generation_config=config)
        start = 1 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]  # a decoder's own start token
        end = self.tokenizer.eos_token_id
        answers = [row[: row.index(end) + 1] if end in row else row for row in ids[:, start:].tolist()]
        finite.check([len(answer) for answer in answers], model.dtype)
        return answers

    def _generation(self, request: Request, ids: Sequence[int]) -> Generation:
        tokenizer = self.tokenizer
        marks = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
        text, spans = token_spans(ids, lambda part: str(tokenizer.decode([i for i in part if i not in marks])))
        return Generation(text, (request[0].height, request[0].width), spans, prompt=request[1].text, bare=True)

    def _load_processor(self) -> Any:
        processor = super()._load_processor()
        if self._config.is_encoder_decoder:  # an encoder counts positions from the first token, padding included
            processor.tokenizer.padding_side = "right"
        return processor
