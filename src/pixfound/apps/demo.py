"""The command `pixfound-demo`: ask about pictures in a browser, and see the words of the answer light up regions.

    pixfound-demo model=tiny,tiny_pixel
    pixfound-demo model=qwen2_5_vl_7b segmenter=sam_vit_h --choose attention

Needs the extra `demo` (Gradio). It serves the loopback interface, and sends nothing to any other host. The exit code is
0, or 2 for a user error.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from pixfound.errors import UserError
from pixfound.io.terminal import complain, prepare, say

if TYPE_CHECKING:
    from pixfound.apps.ask.asker import Asked, Asker, Chooser
    from pixfound.apps.ask.reply import Reply

_LONGEST = 500  # characters of a question
_LARGEST = "20mb"  # of an uploaded file
_WAITING = 20  # requests in the queue, of which one is answered at a time
_KEPT_S = 3600  # for so long uploads and answers are kept
_SCENES = (0, 2, 6, 10)  # of PixShapes, and of the photos, that are offered as examples
_PHOTOS = (0, 2, 4)
_RED = (235, 40, 40)
_SIDE = 512  # pixels, up to which small pictures are enlarged


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    prepare()
    options = _parser().parse_intermixed_args(arguments)
    try:
        models, words = split_models(options.words)
        with tempfile.TemporaryDirectory(prefix="pixfound-demo-") as folder:
            page = build(models, words, options.choose, Path(folder))
            serve(page, options.host, options.port)
    except UserError as error:
        complain("pixfound-demo", error)
        sys.exit(2)


def split_models(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names in `model=A,B`, by default the miniature's, and the other options."""
    names = [word.removeprefix("model=") for word in words if word.startswith("model=")]
    others = [word for word in words if not word.startswith("model=")]
    for word in others:
        if "=" not in word:
            raise UserError(f"{word}: options are written KEY=VALUE")
    return (names[-1].split(",") if names else ["tiny"]), others


def serve(page: Any, host: str = "127.0.0.1", port: int | None = None, block: bool = True) -> str:
    """Serve the page, and return its address. block: False returns while it is served."""
    limited = page.queue(max_size=_WAITING, default_concurrency_limit=1)
    try:
        _, address, _ = limited.launch(
            server_name=host,
            server_port=port,
            share=False,
            inbrowser=False,
            ssr_mode=False,
            enable_monitoring=False,
            max_file_size=_LARGEST,
            footer_links=[],
            prevent_thread_lock=True,
            quiet=True,
        )
    except OSError as error:
        raise UserError(f"--port {port}: cannot be used ({error}); give another") from error
    if block:
        say(f"to look at in a browser: {address}")
        page.block_thread()
    return str(address)


def build(models: Sequence[str], words: Sequence[str], choose: Chooser | None, folder: Path) -> Any:
    """The page as Gradio's Blocks. folder: where the pictures of the examples are written."""
    from pixfound.apps.ask.cli import REFUSED
    from pixfound.apps.attend import picture

    gr = _gradio()
    askers = _askers(words, choose)
    askers(models[0])  # wrong options are said now

    def ask(file: str | None, question: str, expression: str, model: str) -> tuple[Any, ...]:
        try:
            if file is None:
                raise UserError("pick a picture, or upload one")
            asked = askers(model).ask(picture(file), question[:_LONGEST], expression[:_LONGEST])
        except REFUSED as error:
            raise gr.Error(str(error), print_exception=False) from error
        shown = [pieces(asked.replies[kind]) if kind in asked.replies else [] for kind in ("open", "ground")]
        heat, mask = light(asked, asked.main, (0, len(asked.main.text)))
        return asked, *shown, heat, mask, asked.sheet()

    def touch(kind: str) -> Callable[..., Any]:
        def touched(asked: Asked | None, event: Any) -> tuple[Any, Any]:
            if asked is None or kind not in asked.replies:
                return None, None
            reply = asked.replies[kind]  # type: ignore[index]
            index = event.index if isinstance(event.index, int) else event.index[0]
            return light(asked, reply, word_spans(reply.text)[index])

        touched.__annotations__ = {"event": gr.SelectData}  # by which Gradio gives it the event
        return touched

    with gr.Blocks(title="pixfound", analytics_enabled=False, delete_cache=(_KEPT_S, _KEPT_S)) as page:
        gr.Markdown("# Does the model see what it says?\nAsk about a picture, then pick a word of the answer.")
        state = gr.State(None, time_to_live=_KEPT_S)
        with gr.Row():
            with gr.Column():
                image = gr.Image(type="filepath", sources=["upload", "clipboard"], label="Picture", height=300)
                question = gr.Textbox(label="Question", max_length=_LONGEST)
                expression = gr.Textbox(label="Expression to be shown (optional)", max_length=_LONGEST)
                model = gr.Dropdown(list(models), value=models[0], label="Model")
                button = gr.Button("Ask", variant="primary")
            with gr.Column():
                colours = {"chosen": "blue", "phrase": "orange", "word": "gray"}
                texts = [
                    gr.HighlightedText(
                        label=label,
                        color_map=colours,
                        show_inline_category=False,
                        show_legend=True,
                        interactive=False,
                    )
                    for label in ("Answer: pick a word", "Grounding of the expression: pick a word")
                ]
                with gr.Row():
                    heat, mask = (_shown(gr, label) for label in ("Where it looked", "Mask of the phrase"))
        with gr.Accordion("All phrases", open=False):
            sheet = _shown(gr, "All phrases", height=None)
        gr.Examples(examples(folder), [image, question, expression], cache_examples=False)
        outputs = [state, *texts, heat, mask, sheet]
        button.click(ask, [image, question, expression, model], outputs, api_visibility="private")
        for text, kind in zip(texts, ("open", "ground"), strict=True):
            text.select(touch(kind), [state], [heat, mask], api_visibility="private")
    return page


def _shown(gr: Any, label: str, height: int | None = 300) -> Any:
    """A picture to look at; without Gradio's button that would publish it elsewhere."""
    return gr.Image(
        label=label, interactive=False, format="png", height=height, buttons=["download", "fullscreen"], type="pil"
    )


def word_spans(text: str) -> list[tuple[int, int]]:
    """(start, end) characters of the words of a text."""
    return [match.span() for match in re.finditer(r"\S+", text)]


def pieces(reply: Reply) -> list[tuple[str, str]]:
    """The words of an answer, each `chosen` where it is of the chosen phrase, of another `phrase`, or just a `word`."""

    def label(start: int, end: int) -> str:
        phrase = next((p for p in reply.phrases if p.span[0] < end and p.span[1] > start), None)
        chosen = phrase is not None and reply.chosen is not None and reply.chosen.phrase == phrase
        return "word" if phrase is None else "chosen" if chosen else "phrase"

    return [(reply.text[start:end], label(start, end)) for start, end in word_spans(reply.text)]


def light(asked: Asked, reply: Reply, span: tuple[int, int]) -> tuple[Image.Image | None, Image.Image | None]:
    """The attention of some characters of an answer over the picture, and the mask of their phrase.

    None where the model gives no attention; the chosen mask where the characters are all of the answer.
    """
    from pixfound.apps.attend import overlay
    from pixfound.report.panels import mask_at
    from pixfound.report.panels import overlay as mask_overlay

    whole = span == (0, len(reply.text))
    try:
        heat = overlay(asked.picture, reply.generation, None if whole else span)
    except UserError:  # of no token, or without attention
        heat = None
    of_phrase = [c for c in reply.candidates if c.phrase and c.phrase.span[0] < span[1] and c.phrase.span[1] > span[0]]
    chosen = reply.chosen
    if not whole and chosen not in of_phrase:
        chosen = max(of_phrase, key=lambda c: c.score or 0.0, default=None)
    drawn = None if chosen is None else mask_overlay(asked.picture, mask_at(chosen.mask, asked.picture.size), _RED)
    return enlarged(heat), enlarged(drawn)


def enlarged(image: Image.Image | None) -> Image.Image | None:
    """A small picture in larger pixels, as a browser would show it small."""
    factor = 1 if image is None else max(1, _SIDE // max(image.size))
    return image if image is None or factor == 1 else image.resize((image.width * factor, image.height * factor), 0)


def examples(folder: Path) -> list[list[str]]:
    """[file, question, expression] of scenes of PixShapes, and of photos where these are installed."""
    from pixfound.benchmarks.photos import Photos
    from pixfound.benchmarks.pixshapes import PixShapes
    from pixfound.prompts.builder import options_text

    found = [PixShapes(pairs=max(_SCENES) // 2 + 1)[place] for place in _SCENES]
    try:
        photos = Photos()
        found += [photos[place] for place in _PHOTOS]
        for example in found:
            example.image.load()
    except UserError:
        found = found[: len(_SCENES)]
    rows = []
    for number, example in enumerate(found):
        file = folder / f"{number}.png"
        example.image.load().save(file)
        rows.append([str(file), f"{example.question} {options_text(example.options)}", example.expression])
    return rows


def _askers(words: Sequence[str], choose: Chooser | None) -> Callable[[str], Asker]:
    """By the name of a model its asker; the last model stays in memory."""
    from pixfound.apps.ask.cli import asker

    @lru_cache(maxsize=1)
    def of_model(name: str) -> Asker:
        return asker(choose, f"model={name}", *words)

    return of_model


def _gradio() -> Any:
    """Gradio, told to send nothing."""
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")
    try:
        import gradio
    except ImportError as error:
        raise UserError('the demo needs the package gradio; type: pip install "pixfound[demo]"') from error
    return gradio


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("pixfound-demo", description="Ask about pictures in a browser.")
    more = "options of pixfound: model=A,B segmenter=... extraction=..."
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help=more)
    parser.add_argument("--choose", choices=("similarity", "attention", "judge"), help="who chooses among the masks")
    parser.add_argument("--port", type=int, metavar="N", help="default: the first free one from 7860 on")
    host = "interface to serve (default: 127.0.0.1); 0.0.0.0 lets everyone in who reaches this machine"
    parser.add_argument("--host", default="127.0.0.1", help=host)
    return parser


if __name__ == "__main__":
    main()
