"""The batch encoder: (image, prompt) pairs to model inputs, through the chat template and the processor.

It finds the image tokens among the ids, and their tiles in the image, too.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, Literal

from PIL import Image

from pixfound.errors import UserError
from pixfound.io.images import as_rgb
from pixfound.models.chat_template import NONE, check_template, own_template
from pixfound.models.geometry.encoded_example import Box, Encoded
from pixfound.models.geometry.layouts import tiles_of
from pixfound.models.geometry.probe import ramps, view_boxes, views_of
from pixfound.types import Prompt, Tile

Request = tuple[Image.Image, Prompt]
_PATIENCE_S = 10.0  # time limit of rendering a chat template, which takes about a millisecond
ImageLayout = Literal["native", "pad"]


class Encoder:
    """Encoder of batches for one model.

    processor, config: transformers' for the model. path: as typed, for errors. system: a system message, or None.
    image_layout: `native` leaves the image to the processor. `pad` makes it a square first, with bars of the
    processor's mean colour, as LLaVA-1.5's own code does (arXiv 2310.03744).
    template: see `read_template`.

    UserError where a chat template is missing that models with this processor have, and where a given one cannot be
    rendered.
    """

    def __init__(
        self,
        processor: Any,
        config: Any,
        path: str,
        system: str | None = None,
        image_layout: ImageLayout = "native",
        template: str | None = None,
    ) -> None:
        self.processor, self.config, self.path, self.system = processor, config, path, system
        self.image_layout = image_layout
        self.tokenizer = processor.tokenizer
        if template is None:
            check_template(
                processor, path, "; or give model.chat_template=FILE, or none for prompts of bare text on purpose"
            )
            template = own_template(processor)
        self.template = None if template == NONE else template
        if self.template is not None and self.template is not own_template(processor):
            self._try_out()
        self._views = lru_cache(maxsize=4096)(self._ask_for_views)

    def chat(self, text: str) -> str:
        """The prompt rendered by the chat template; without one, the image token and the text.

        UserError for a system message without a chat template, and for a template that does not end.
        """
        if self.template is None:
            if self.system is not None:
                raise UserError("model.system: this model has no chat template to write it with; use model.system=null")
            return f"{self.processor.image_token}{text}"
        content = [{"type": "image"}, {"type": "text", "text": text}]
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if self.system is not None:
            messages.insert(0, {"role": "system", "content": [{"type": "text", "text": self.system}]})
        processor_template = getattr(self.processor, "chat_template", None)
        template_argument = {} if self.template is processor_template else {"chat_template": self.template}
        write = partial(
            self.processor.apply_chat_template,
            messages,
            add_generation_prompt=True,
            tokenize=False,
            **template_argument,
        )
        rendered = self._in_time(write)
        return str(rendered)

    def _try_out(self) -> None:
        """Render the given template, and process the prompt; UserError where either fails, or the text is left out."""
        try:
            texts = [self.chat("one"), self.chat("two")]
            self._process(texts[:1], [[Image.new("RGB", (64, 64))]])
        except Exception as error:  # templates and processors raise errors of any class
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"model.chat_template: cannot be used ({type(error).__name__}: {reason})") from error
        if texts[0] == texts[1]:
            raise UserError("model.chat_template: does not show the text of the message: write {{ ... }} for it")

    def _in_time(self, write: Callable[[], Any]) -> Any:
        """Return the value of `write()`; UserError after `_PATIENCE_S` seconds, as a template may loop forever."""
        outcomes: queue.SimpleQueue[tuple[Any, Exception | None]] = queue.SimpleQueue()

        def work() -> None:
            try:
                outcomes.put((write(), None))
            except Exception as error:
                outcomes.put((None, error))

        threading.Thread(target=work, daemon=True).start()  # which never keeps Python from ending
        try:
            value, error = outcomes.get(timeout=_PATIENCE_S)
        except queue.Empty:
            raise UserError(
                f"model.path={self.path}: its chat template has written no prompt within {_PATIENCE_S:g} seconds; "
                "correct it, or give another as model.chat_template=FILE"
            ) from None
        if error is not None:
            raise error
        return value

    def encode(self, requests: Sequence[Request]) -> dict[str, Any]:
        """Model inputs on the CPU, left-padded: ids and masks (B, P), and the processor's tensors for the images.

        UserError for a system message without a chat template.
        """
        return self.encode_rendered(
            [self.chat(prompt.text) for _, prompt in requests], [image for image, _ in requests]
        )

    def encode_rendered(self, texts: list[str], images: Sequence[Image.Image]) -> dict[str, Any]:
        """The same for prompts as `chat` has rendered them."""
        batch = self._process(texts, [[self._processor_image(image)[0]] for image in images])
        return {name: value for name, value in batch.items() if name != "labels"}

    def columns(self, ids: Any) -> Any:
        """(B, N) positions of the image tokens among ids (B, P); -1 where an example has fewer than N.

        UserError where a prompt has no image tokens.
        """
        import torch

        is_image = ids == getattr(self.config, "image_token_id", None)
        if isinstance(is_image, bool) or not is_image.any(dim=1).all():
            raise UserError(
                f"model.path={self.path}: no image tokens are found in its prompts, so it would not see an image; "
                "check that it is an image-text-to-text model with `image_token_id` in its config"
            )
        columns = torch.full((len(ids), int(is_image.sum(dim=1).max())), -1, device=ids.device)
        for i, row in enumerate(is_image):
            where = row.nonzero()[:, 0]
            columns[i, : len(where)] = where
        return columns

    def tiles(self, inputs: Any, index: int, count: int, image: Image.Image) -> tuple[Tile, ...]:
        """The tiles of the example at `index` of a batch that `encode` made, in pixels of its image."""
        picture, (left, top) = self._processor_image(image)
        size = (picture.height, picture.width)
        encoded = Encoded(inputs, index, count, size, self.processor.image_processor, self.config, self._views)
        return tuple(
            Tile(t.first, t.grid, t.stride, (t.box[0] - left, t.box[1] - top, t.box[2] - left, t.box[3] - top))
            for t in tiles_of(encoded)
        )

    def _processor_image(self, image: Image.Image) -> tuple[Image.Image, tuple[int, int]]:
        """The image that the processor is given, and (x, y) of the original's upper left corner in it, in pixels."""
        if self.image_layout == "native" or image.width == image.height:
            return image, (0, 0)
        side = max(image.size)
        corner = ((side - image.width) // 2, (side - image.height) // 2)
        mean = tuple(int(255 * v) for v in self.processor.image_processor.image_mean)
        square = Image.new("RGB", (side, side), mean)
        square.paste(as_rgb(image), corner)
        return square, corner

    def _ask_for_views(self, size: tuple[int, int]) -> tuple[Box, ...]:
        batch = self._process([self.chat("")], [[ramps(*size)]])
        return view_boxes(views_of({**batch, "pixel_values": batch["pixel_values"].double()}), size)

    def _process(self, texts: list[str], images: list[list[Image.Image]]) -> Any:
        start = self.tokenizer.bos_token
        once = start is None or not all(text.startswith(start) for text in texts)  # a template may have written it
        special = {} if once else {"add_special_tokens": False}
        return self.processor(text=texts, images=images, padding=True, return_tensors="pt", **special)


def check_prompt(prompt: str) -> None:
    """UserError for a `model.prompt` that does not hold <image> once, and {} once after it."""
    if prompt.count("<image>") != 1 or prompt.count("{}") != 1 or prompt.find("{}") < prompt.find("<image>"):
        raise UserError("model.prompt: must hold <image> once, and {} once after it, for what is asked")
