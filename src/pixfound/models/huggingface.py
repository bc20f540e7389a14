"""Any Hugging Face image-text-to-text model, with its attention over the image captured while it answers.

Shapes: `B` batch, `P` padded prompt length, `T` generated tokens, `N` image tokens.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from pixfound import weights
from pixfound.devices import pick_device
from pixfound.errors import UserError
from pixfound.interfaces import Fit, TextVectors
from pixfound.kept import Keep, check_keep, kept_rows
from pixfound.models.asked import check_generation, check_indices, check_length, check_range
from pixfound.models.embeddings import InputEmbeddings
from pixfound.models.encoding import Encoder, ImageLayout, Request, content
from pixfound.models.loading import (
    DeviceMap,
    can_capture,
    check_capture,
    check_capture_early,
    check_device_map,
    check_served,
    input_device,
    load_config,
    load_model,
)
from pixfound.models.processors import load_processor
from pixfound.models.resized import input_size
from pixfound.models.spans import token_spans
from pixfound.types import FloatArray, Generation, Prompt, Tile

if TYPE_CHECKING:
    from pixfound.models.capture import Recorder
    from pixfound.models.prefix import Prompts

Capture = Literal["step", "forced", "none"]


class HuggingFace:
    """A model loaded with AutoModelForImageTextToText.

    Prompts of a batch that are about one image share its encoding and its prefix, where the model allows it.

    path: hub id, local folder or `embedded:NAME`. revision: of the hub id. dtype: a torch dtype's name or auto.
    device: auto, cpu, cuda or cuda:N. device_map: `auto` spreads a model too large for one GPU over all of them, and a
        map of modules to devices does as it says; for a single process. system: a system message, or None.
    capture: `step` records an attention row at every decoding step; `forced` generates freely and reads all rows
        in one teacher-forced pass afterwards; both give the same rows. `none` records nothing.
    layers, heads: the indices that attention is averaged over; None for all, as in arXiv 2502.04192.
    keep: what is stored of the attention beside that mean: nothing more (`mean`), each of the layers (`layers`), or
        each head of each of them (`heads`). An extractor may then take any of them without another generation.
    generation: arguments of transformers' GenerationConfig; greedy unless they say otherwise.
    image_layout: `native` shows the image as the model's processor does; `pad` makes it a square first, with bars of
        the processor's mean colour, as LLaVA-1.5's own code and arXiv 2502.04192 do.
    trust_remote_code: whether Python files that come with the weights are run; never unless it is typed.
    """

    def __init__(
        self,
        path: str,
        revision: str | None = None,
        dtype: str = "auto",
        device: str = "auto",
        system: str | None = None,
        capture: Capture = "step",
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        generation: Mapping[str, Any] | None = None,
        image_layout: ImageLayout = "native",
        keep: Keep = "mean",
        device_map: DeviceMap = None,
        trust_remote_code: bool = False,
    ) -> None:
        if image_layout not in ("native", "pad"):
            raise UserError(f"model.image_layout={image_layout}: valid values are native and pad")
        if capture not in ("step", "forced", "none"):
            raise UserError(f"model.capture={capture}: valid values are step, forced and none")
        check_keep(keep, capture)
        check_device_map(device_map, device)
        self.device_map = device_map
        self.keep: Keep = keep
        self.path, self.revision, self.dtype, self.device = path, revision, dtype, device
        self.system, self.capture, self.layers, self.heads = system, capture, layers, heads
        self.image_layout: ImageLayout = image_layout
        if not isinstance(trust_remote_code, bool):
            raise UserError(f"model.trust_remote_code={trust_remote_code}: valid values are true and false")
        self.trust_remote_code = trust_remote_code
        self.generation = {"max_new_tokens": 128, "do_sample": False, **(generation or {})}
        check_length(self.generation)
        check_indices("layers", layers)
        check_indices("heads", heads)
        if capture == "step" and self.generation.get("num_beams", 1) > 1:
            raise UserError(
                "model.generation.num_beams: a beam search has several rows of attention at each step; "
                "use model.capture=forced, which reads the attention of the answer that it ends with"
            )

    runtime_options: tuple[str, ...] = ("device_map", "trust_remote_code")  # `identity` has the latter where it is so

    def identity(self) -> Mapping[str, Any]:
        """What identifies the weights."""
        found = weights.identity(self.path, self.revision, "model.path")
        return {**found, "trust_remote_code": True} if self.trust_remote_code else found

    def provenance(self) -> Mapping[str, Any]:
        """The device and dtype asked for, and whether the weights' own code is run."""
        return {
            "device": pick_device(self.device) if self.device_map is None else self.device_map,
            "dtype": self.dtype,
            "path": self.path,
            "revision": self.revision,
            **({"trust_remote_code": True} if self.trust_remote_code else {}),
        }

    @property
    def captures(self) -> bool:
        """Whether its generations carry attention; UserError where they should and the model cannot give it."""
        if self.capture != "none":
            check_capture_early(weights.locate(self.path, "model.path"), self.path)
        return self.capture != "none"

    def vectors(self) -> TextVectors:
        """The input embeddings, without loading the model."""
        return InputEmbeddings(self._folder, self.tokenizer)

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """Answer a batch of (image, prompt). The text is the same with any batch and any capture."""
        return [generation for generation, _ in self.answer(requests)]

    def answer(self, requests: Sequence[Request]) -> list[tuple[Generation, list[int]]]:
        """What `generate` gives, each with the ids of its tokens, special ones too."""
        inputs = self.encode(requests)
        keys = [content(image) for image, _ in requests]
        answers, rows = self._free_rows(inputs, keys)
        if self.capture == "forced":
            rows = self._forced_rows(inputs, keys, answers)
        found = [(self._generation(requests, inputs, i, ids, rows), ids) for i, ids in enumerate(answers)]
        return [(replace(generation, cut=self._cut(ids)), ids) for generation, ids in found]

    def _cut(self, ids: Sequence[int]) -> bool:
        """Whether an answer was ended by `max_new_tokens` and not by the model."""
        config = self._model.generation_config
        ends = self.generation.get("eos_token_id", config.eos_token_id)
        stop = ends if isinstance(ends, list | tuple) else [ends]
        return len(ids) >= self.generation["max_new_tokens"] and ids[-1] not in stop

    def fit(self, requests: Sequence[Request]) -> Fit:
        """How many prompts like these, all about one image, fit into memory together."""
        from pixfound.models.memory import fit

        return fit(self, requests)

    def attend(self, requests: Sequence[Request], texts: Sequence[str]) -> list[Generation]:
        """The generations that would have given `texts`, with their attention, in one teacher-forced pass."""
        inputs = self.encode(requests)
        answers = [self._answer_ids(inputs["input_ids"][i], text) for i, text in enumerate(texts)]
        rows = self._forced_rows(inputs, [content(image) for image, _ in requests], answers)
        return [self._generation(requests, inputs, i, ids, rows) for i, ids in enumerate(answers)]

    def tiles(self, image: Image.Image) -> tuple[Tile, ...]:
        """Where the model's tokens lie in an image, without asking it anything."""
        inputs = self._encoder.encode([(image, Prompt("", "open", "", "?"))])
        count = int((inputs["input_ids"] == self._config.image_token_id).sum())
        return self._encoder.tiles(inputs, 0, count, image)

    def commit(self) -> str | None:
        """The hub's commit that the weights are of, to pin as `revision`; None for a local folder."""
        folder = Path(self._folder)
        return folder.name if folder.parent.name == "snapshots" else None

    def speak_with(self, model: Any, processor: Any) -> None:
        """Answer with a transformers model and a processor that were put together elsewhere, not with `path`'s own."""
        from pixfound.models.capture import NAME

        self._check_asked(model.config)
        if can_capture(model.config):
            model.set_attn_implementation({"text_config": NAME})
        processor.tokenizer.padding_side = "left"
        model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
        self._config, self._model = model.config, model
        self._encoder = Encoder(processor, model.config, self.path, self.system, self.image_layout)

    def loaded(self) -> Any:
        """The transformers model, on its device."""
        return self._model

    @cached_property
    def _folder(self) -> str:
        return weights.fetch(self.path, self.revision, "model.path", code=self.trust_remote_code)

    @cached_property
    def _description(self) -> str:
        """The folder with all but the weights: what is wrong with a model is said before they are fetched."""
        return weights.fetch(self.path, self.revision, "model.path", tensors=False, code=self.trust_remote_code)

    @cached_property
    def _config(self) -> Any:
        config = load_config(self._description, self.path, self.trust_remote_code)
        if self.captures:
            check_capture(config, self.path)
        check_served(config, self.path)
        self._check_asked(config)
        return config

    def _check_asked(self, config: Any) -> None:
        """What was typed against the model's config: its layers and heads, and transformers' options."""
        text = config.get_text_config(decoder=True)
        check_range("layers", self.layers, text.num_hidden_layers)
        check_range("heads", self.heads, text.num_attention_heads)
        check_generation(self.generation)

    @cached_property
    def _encoder(self) -> Encoder:
        config = self._config
        processor = load_processor(self._description, self.path, code=self.trust_remote_code)
        return Encoder(processor, config, self.path, self.system, self.image_layout)

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer, without loading the model."""
        return self._encoder.tokenizer

    @cached_property
    def _model(self) -> Any:
        _ = self._encoder  # what can be wrong with it is said before the weights are fetched
        from pixfound.models.capture import NAME

        # Without capture too: prompts about one image share its prefix there, and rows that have ended leave.
        attention = NAME if can_capture(self._config) else None
        device = pick_device(self.device)
        model = load_model(
            self._folder,
            self.path,
            self.dtype,
            device,
            attention,
            required=self.captures,
            device_map=self.device_map,
            code=self.trust_remote_code,
        )
        model.generation_config.pad_token_id = self.tokenizer.pad_token_id
        return model

    def encode(self, requests: Sequence[Request]) -> dict[str, Any]:
        """Model inputs, left-padded, on the model's device and in its dtype."""
        model = self._model
        device = input_device(model)
        inputs = {name: value.to(device) for name, value in self._encoder.encode(requests).items()}
        return {name: v.to(model.dtype) if v.is_floating_point() else v for name, v in inputs.items()}

    def _prompts(self, inputs: Mapping[str, Any], images: Sequence[Hashable], room: int) -> Prompts:
        """The inputs ready to go on from, with what prompts share prefilled. images: (B) the content of each."""
        from pixfound.models.prefix import prefill_shared

        return prefill_shared(self._model, inputs, self._encoder.columns(inputs["input_ids"]), images, room)

    def _free_rows(
        self, inputs: Mapping[str, Any], images: Sequence[Hashable]
    ) -> tuple[list[list[int]], list[FloatArray]]:
        """The answers' token ids, and per example (1 + T, N): the penultimate row, then a row for each token."""
        from pixfound.models.decode import decode
        from pixfound.models.prefix import Prompts, greedy

        config = greedy(self._model.generation_config, **self.generation)
        if (config.num_beams or 1) > 1:  # each beam is a row of its own
            prompts = Prompts(dict(inputs), self._encoder.columns(inputs["input_ids"]))
        else:
            prompts = self._prompts(inputs, images, config.max_new_tokens)
        answers, rows = decode(self._model, prompts, config, self._recorder if self.capture == "step" else None)
        return answers, [row.numpy() for row in rows]

    def _recorder(self, columns: Any, cached: int) -> Recorder:
        from pixfound.models.capture import Recorder

        return Recorder(columns, None, self.layers, self.heads, cached, self.keep)

    def _answer_ids(self, prompt_ids: Any, text: str) -> list[int]:
        """The tokens with which the model would have written `text` after this prompt, and the end token."""
        tokenizer = self.tokenizer
        before = tokenizer.decode(prompt_ids[-1:])
        glue = "" if before[-1:].isspace() or int(prompt_ids[-1]) in tokenizer.all_special_ids else " "
        ids = list(tokenizer(glue + text, add_special_tokens=False)["input_ids"])
        return [*ids, tokenizer.eos_token_id]

    def _forced_rows(
        self, inputs: Mapping[str, Any], images: Sequence[Hashable], answers: Sequence[Sequence[int]]
    ) -> list[FloatArray]:
        """What `_free_rows` gives for these answers: one pass over the prompts, and one over all of their tokens.

        Both are steps of `generate`, so positions and masks are prepared as they are when it generates.
        """
        import torch

        from pixfound.models.prefix import continue_from

        longest = max(len(ids) for ids in answers)
        prompts = self._prompts(inputs, images, longest)
        ids, mask = prompts.inputs["input_ids"], prompts.inputs["attention_mask"]
        recorder = self._recorder(prompts.columns, prompts.cached)
        with recorder.active():
            read = continue_from(self._model, prompts.inputs)
            if longest > 1:
                # Shorter answers are filled up by their prompt's last token; no token looks at what comes after it.
                told = ids[:, -1:].repeat(1, longest - 1)
                for i, answer in enumerate(answers):
                    told[i, : len(answer) - 1] = torch.tensor(list(answer[:-1]), dtype=told.dtype)
                recorder.rows = torch.arange(1 - longest, 0, device=ids.device).expand(len(ids), -1)
                further = {
                    "input_ids": torch.cat([ids, told], dim=1),
                    "attention_mask": torch.cat([mask, torch.ones_like(told)], dim=1),
                }
                continue_from(self._model, {**further, "past_key_values": read.past_key_values})
        return _rows_by_step(recorder.passes(), answers)

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
        native = self.image_layout == "native"  # of a padded picture no size would say where the image lies in it
        seen = input_size(inputs, index, self._encoder.processor.image_processor, self._config) if native else None
        if not rows:
            return Generation(text, size, spans, input_size=seen)
        count = int((inputs["input_ids"][index] == self._config.image_token_id).sum())
        width = self._encoder.columns(inputs["input_ids"]).shape[1]
        found = rows[index].reshape(len(rows[index]), -1, width)[..., :count]  # (1 + T, C, N)
        if not np.isfinite(found).all():
            raise FloatingPointError("the captured attention is not finite")
        apart = None if self.keep == "mean" else kept_rows(found, self._config, self.layers, self.heads, self.keep)
        mean = found.mean(axis=1)
        tiles = self._encoder.tiles(inputs, index, count, image)
        return Generation(
            text, size, spans, tiles, attention=mean[1:], penultimate=mean[0], input_size=seen, kept=apart
        )


def _rows_by_step(passes: Sequence[Any], answers: Sequence[Sequence[int]]) -> list[FloatArray]:
    """Per example (1 + T, N): the penultimate row, then a row for each token. passes: (B, R, N) each."""
    import torch

    if not passes:
        return []
    rows = torch.cat(list(passes), dim=1).cpu().numpy()
    return [rows[i, : 1 + len(ids)] for i, ids in enumerate(answers)]
