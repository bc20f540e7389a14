"""A model of ours behind a chat-completions endpoint: what the server of a real model answers."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

from pixfound.interfaces import Model
from pixfound.types import Prompt


def answers_of(model: Model) -> Callable[[Mapping[str, Any]], str]:
    """For `Act`: the model's answer to a request's text about the picture of its data URL, one at a time."""
    lock = threading.Lock()

    def answer(body: Mapping[str, Any]) -> str:
        (message,) = body["messages"]
        (text,) = [part["text"] for part in message["content"] if part["type"] == "text"]
        (url,) = [part["image_url"]["url"] for part in message["content"] if part["type"] == "image_url"]
        image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
        with lock:
            return model.generate([(image, Prompt("served", "open", "v", text))])[0].text

    return answer
