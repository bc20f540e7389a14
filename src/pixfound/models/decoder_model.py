"""MLLMs whose decoder reads image tokens beside the prompt, with attention over the image captured during generation.

Shapes: `B` batch, `P` padded prompt length, `T` generated tokens, `N` image tokens, `C` recorded layers and heads.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import MinLen
from PIL import Image

from pixfound.checkpoints import locating
from pixfound.checkpoints.device_map import input_device
from pixfound.checkpoints.loading import check_served, set_attention
from pixfound.errors import PromptTooLong, UserError
from pixfound.interfaces import BatchFit, Gradient, GradientRequest, ImageInfo, Need, without_errors
from pixfound.io.images import picture_keys
from pixfound.models.attention.decoder_layers import Keep, attending_layers, check_keep, check_layers, layer_attention
from pixfound.models.attention.support import can_capture, check_capture, check_capture_early
from pixfound.models.generation_options import check_range, too_long
from pixfound.models.geometry.batch_encoder import Encoder, Request
from pixfound.models.geometry.input_size import input_size
from pixfound.models.given_answers import GivenAnswers
from pixfound.models.transformers_model import TransformersModel
from pixfound.types import FloatArray, Generation, Kind, Prompt, Tile
from pixfound.types.arguments import NonNegative
from pixfound.types.token_spans import token_spans

if TYPE_CHECKING:
    from pixfound.models.attention.hidden_states import HiddenStates
    from pixfound.models.attention.lens import LensReader
    from pixfound.models.attention.prefix_sharing import Prompts
    from pixfound.models.attention.recorder import Recorder

Capture = Literal["step", "forced", "none"]
Indices = Annotated[Sequence[NonNegative], MinLen(1)]
LensLayers = Literal["last", "all"] | Indices | None
Answer = tuple[Generation, list[int]]  # the ids are of all its tokens, special ones included


@dataclass(eq=False, kw_only=True)
class DecoderModel(TransformersModel):
    """A `TransformersModel` that generates answers, with their attention over the image.

    capture: `step` records an attention row at every decoding step; `forced` generates without capture, and reads all
        rows in one teacher-forced pass afterwards. Both give the same rows. `none` records nothing.
    layers, heads: indices to average attention over; None for all, as in arXiv 2502.04192. In decoders that mix
        attention and recurrent layers (Qwen3.5, LFM2), all means all attention layers.
    keep: attention to store beside that mean: nothing (`mean`), each layer (`layers`), or each head of each layer
        (`heads`). Extractors can then choose among them without another generation.
    lens: decoder layers whose hidden states at the image tokens are projected on the words of prompt and answer, and
        stored as `Generation.lens`: of the `last` for `tam`; `all` or indices, beside the last, for `logit_lens`. None:
        none. They are captured with `capture=none` too.
    lens_convention: `final_norm` puts the decoder's final norm on all states (arXiv 2410.07149); `top_50` on none but
        those of the last layer, where it belongs, counts the 50 most probable tokens alone, and has the embeddings as
        layer -1 of `all`, as the code of 2410.02762 does.
    answer_prefix: forced first text of answers to `ground` prompts, and part of the answer. The model continues it,
        unless it ends with an end token in the model's notation: then it is the whole answer.
    answers: by kind of prompt, a file of answers that another program wrote, or a finished run's folder: these are the
        model's answers then, and their attention is read in one teacher-forced pass. Nothing is generated for them.
    The other arguments are those of `TransformersModel`.

    Prompts of a batch about one image share its encoding and their prefix, where the model allows it. Two more parts
    may be replaced: `_encoder_options`, and `_finish`, which sees each answer with its token ids.
    """

    capture: Capture = "step"
    layers: Indices | None = None
    heads: Indices | None = None
    keep: Keep = "mean"
    lens: LensLayers = None
    lens_convention: Literal["final_norm", "top_50"] = "final_norm"
    answer_prefix: str | None = None
    answers: Mapping[Kind, str | None] = field(default_factory=dict)

    runtime_options: ClassVar[tuple[str, ...]] = (
        "answers",
        "lens",
        "lens_convention",
    )  # `identity` has the paths' digests, and the lens if set
    version: ClassVar[int] = 2  # 2: attention sinks are honoured

    def __post_init__(self) -> None:
        super().__post_init__()
        check_keep(self.keep, self.capture)
        self._given = GivenAnswers(self.answers)
        if self.answer_prefix and "ground" in self._given.paths:
            raise UserError(
                "model.answer_prefix: the answers to `ground` are given by model.answers.ground; use one of the two"
            )
        if self.capture == "step" and self.generation.get("num_beams", 1) > 1:
            raise UserError(
                "model.generation.num_beams: a beam search has several rows of attention at each step; "
                "use model.capture=forced, which reads the attention of the answer that it ends with"
            )

    @property
    def captures(self) -> bool:
        """True where generations carry attention; UserError where it is requested and cannot be captured."""
        if self.capture != "none":
            check_capture_early(locating.locate(self.path, "model.path"), self.path)
        return self.capture != "none"

    def identity(self) -> Mapping[str, Any]:
        """Values that identify the weights, the answers that are given, and the lens; part of the fingerprint."""
        return {**super().identity(), **self._given_and_lens()}

    def weights(self) -> Mapping[str, Any]:
        """`identity` without the answers that are given, and without the lens."""
        others = self._given_and_lens()
        return {name: value for name, value in self.identity().items() if name not in others}

    def _given_and_lens(self) -> dict[str, Any]:
        lens: dict[str, Any] = {} if self.lens is None else {"lens": self.lens}
        if lens and self.lens_convention != "final_norm":
            lens["lens_convention"] = self.lens_convention
        return {**self._given.identity(), **lens}

    def bind_examples(self, images: Mapping[str, ImageInfo]) -> None:
        """Read the answers that are given; UserError where an example has none."""
        self._given.bind(images)

    @property
    def offers(self) -> frozenset[Need]:
        """Needs of map sources that it serves: stored attention and lens, prompts, gradients of attention if it can."""
        try:
            check_capture_early(locating.locate(self.path, "model.path"), self.path)
        except UserError:
            return super().offers | {"gradients"}
        further: tuple[Need, ...] = ("gradients", "attention gradients", "rollout", "prompts")
        return super().offers.union(further if self.captures else further[:3])

    def cautions(self) -> list[str]:
        """Warnings about its answers, one line each; read from the processor, without the weights."""
        given = [
            f"model.answers.{kind}={path}: the answers are those of this file or run; the model only looks at them"
            for kind, path in self._given.paths.items()
        ]
        if self._encoder.template is not None:
            return given
        return [
            *given,
            f"model.path={self.path}: is asked without a chat template: its prompts are the image and bare text",
        ]

    def encode(self, requests: Sequence[Request]) -> dict[str, Any]:
        """Model inputs of a batch, left-padded, on the model's device and in its dtype."""
        return self._on_device(self._encoder.encode(requests))

    def _on_device(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        model = self._model
        placed = {name: value.to(input_device(model)) for name, value in inputs.items()}
        return {name: v.to(model.dtype) if v.is_floating_point() else v for name, v in placed.items()}

    def tiles(self, image: Image.Image) -> tuple[Tile, ...]:
        """Tiles of the model's image tokens, in pixels of the image; without loading or running the model."""
        inputs = self._encoder.encode([(image, Prompt("", "open", "", "?"))])
        count = int((inputs["input_ids"] == self._config.image_token_id).sum())
        return self._encoder.tiles(inputs, 0, count, image)

    def generate(self, requests: Sequence[Request]) -> list[Generation | PromptTooLong]:
        """Answer a batch of (image, prompt), in order. The text does not depend on the batch or on `capture`.

        PromptTooLong: see `answer_many`. FloatingPointError where logits or captured attention are not finite.
        """
        return [
            answer if isinstance(answer, PromptTooLong) else self._finish(request, *answer)
            for request, answer in zip(requests, self.answer_many(requests), strict=True)
        ]

    def _finish(self, request: Request, generation: Generation, ids: Sequence[int]) -> Generation:
        """The generation of a request, with what the model makes of its answer beside the text. ids: of its tokens."""
        return generation

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers of `answer_many`; raises the first PromptTooLong among them."""
        return without_errors(self.answer_many(requests))

    def answer_many(self, requests: Sequence[Request]) -> list[Answer | PromptTooLong]:
        """Unfinished generations with their token ids; PromptTooLong for a prompt without room for `max_new_tokens`.

        The other prompts are answered. Beyond its context length a decoder writes nonsense, and takes minutes for it.
        """
        inputs = self.encode(requests)
        prefixes = [
            self._prefix_ids(ids, prompt) for ids, (_, prompt) in zip(inputs["input_ids"], requests, strict=True)
        ]
        lengths, new = inputs["attention_mask"].sum(dim=1).tolist(), self.generation["max_new_tokens"]
        text = self._config.get_text_config(decoder=True)
        errors = [too_long(length + len(ids), new, text) for length, ids in zip(lengths, prefixes, strict=True)]
        fitting = [request for request, error in zip(requests, errors, strict=True) if error is None]
        if len(fitting) < len(requests):
            answered = iter(self.answer(fitting) if fitting else ())
            return [error or next(answered) for error in errors]
        keys = picture_keys([image for image, _ in requests])
        free = not any(prefixes)
        states, beams = self._hidden_states(), self.generation.get("num_beams", 1) > 1
        by_step, afterwards = (states, None) if free and not beams else (None, states)
        answers, rows = (
            self._free_rows(inputs, keys, self.capture, by_step) if free else self._continue(requests, prefixes)
        )
        if (self.capture != "none" and not rows) or afterwards is not None:
            rows = self._forced(inputs, keys, answers, afterwards)
        lens = self._lens_reader(states)
        generations = [
            self._verbatim(
                self._generation(requests, inputs, i, ids, rows, lens), inputs["input_ids"][i], requests[i][1]
            )
            for i, ids in enumerate(answers)
        ]
        return [(replace(g, cut=self._cut(ids)), ids) for g, ids in zip(generations, answers, strict=True)]

    def _verbatim(self, generation: Generation, prompt_ids: Any, prompt: Prompt) -> Generation:
        """The generation with the text of a given answer as it was given, which the tokenizer may spell otherwise."""
        from pixfound.models.attention.teacher_forcing import answer_spans

        text = self._given.text(prompt)
        if text is None or text == generation.text:
            return generation
        return replace(generation, text=text, spans=answer_spans(self.tokenizer, prompt_ids, text))

    def _cut(self, ids: Sequence[int]) -> bool:
        """Return True where `max_new_tokens` ended an answer, not an end token."""
        return len(ids) >= self.generation["max_new_tokens"] and not self._ended(ids)

    def _ended(self, ids: Sequence[int]) -> bool:
        """Return True where the last id of an answer is an end token."""
        return ids[-1] in self._ends()

    def _ends(self) -> Sequence[int]:
        """Ids of the tokens that end an answer."""
        ends = self.generation.get("eos_token_id", self._model.generation_config.eos_token_id)
        return ends if isinstance(ends, list | tuple) else [ends]

    def _prefix_ids(self, prompt_ids: Any, prompt: Prompt) -> list[int]:
        """Token ids of the given answer to a prompt (P) with an end token, or of `answer_prefix`; [] without either."""
        from pixfound.models.attention.teacher_forcing import answer_ids

        text = self._given.text(prompt)
        if text is not None:
            ids = answer_ids(self.tokenizer, prompt_ids, text, split_special_tokens=True)
            return ids if self._ended(ids) else [*ids[:-1], self._ends()[0]]
        if not self.answer_prefix or prompt.kind != "ground":
            return []
        return answer_ids(self.tokenizer, prompt_ids, self.answer_prefix)[:-1]

    def _continue(
        self, requests: Sequence[Request], prefixes: Sequence[list[int]]
    ) -> tuple[list[list[int]], list[FloatArray]]:
        """Token ids of the answers, and an empty list of attention rows.

        prefixes: ids of each answer's prefix; [] for an answer without one. One with an end token is not continued.
        """
        from pixfound.models.attention.teacher_forcing import begin_answers

        answers = list(prefixes)
        unended = [i for i, ids in enumerate(prefixes) if not ids or not self._ended(ids)]
        if unended:
            continued = [requests[i] for i in unended]
            pad = self.tokenizer.pad_token_id
            inputs = begin_answers(self.encode(continued), [prefixes[i] for i in unended], pad)
            ends, _ = self._free_rows(inputs, picture_keys([image for image, _ in continued]), "none")
            for i, ids in zip(unended, ends, strict=True):
                answers[i] = prefixes[i] + ids
        return answers, []

    def max_batch(self, requests: Sequence[Request]) -> BatchFit:
        """Number of prompts like these, all about one image, that fit into memory in one batch."""
        from pixfound.models.batch_memory import fit

        return fit(self, requests)

    def attend(self, requests: Sequence[Request], texts: Sequence[str]) -> list[Generation]:
        """Generations with the given `texts` as answers, and their attention from one teacher-forced pass."""
        from pixfound.models.attention.teacher_forcing import answer_ids

        inputs = self.encode(requests)
        answers = [answer_ids(self.tokenizer, inputs["input_ids"][i], text) for i, text in enumerate(texts)]
        states = self._hidden_states()
        rows = self._forced(inputs, picture_keys([image for image, _ in requests]), answers, states)
        lens = self._lens_reader(states)
        return [self._generation(requests, inputs, i, ids, rows, lens) for i, ids in enumerate(answers)]

    def read_prompts(self, requests: Sequence[Request]) -> list[Generation]:
        """Generations of nothing but the end token, from one pass over each prompt; its last token's row is the first.

        The rows equal those of a generation from the same prompt.
        """
        inputs, answers = self.encode(requests), [[int(self.tokenizer.eos_token_id)] for _ in requests]
        rows = self._forced(inputs, picture_keys([image for image, _ in requests]), answers)
        return [self._generation(requests, inputs, i, ids, rows) for i, ids in enumerate(answers)]

    def gradient_maps(
        self, requests: Sequence[GradientRequest], of: Gradient, layer: int | None = None
    ) -> list[FloatArray | Exception]:
        """(N,) gradients over the image tokens for each (image, rendered prompt, answer so far), one pass each.

        of, layer: see `pixfound.models.gradients`; layer None is the one as deep as layer 14 of 32. Memory is that
        of one prompt's activations. OutOfMemoryError and FloatingPointError take the place of a map.
        """
        from pixfound.models import gradients

        depth = self._config.get_text_config(decoder=True)
        attending = attending_layers(depth)
        if layer is None:
            layer = max(i for i in attending if i <= max(attending[0], depth.num_hidden_layers * 14 // 32))
        if of == "attention":
            check_capture(self._config, self.path)
            check_range("layer", [layer], depth.num_hidden_layers)
            check_layers([layer], depth, self.path)
        if of == "entropy":
            return self._passes(requests, gradients.entropy_gradient)
        return self._passes(requests, partial(gradients.gradient_attention, layer=layer))

    def rollout_maps(self, requests: Sequence[GradientRequest]) -> list[FloatArray | Exception]:
        """(N,) attention of the last token of each (image, rendered prompt, answer so far), rolled out over layers.

        These are the layers from the middle on; see `pixfound.models.attention.rollout`. Errors as of `gradient_maps`.
        """
        from pixfound.models.attention.rollout import rollout_row

        check_capture(self._config, self.path)
        return self._passes(requests, rollout_row)

    def _passes(
        self, requests: Sequence[GradientRequest], map_of: Callable[[Any, Mapping[str, Any], Any], FloatArray]
    ) -> list[FloatArray | Exception]:
        """The maps of a pass over each request. map_of: takes the model, its inputs, and (N) image token positions."""
        import torch

        maps: list[FloatArray | Exception] = []
        for image, prompt, written in requests:
            inputs = self._written(image, prompt, written)
            try:
                maps.append(map_of(self._model, inputs, self._encoder.columns(inputs["input_ids"])[0]))
            except (FloatingPointError, torch.OutOfMemoryError) as error:
                maps.append(error)
        return maps

    def _written(self, image: Image.Image, prompt: str, written: str) -> dict[str, Any]:
        """Model inputs of one rendered prompt with the beginning of an answer after it."""
        from pixfound.models.attention.teacher_forcing import answer_ids, begin_answers

        inputs = self._on_device(self._encoder.encode_rendered([prompt], [image]))
        if not written:
            return inputs
        ids = answer_ids(self.tokenizer, inputs["input_ids"][0], written)[:-1]
        return begin_answers(inputs, [ids], self.tokenizer.pad_token_id)

    def _hidden_states(self) -> HiddenStates | None:
        """A collector of the hidden states of the lens's layers; None where `lens` asks for none."""
        from pixfound.models.attention.hidden_states import HiddenStates

        if self.lens is None:
            return None
        count = self._config.get_text_config(decoder=True).num_hidden_layers
        norm = self.lens_convention == "final_norm"
        every = range(0 if norm else -1, count)
        layers = every if self.lens == "all" else () if isinstance(self.lens, str) else self.lens
        return HiddenStates(self._model, sorted({*layers, count - 1}), norm)

    def _lens_reader(self, states: HiddenStates | None) -> LensReader | None:
        from pixfound.models.attention.lens import LensReader

        top = 50 if self.lens_convention == "top_50" else None
        return None if states is None else LensReader(states, self.tokenizer, self._config.image_token_id, top)

    def _prompts(
        self, inputs: Mapping[str, Any], images: Sequence[Hashable], room: int, states: HiddenStates | None = None
    ) -> Prompts:
        """Arguments of `generate`, with shared prefixes prefilled.

        images: (B) a key of each image's content. room: number of tokens to be generated. states: collects the hidden
        states of the prefixes.
        """
        from pixfound.models.attention.prefix_sharing import prefill_shared

        columns = self._encoder.columns(inputs["input_ids"])
        with nullcontext() if states is None else states.active():
            prompts = prefill_shared(self._model, inputs, columns, images, room)
        if states is not None:
            states.end_prefix(prompts)
        return prompts

    def _free_rows(
        self,
        inputs: Mapping[str, Any],
        images: Sequence[Hashable],
        capture: Capture,
        states: HiddenStates | None = None,
    ) -> tuple[list[list[int]], list[FloatArray]]:
        """Token ids of the answers, and the attention (1 + T, C * N) of each.

        The first row is that of the penultimate prompt token, then a row per answer token. No attention for the capture
        `none`, nor for `forced` where the prompts' cache cannot be kept: with beams, and where no `RowCache` is used.
        states: collects hidden states too.
        """
        from pixfound.models.attention.generation_loop import decode
        from pixfound.models.attention.kv_cache import RowCache
        from pixfound.models.attention.prefix_sharing import Prompts, greedy

        config = greedy(self._model.generation_config, **self.generation)
        if (config.num_beams or 1) > 1:  # each beam is a row of its own
            prompts = Prompts(dict(inputs), self._encoder.columns(inputs["input_ids"]))
        else:
            prompts = self._prompts(inputs, images, config.max_new_tokens, states)
        forced = capture == "forced" and isinstance(prompts.inputs.get("past_key_values"), RowCache)
        recorder = self._recorder if capture == "step" or forced else None
        return decode(self._model, prompts, config, recorder, forced, states)

    def _recorder(self, columns: Any, cached: int) -> Recorder:
        from pixfound.models.attention.recorder import Recorder

        return Recorder(columns, None, self.layers, self.heads, cached, self.keep)

    def _forced(
        self,
        inputs: Mapping[str, Any],
        images: Sequence[Hashable],
        answers: Sequence[Sequence[int]],
        states: HiddenStates | None = None,
    ) -> list[FloatArray]:
        """Attention (1 + T, C * N) of these answers, equal to that of `_free_rows`, from a teacher-forced pass.

        There is none with `capture=none`. states: collects hidden states too.
        """
        from pixfound.models.attention.teacher_forcing import forced_rows

        prompts = self._prompts(inputs, images, max(len(ids) for ids in answers), states)
        recorder = None if self.capture == "none" else self._recorder(prompts.columns, prompts.cached)
        return forced_rows(self._model, prompts, recorder, answers, states)

    def _generation(
        self,
        requests: Sequence[Request],
        inputs: Mapping[str, Any],
        index: int,
        ids: list[int],
        rows: list[FloatArray],
        lens: LensReader | None = None,
    ) -> Generation:
        """The generation at `index` of a batch.

        ids: of its answer. rows: of all answers; [] for no attention. lens: reads that of each answer; None for none.
        """
        encoder = self._encoder
        text, spans = token_spans(ids, lambda part: str(self.tokenizer.decode(part, skip_special_tokens=True)))
        image, prompt = requests[index]
        native = (
            encoder.image_layout == "native"
        )  # the size of a padded square does not give the image's position in it
        generation = Generation(
            text,
            (image.height, image.width),
            spans,
            input_size=input_size(inputs, index, encoder.processor.image_processor, self._config) if native else None,
            prompt=encoder.chat(prompt.text),
            bare=encoder.template is None,
        )
        count = int((inputs["input_ids"][index] == self._config.image_token_id).sum())
        if lens is not None:
            prompt_ids = inputs["input_ids"][index][inputs["attention_mask"][index] > 0]
            generation = replace(
                generation,
                lens=lens.read(index, prompt_ids, prompt.text, ids),
                tiles=encoder.tiles(inputs, index, count, image),
            )
        if not rows:
            return generation
        width = encoder.columns(inputs["input_ids"]).shape[1]
        recorded = rows[index].reshape(len(rows[index]), -1, width)[..., :count]  # (1 + T, C, N)
        if not np.isfinite(recorded).all():
            raise FloatingPointError("the captured attention is not finite")
        mean = recorded.mean(axis=1)
        return replace(
            generation,
            tiles=encoder.tiles(inputs, index, count, image),
            attention=mean[1:],
            penultimate=mean[0],
            kept=None
            if self.keep == "mean"
            else layer_attention(recorded, self._config, self.layers, self.heads, self.keep),
        )

    def _check_config(self, config: Any) -> None:
        if self.captures:
            check_capture(config, self.path)
        check_served(config, self.path)
        text = config.get_text_config(decoder=True)
        check_range("layers", self.layers, text.num_hidden_layers)
        check_range("heads", self.heads, text.num_attention_heads)
        check_range("lens", None if isinstance(self.lens, str) else self.lens, text.num_hidden_layers)
        super()._check_config(config)
        if self.capture != "none":
            check_layers(self.layers, text, self.path)

    def _encoder_options(self) -> Mapping[str, Any]:
        """Arguments of `Encoder` beside the model's processor, config and path."""
        return {}

    @cached_property
    def _encoder(self) -> Encoder:
        processor = self.processor
        processor.tokenizer.padding_side = "left"
        return Encoder(processor, self._config, self.path, **self._encoder_options())

    @cached_property
    def _model(self) -> Any:
        _ = self._encoder  # its errors are raised before the weights are downloaded
        model = self._load_model()
        if can_capture(self._config):  # without capture too: prefix sharing and dropping ended rows need it
            from pixfound.models.attention.recorder import NAME

            set_attention(model, NAME, self.path, required=self.captures)
        model.generation_config.pad_token_id = self.tokenizer.pad_token_id
        return model
