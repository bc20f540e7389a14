"""The table of models, made of the tests that there are: `python -m tests.support.family_table`.

A test says what it shows by `@pytest.mark.verifies(COLUMN, ..., model=NAME)`; without `model` that is its parameter
`family` or `line`. A `yes` is one such test or more; that they pass is what the test suite says.

VQA, attention, boxes, points, native masks: the whole pipeline gives answers, and masks from that, on tiny weights. For
the pixel-level models also: what they draw is what their original code draws. certificate: every gate of
`pixfound-certify` is passed, so attention equals eager attention, and moved pixels change the token that tiles name.
"""

from __future__ import annotations

import contextlib
import io
from collections import Counter

import pytest

COLUMNS = ("VQA", "attention", "boxes", "points", "native masks", "certificate")
PLACES = ["tests/models", "tests/certify"]


class Collected:
    """A pytest plugin that counts the marked tests of each model and column, in the order in which they stand."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
            for mark in item.iter_markers("verifies"):
                if unknown := set(mark.args) - set(COLUMNS):
                    raise pytest.UsageError(f"{item.nodeid}: no such columns: {unknown}")
                model = mark.kwargs.get("model") or parameters.get("family") or parameters.get("line")
                self.counts.setdefault(str(model), Counter()).update(mark.args)


def table() -> str:
    """The table as Markdown; the tests are collected, none is run."""
    collected = Collected()
    with contextlib.redirect_stdout(io.StringIO()):
        code = pytest.main([*PLACES, "--collect-only", "-q", "-p", "no:cacheprovider"], plugins=[collected])
    if code != 0:
        raise RuntimeError(f"the tests cannot be collected: pytest ends with {code}")
    lines = [f"| model | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for model, counts in sorted(collected.counts.items()):
        lines.append(f"| {model} | {' | '.join('yes' if counts[column] else '-' for column in COLUMNS)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
