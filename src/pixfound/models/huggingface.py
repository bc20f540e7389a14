"""Hugging Face image-text-to-text models, with attention over the image captured during generation.

Shapes: `B` batch, `P` padded prompt length, `T` generated tokens, `N` image tokens.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pixfound.errors import PromptTooLong, UserError
from pixfound.interfaces import BatchFit
from pixfound.io.images import picture_keys
from pixfound.models.attention.layer_attention import Keep, check_keep, check_layers, kept_rows
from pixfound.models.generation_options import (
    check_generation,
    check_indices,
    check_range,
    generation_options,
    too_long,
    without_errors,
)
from pixfound.models.geometry.batch_encoder import Request
from pixfound.models.geometry.input_size import input_size
from pixfound.models.transformers_model import TransformersModel
from pixfound.types import FloatArray, Generation, Prompt
from pixfound.types.token_spans import token_spans

if TYPE_CHECKING:
    from pixfound.models.attention.prefix_sharing import Prompts
    from pixfound.models.attention.recorder import Recorder


@dataclass(eq=False)
class HuggingFace(TransformersModel):
    """A `TransformersModel` that generates answers, with their attention over the image.

    layers, heads: indices to average attention over; None for all, as in arXiv 2502.04192. In decoders that mix
        attention and recurrent layers (Qwen3.5, LFM2), all means all attention layers.
    keep: attention to store beside that mean: nothing (`mean`), each layer (`layers`), or each head of each layer
        (`heads`). Extractors can then choose among them without another generation.
    generation: arguments of transformers' GenerationConfig; greedy by default.
    answer_prefix: forced first text of answers to `ground` prompts, and part of the answer. The model continues it,
        unless it ends with an end token in the model's notation: then it is the whole answer.
    The other arguments are those of `TransformersModel`.

    Prompts of a batch about one image share its encoding and their prefix, where the model allows it.
    """

    layers: Sequence[int] | None = None
    heads: Sequence[int] | None = None
    keep: Keep = "mean"
    generation: Mapping[str, Any] = field(default_factory=dict)
    answer_prefix: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_keep(self.keep, self.capture)
        self.generation = generation_options(self.generation)
        check_indices("layers", self.layers)
        check_indices("heads", self.heads)
        if self.capture == "step" and self.generation.get("num_beams", 1) > 1:
            raise UserError(
                "model.generation.num_beams: a beam search has several rows of attention at each step; "
                "use model.capture=forced, which reads the attention of the answer that it ends with"
            )

    def check_asked(self, config: Any) -> None:
        """UserError where `layers`, `heads` or `generation` do not fit the model's config."""
        text = config.get_text_config(decoder=True)
        check_range("layers", self.layers, text.num_hidden_layers)
        check_range("heads", self.heads, text.num_attention_heads)
        check_generation(self.generation)
        if self.capture != "none":
            check_layers(self.layers, text, self.path)

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """Answer a batch of (image, prompt), in order. The text does not depend on the batch or on `capture`.

        The first call loads the model: UserError, before its weights are downloaded, where it is not supported.
        FloatingPointError where logits or captured attention are not finite. PromptTooLong: see `answer_many`.
        """
        return [generation for generation, _ in self.answer(requests)]

    def generate_many(self, requests: Sequence[Request]) -> list[Generation | PromptTooLong]:
        """Generations of `generate`, in order; PromptTooLong in place of a prompt that is too long."""
        return [one if isinstance(one, PromptTooLong) else one[0] for one in self.answer_many(requests)]

    def answer(self, requests: Sequence[Request]) -> list[tuple[Generation, list[int]]]:
        """Generations of `generate`, each with its token ids, special tokens included."""
        return without_errors(self.answer_many(requests))

    def answer_many(self, requests: Sequence[Request]) -> list[tuple[Generation, list[int]] | PromptTooLong]:
        """Results of `answer`, in order; PromptTooLong in place of a prompt without room for `max_new_tokens` more.

        The other prompts are answered. Beyond its context length a decoder writes nonsense, and takes minutes for it.
        """
        inputs = self.encode(requests)
        begun = [self._beginning(ids, prompt) for ids, (_, prompt) in zip(inputs["input_ids"], requests, strict=True)]
        lengths, new = inputs["attention_mask"].sum(dim=1).tolist(), self.generation["max_new_tokens"]
        text = self._config.get_text_config(decoder=True)
        errors = [too_long(length + len(ids), new, text) for length, ids in zip(lengths, begun, strict=True)]
        fitting = [request for request, error in zip(requests, errors, strict=True) if error is None]
        if len(fitting) < len(requests):
            found = iter(self.answer(fitting) if fitting else ())
            return [error or next(found) for error in errors]
        keys = picture_keys([image for image, _ in requests])
        free = not any(begun)
        answers, rows = self._free_rows(inputs, keys, self.capture == "step") if free else self._go_on(requests, begun)
        if self.capture == "forced" or (self.capture == "step" and not free):
            rows = self._forced(inputs, keys, answers)
        said = [(self._generation(requests, inputs, i, ids, rows), ids) for i, ids in enumerate(answers)]
        return [(replace(generation, cut=self._cut(ids)), ids) for generation, ids in said]

    def _cut(self, ids: Sequence[int]) -> bool:
        """Return True where `max_new_tokens` ended an answer, not an end token."""
        return len(ids) >= self.generation["max_new_tokens"] and not self._ended(ids)

    def _ended(self, ids: Sequence[int]) -> bool:
        """Return True where the last id of an answer is an end token."""
        ends = self.generation.get("eos_token_id", self._model.generation_config.eos_token_id)
        return ids[-1] in (ends if isinstance(ends, list | tuple) else [ends])

    def _beginning(self, prompt_ids: Any, prompt: Prompt) -> list[int]:
        """Token ids of `answer_prefix` after a prompt (P); empty for prompts of other kinds than `ground`."""
        from pixfound.models.attention.teacher_forcing import answer_ids

        if not self.answer_prefix or prompt.kind != "ground":
            return []
        return answer_ids(self.tokenizer, prompt_ids, self.answer_prefix)[:-1]

    def _go_on(
        self, requests: Sequence[Request], begun: Sequence[list[int]]
    ) -> tuple[list[list[int]], list[FloatArray]]:
        """Token ids of the answers, and an empty list of attention rows.

        begun: ids of each answer's prefix; [] for an answer without one. A prefix with an end token is not continued.
        """
        from pixfound.models.attention.teacher_forcing import begin_answers

        answers = list(begun)
        unended = [i for i, ids in enumerate(begun) if not ids or not self._ended(ids)]
        if unended:
            asked = [requests[i] for i in unended]
            inputs = begin_answers(self.encode(asked), [begun[i] for i in unended], self.tokenizer.pad_token_id)
            said, _ = self._free_rows(inputs, picture_keys([image for image, _ in asked]), record=False)
            for i, ids in zip(unended, said, strict=True):
                answers[i] = begun[i] + ids
        return answers, []

    def fit(self, requests: Sequence[Request]) -> BatchFit:
        """Number of prompts like these, all about one image, that fit into memory in one batch."""
        from pixfound.models.batch_memory import fit

        return fit(self, requests)

    def attend(self, requests: Sequence[Request], texts: Sequence[str]) -> list[Generation]:
        """Generations with the given `texts` as answers, and their attention from one teacher-forced pass."""
        from pixfound.models.attention.teacher_forcing import answer_ids

        inputs = self.encode(requests)
        answers = [answer_ids(self.tokenizer, inputs["input_ids"][i], text) for i, text in enumerate(texts)]
        rows = self._forced(inputs, picture_keys([image for image, _ in requests]), answers)
        return [self._generation(requests, inputs, i, ids, rows) for i, ids in enumerate(answers)]

    def _prompts(self, inputs: Mapping[str, Any], images: Sequence[Hashable], room: int) -> Prompts:
        """Arguments of `generate`, with shared prefixes prefilled.

        images: (B) a key of each image's content. room: number of tokens to be generated.
        """
        from pixfound.models.attention.prefix_sharing import prefill_shared

        return prefill_shared(self._model, inputs, self._encoder.columns(inputs["input_ids"]), images, room)

    def _free_rows(
        self, inputs: Mapping[str, Any], images: Sequence[Hashable], record: bool
    ) -> tuple[list[list[int]], list[FloatArray]]:
        """Token ids of the answers, and the attention (1 + T, N) of each; no attention where `record` is False.

        The first row is that of the penultimate prompt token, then a row per answer token.
        """
        from pixfound.models.attention.generation_loop import decode
        from pixfound.models.attention.prefix_sharing import Prompts, greedy

        config = greedy(self._model.generation_config, **self.generation)
        if (config.num_beams or 1) > 1:  # each beam is a row of its own
            prompts = Prompts(dict(inputs), self._encoder.columns(inputs["input_ids"]))
        else:
            prompts = self._prompts(inputs, images, config.max_new_tokens)
        answers, rows = decode(self._model, prompts, config, self._recorder if record else None)
        return answers, [row.numpy() for row in rows]

    def _recorder(self, columns: Any, cached: int) -> Recorder:
        from pixfound.models.attention.recorder import Recorder

        return Recorder(columns, None, self.layers, self.heads, cached, self.keep)

    def _forced(
        self, inputs: Mapping[str, Any], images: Sequence[Hashable], answers: Sequence[Sequence[int]]
    ) -> list[FloatArray]:
        """Attention (1 + T, N) of these answers, equal to that of `_free_rows`, from a teacher-forced pass."""
        from pixfound.models.attention.teacher_forcing import forced_rows

        prompts = self._prompts(inputs, images, max(len(ids) for ids in answers))
        return forced_rows(self._model, prompts, self._recorder(prompts.columns, prompts.cached), answers)

    def _generation(
        self,
        requests: Sequence[Request],
        inputs: Mapping[str, Any],
        index: int,
        ids: list[int],
        rows: list[FloatArray],
    ) -> Generation:
        text, spans = token_spans(ids, lambda part: str(self.tokenizer.decode(part, skip_special_tokens=True)))
        image = requests[index][0]
        size = (image.height, image.width)
        native = self.image_layout == "native"  # the size of a padded square does not give the image's position in it
        seen = input_size(inputs, index, self._encoder.processor.image_processor, self._config) if native else None
        prompt, bare = self._encoder.chat(requests[index][1].text), self._encoder.template is None
        if not rows:
            return Generation(text, size, spans, input_size=seen, prompt=prompt, bare=bare)
        count = int((inputs["input_ids"][index] == self._config.image_token_id).sum())
        width = self._encoder.columns(inputs["input_ids"]).shape[1]
        found = rows[index].reshape(len(rows[index]), -1, width)[..., :count]  # (1 + T, C, N)
        if not np.isfinite(found).all():
            raise FloatingPointError("the captured attention is not finite")
        apart = None if self.keep == "mean" else kept_rows(found, self._config, self.layers, self.heads, self.keep)
        mean = found.mean(axis=1)
        tiles = self._encoder.tiles(inputs, index, count, image)
        return Generation(
            text,
            size,
            spans,
            tiles,
            attention=mean[1:],
            penultimate=mean[0],
            input_size=seen,
            kept=apart,
            prompt=prompt,
            bare=bare,
        )
