"""The command `pixfound-ask`: one picture, one question; the answer, and a picture of where the model saw it.

    pixfound-ask photo.jpg "What colour is the cup?" --expression "the cup" model=qwen2_5_vl_7b segmenter=sam_vit_h

Words with = are options of `pixfound`. The exit code is 0, or 2 for a user error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from pixfound.errors import PictureTooNarrow, PromptTooLong, UserError
from pixfound.interfaces import JudgeError
from pixfound.io.atomic import make_folder, write_atomic
from pixfound.io.terminal import complain, prepare, say

if TYPE_CHECKING:
    from pixfound.apps.ask.asker import Asked, Asker, Chooser

REFUSED = (UserError, PictureTooNarrow, PromptTooLong, JudgeError)  # what asking raises, to be told in one line
_SCENES = "pixshapes:"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    prepare()
    parser = _parser()
    options = parser.parse_intermixed_args(arguments)
    try:
        _answer(options)
    except REFUSED as error:
        complain("pixfound-ask", error)
        sys.exit(2)


def ask(
    image: Image.Image | str | Path,
    question: str = "",
    expression: str = "",
    choose: Chooser | None = None,
    *overrides: str,
    **options: Any,
) -> Asked:
    """Ask about one picture: `pixfound.ask("photo.jpg", "What colour is the cup?", "the cup", model="qwen2_5_vl_7b")`.

    image: a picture, a file, or `pixshapes:N` for a scene of the miniature's. expression: what is to be shown, which
    the phrases of the answer are compared to; without one they are compared to the question. choose: see `Asker`.
    overrides, options: those of `pixfound.evaluate`.
    """
    return asker(choose, *overrides, **options).ask(scene_or_picture(image), question, expression)


def asker(choose: Chooser | None = None, *overrides: str, **options: Any) -> Asker:
    """An `Asker`, which keeps the model that it loads.

    What the overrides leave open is chosen for asking: extraction=automatic for a judge, and the attention of a model
    that is set to give none.
    """
    from pixfound.apps.ask.asker import Asker
    from pixfound.apps.compose import compose_config
    from pixfound.apps.run import as_overrides

    words = as_overrides(overrides, options)
    if choose == "judge" and not any(word.startswith("extraction=") for word in words):
        words = ["extraction=automatic", *words]
    config = compose_config(words)
    if config["model"].get("capture") == "none" and not any(word.startswith("model.capture=") for word in words):
        config = compose_config([*words, "model.capture=step"])
    return Asker(config, choose)


def scene_or_picture(image: Image.Image | str | Path) -> Image.Image:
    """A picture; of `pixshapes:N` the example at place N of the synthetic scenes."""
    from pixfound.apps.attend import picture

    if not str(image).startswith(_SCENES):
        return picture(image)
    from pixfound.benchmarks.pixshapes import PixShapes

    place = str(image).removeprefix(_SCENES)
    if not place.isdigit() or int(place) >= 1000:
        raise UserError(f"{image}: give a number from 0 to 999, as {_SCENES}7")
    return PixShapes(pairs=int(place) // 2 + 1)[int(place)].image.load()


def write_masks(asked: Asked, where: Path) -> list[Path]:
    """The chosen mask of each reply: as PNG (white inside) in a folder, or COCO RLE in a file that ends in .json."""
    chosen = {kind: reply.chosen for kind, reply in asked.replies.items()}
    if where.suffix == ".json":
        masks = [
            {"prompt": kind, "phrase": c.phrase and c.phrase.text, "score": c.score, "segmentation": c.mask.to_json()}
            for kind, c in chosen.items()
            if c is not None
        ]
        write_atomic(where, json.dumps(masks, indent=2) + "\n")
        return [where]
    make_folder(where)
    files = []
    for kind, candidate in chosen.items():
        if candidate is not None:
            files.append(where / f"{kind}.png")
            Image.fromarray(candidate.mask.decode()).save(files[-1])
    return files


def _answer(options: argparse.Namespace) -> None:
    words = [word for word in options.words if _is_override(word)]
    questions = [word for word in options.words if not _is_override(word)]
    if len(questions) > 1:
        raise UserError(f"{questions[1]!r}: put the question in quotes; options are written KEY=VALUE")
    question = questions[0] if questions else ""
    if not question and not options.expression:
        raise UserError('ask a question, as "What is this?", or give an --expression')
    asked = ask(options.image, question, options.expression, options.choose, *words)
    for kind, reply in asked.replies.items():
        say(f"{'answer' if kind == 'open' else 'grounding'}: {reply.text}")
        for phrase in reply.phrases:
            mark = "*" if reply.chosen is not None and reply.chosen.phrase == phrase else " "
            say(f"  {mark} {phrase.text}")
        if reply.chosen is None:
            say(f"  no mask is chosen{f': {reply.choice.reason}' if reply.choice.reason else ''}")
    asked.sheet().save(options.png)
    say(str(options.png))
    if options.masks is not None:
        for file in write_masks(asked, options.masks):
            say(str(file))
    if options.page is not None:
        from pixfound.apps.view import refuse_other_files
        from pixfound.report.page import PageRun, write_page

        refuse_other_files(options.page, "--page")
        run = asked.run
        title = f"{run.names['model']} on {run.names['benchmark']}, {run.names['extraction']}"
        index = write_page(options.page, [PageRun(run.data, run.names, run.metrics, title)])
        say(f"{index}#view=example&example=picture&kind={asked.main_kind}")


def _is_override(word: str) -> bool:
    name = word.lstrip("+~").partition("=")[0]
    return "=" in word and name.replace(".", "").replace("_", "").replace("/", "").replace("@", "").isalnum()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "pixfound-ask", description="Ask a model about one picture, and see where it looked."
    )
    parser.add_argument("image", metavar="IMAGE", help="a picture, or pixshapes:N for a scene that the miniature knows")
    more = "the question in quotes, and options of pixfound: model=... segmenter=... extraction=..."
    parser.add_argument("words", nargs="*", metavar="QUESTION KEY=VALUE", help=more)
    parser.add_argument("--expression", default="", metavar="TEXT", help="what is to be shown, such as 'the red cup'")
    parser.add_argument("--choose", choices=("similarity", "attention", "judge"), help="who chooses among the masks")
    parser.add_argument("--png", type=Path, default=Path("answer.png"), metavar="FILE", help="default: answer.png")
    parser.add_argument(
        "--masks", type=Path, metavar="WHERE", help="chosen masks: a folder of PNG, or FILE.json of COCO RLE"
    )
    parser.add_argument("--page", type=Path, metavar="DIR", help="write a page to look at in a browser")
    return parser


if __name__ == "__main__":
    main()
