"""Any Hugging Face image-text-to-text model, with its attention over the image captured while it answers.

Shapes: `B` batch, `P` padded prompt length, `T` generated tokens, `N` image tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
from PIL import Image

from pixfound import weights
from pixfound.devices import pick_device
from pixfound.errors import UserError
from pixfound.interfaces import TextVectors
from pixfound.models.embeddings import InputEmbeddings
from pixfound.models.geometry import tiles_of
from pixfound.models.spans import token_spans
from pixfound.types import FloatArray, Generation, Prompt

Request = tuple[Image.Image, Prompt]
Capture = Literal["step", "forced", "none"]


class HuggingFace:
    """A model loaded with AutoModelForImageTextToText.

    Prompts of a batch that are about one image share its encoding and its prefix, where the model allows it.

    path: hub id, local folder or `embedded:NAME`. revision: of the hub id. dtype: a torch dtype's name or auto.
    device: auto, cpu, cuda or cuda:N. system: a system message, or None.
    capture: `step` records an attention row at every decoding step; `forced` generates freely and reads all rows
        in one teacher-forced pass afterwards; both give the same rows. `none` records nothing.
    layers, heads: the indices that attention is averaged over; None for all, as in arXiv 2502.04192.
    generation: arguments of transformers' GenerationConfig; greedy unless they say otherwise.
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
    ) -> None:
        if capture not in ("step", "forced", "none"):
            raise UserError(f"model.capture={capture}: valid values are step, forced and none")
        self.path, self.revision, self.dtype, self.device = path, revision, dtype, device
        self.system, self.capture, self.layers, self.heads = system, capture, layers, heads
        self.generation = {"max_new_tokens": 128, "do_sample": False, **(generation or {})}

    def identity(self) -> Mapping[str, Any]:
        """What identifies the weights."""
        return weights.identity(self.path, self.revision, "model.path")

    def provenance(self) -> Mapping[str, Any]:
        """The device and dtype asked for."""
        return {"device": pick_device(self.device), "dtype": self.dtype, "path": self.path, "revision": self.revision}

    @property
    def captures(self) -> bool:
        """Whether its generations carry attention."""
        return self.capture != "none"

    def vectors(self) -> TextVectors:
        """The input embeddings, without loading the model."""
        return InputEmbeddings(self._folder, self._processor.tokenizer)

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """Answer a batch of (image, prompt). The text is the same with any batch and any capture."""
        inputs = self._encode(requests)
        keys = [_content(image) for image, _ in requests]
        sequences, passes = self._run(inputs, keys, self.generation, capture=self.capture == "step")
        answers = self._answers(sequences)
        forced = self.capture == "forced"
        rows = self._forced_rows(inputs, keys, answers) if forced else _rows_by_step(passes, answers)
        return [self._generation(requests, inputs, i, ids, rows) for i, ids in enumerate(answers)]

    def attend(self, requests: Sequence[Request], texts: Sequence[str]) -> list[Generation]:
        """The generations that would have given `texts`, with their attention, in one teacher-forced pass."""
        inputs = self._encode(requests)
        answers = [self._answer_ids(inputs["input_ids"][i], text) for i, text in enumerate(texts)]
        rows = self._forced_rows(inputs, [_content(image) for image, _ in requests], answers)
        return [self._generation(requests, inputs, i, ids, rows) for i, ids in enumerate(answers)]

    @cached_property
    def _folder(self) -> str:
        return weights.fetch(self.path, self.revision, "model.path")

    @cached_property
    def _processor(self) -> Any:
        from transformers import AutoProcessor

        with weights.loading(self.path, "model.path"):
            processor = AutoProcessor.from_pretrained(self._folder)
        processor.tokenizer.padding_side = "left"
        if processor.tokenizer.pad_token is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token
        return processor

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import AutoModelForImageTextToText
        from transformers.utils.logging import disable_progress_bar

        from pixfound.models.capture import NAME

        disable_progress_bar()  # the stage has its own
        dtype = self.dtype if self.dtype == "auto" else getattr(torch, self.dtype)
        with weights.loading(self.path, "model.path"):
            model = AutoModelForImageTextToText.from_pretrained(self._folder, dtype=dtype)
            if self.captures:
                model.set_attn_implementation({"text_config": NAME})
        return model.to(pick_device(self.device)).eval()

    def _encode(self, requests: Sequence[Request]) -> dict[str, Any]:
        """Model inputs, left-padded."""
        texts = [self._chat(prompt.text) for _, prompt in requests]
        images = [[image] for image, _ in requests]
        batch = self._processor(text=texts, images=images, padding=True, return_tensors="pt")
        inputs = {name: value.to(self._model.device) for name, value in batch.items()}
        for name, value in inputs.items():
            if value.is_floating_point():
                inputs[name] = value.to(self._model.dtype)
        return inputs

    def _chat(self, text: str) -> str:
        content = [{"type": "image"}, {"type": "text", "text": text}]
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if self.system is not None:
            messages.insert(0, {"role": "system", "content": [{"type": "text", "text": self.system}]})
        return str(self._processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))

    def _run(
        self,
        inputs: Mapping[str, Any],
        images: Sequence[Hashable],
        settings: Mapping[str, Any],
        capture: bool,
        rows: Any = None,
    ) -> tuple[Any, list[Any]]:
        """Generated ids (B, T), and the recorder's passes. images: (B) the content of each; rows: see Recorder."""
        import contextlib

        import torch

        from pixfound.models.capture import Recorder
        from pixfound.models.prefix import prefill_shared

        config = copy.deepcopy(self._model.generation_config)
        config.update(**settings)
        if not config.do_sample:  # a checkpoint's sampling settings mean nothing to a greedy search, and warn
            config.temperature = config.top_p = config.top_k = None
        config.pad_token_id = self._processor.tokenizer.pad_token_id
        columns, cached = self._columns(inputs["input_ids"]), 0
        shared = prefill_shared(self._model, inputs, columns, images)
        if shared is not None:
            inputs, columns, cached = shared.inputs, shared.columns, shared.length
        recorder = Recorder(columns, rows, self.layers, self.heads, cached) if capture else None
        with torch.inference_mode(), recorder.active() if recorder else contextlib.nullcontext():
            sequences = self._model.generate(**inputs, generation_config=config)
        return sequences[:, inputs["input_ids"].shape[1] :], recorder.passes() if recorder else []

    def _answers(self, sequences: Any) -> list[list[int]]:
        """Token ids per example of (B, T) generated ones, cut after the first end token, which is kept."""
        ends = self._model.generation_config.eos_token_id
        stop = set(ends if isinstance(ends, list) else [ends])
        answers = []
        for ids in sequences.tolist():
            cut = next((i + 1 for i, token in enumerate(ids) if token in stop), len(ids))
            answers.append(ids[:cut])
        return answers

    def _answer_ids(self, prompt_ids: Any, text: str) -> list[int]:
        """The tokens with which the model would have written `text` after this prompt, and the end token."""
        tokenizer = self._processor.tokenizer
        before = tokenizer.decode(prompt_ids[-1:])
        glue = "" if before[-1:].isspace() or int(prompt_ids[-1]) in tokenizer.all_special_ids else " "
        ids = list(tokenizer(glue + text, add_special_tokens=False)["input_ids"])
        return [*ids, tokenizer.eos_token_id]

    def _forced_rows(
        self, inputs: Mapping[str, Any], images: Sequence[Hashable], answers: Sequence[Sequence[int]]
    ) -> list[FloatArray]:
        """Per example (1 + T, N): the penultimate row, then a row for each answer token, from one forward pass.

        One step of `generate` is that pass, so positions and masks are prepared as they are when it generates.
        """
        import torch

        prompts = inputs["input_ids"]
        length = prompts.shape[1] + max(len(ids) for ids in answers)
        extended: dict[str, Any] = {}
        for name, value in inputs.items():
            if value.shape[:2] != prompts.shape:
                extended[name] = value
                continue
            fill = self._processor.tokenizer.pad_token_id if name == "input_ids" else 0
            extended[name] = value.new_full((len(answers), length), fill)
            for i, ids in enumerate(answers):
                end = length - len(ids)
                extended[name][i, end - prompts.shape[1] : end] = value[i]
                if name == "input_ids":
                    extended[name][i, end:] = torch.tensor(list(ids), device=value.device)
                elif name == "attention_mask":
                    extended[name][i, end:] = 1
        firsts = torch.tensor([-len(ids) - 2 for ids in answers], device=prompts.device)
        most = max(len(ids) for ids in answers)
        rows = (firsts[:, None] + torch.arange(1 + most, device=prompts.device)).clamp(max=-1)
        _, found = self._run(extended, images, {"max_new_tokens": 1, "do_sample": False}, capture=True, rows=rows)
        passes = found[0].cpu().numpy()
        return [passes[i, : 1 + len(ids)] for i, ids in enumerate(answers)]

    def _columns(self, ids: Any) -> Any:
        """(B, N) positions of the image tokens among ids (B, P); -1 where an example has fewer than N."""
        import torch

        found = ids == getattr(self._model.config, "image_token_id", None)
        if isinstance(found, bool) or not found.any(dim=1).all():
            raise UserError(
                f"model.path={self.path}: no image tokens are found in its prompts, so it would not see an image; "
                "check that it is an image-text-to-text model with `image_token_id` in its config"
            )
        columns = torch.full((len(ids), int(found.sum(dim=1).max())), -1, device=ids.device)
        for i, row in enumerate(found):
            where = row.nonzero()[:, 0]
            columns[i, : len(where)] = where
        return columns

    def _generation(
        self,
        requests: Sequence[Request],
        inputs: Mapping[str, Any],
        index: int,
        ids: list[int],
        rows: list[FloatArray],
    ) -> Generation:
        tokenizer = self._processor.tokenizer
        text, spans = token_spans(ids, lambda part: str(tokenizer.decode(part, skip_special_tokens=True)))
        image = requests[index][0]
        size = (image.height, image.width)
        if not rows:
            return Generation(text, size, spans)
        count = int((inputs["input_ids"][index] == self._model.config.image_token_id).sum())
        found = rows[index][:, :count]
        if not np.isfinite(found).all():
            raise FloatingPointError("the captured attention is not finite")
        tiles = tiles_of(self._processor, inputs, index, count, size)
        return Generation(text, size, spans, tiles, attention=found[1:], penultimate=found[0])


def _content(image: Image.Image) -> Hashable:
    """Equal for equal pictures only: bytes alone do not tell a wide one from a tall one."""
    return image.size, image.mode, image.tobytes()


def _rows_by_step(passes: Sequence[Any], answers: Sequence[Sequence[int]]) -> list[FloatArray]:
    """Per example (1 + T, N): the penultimate row, then a row for each token. passes: (B, R, N) each."""
    import torch

    if not passes:
        return []
    rows = torch.cat(list(passes), dim=1).cpu().numpy()
    return [rows[i, : 1 + len(ids)] for i, ids in enumerate(answers)]
