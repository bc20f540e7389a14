"""The table of models, made of the tests that there are: `python -m tests.support.family_table`.

A test says what it shows by `@pytest.mark.verifies(COLUMN, ..., model=NAME)`; in place of the name, `by` names the
parameter that holds it (without either it is `family` or `line`). A `yes` is one such test or more; that they pass is
what the test suite says. Where each of them needs a package that may be missing, which a `skipif` with the reason
`needs PACKAGE` says, so does the table.

On tiny weights:
VQA: the whole pipeline gives answers.
attention: captured rows equal those of eager attention, or of the original code where that is eager, within 1e-5.
boxes, points: what the model says (or a detector finds) of a place, as its authors taught it to, becomes a mask at that
    place in pixels of the image.
native masks: so do masks that it says; what it draws is what its original code draws.
certificate: every gate of `pixfound-certify` is passed, so moved pixels change the token that tiles name.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterable, Iterator

import pytest

COLUMNS = ("VQA", "attention", "boxes", "points", "native masks", "certificate")
PLACES = ["tests/models", "tests/apps/certify", "tests/extractors"]
NEEDS = re.compile(r"needs (\w+)")

Shown = dict[str, list[frozenset[str]]]  # column -> of each test that shows it, the packages that it needs


class Collected:
    """A pytest plugin that gathers what the marked tests show of each model."""

    def __init__(self) -> None:
        self.models: dict[str, Shown] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            needed = frozenset(packages(item.iter_markers("skipif")))
            for mark in item.iter_markers("verifies"):
                if unknown := set(mark.args) - set(COLUMNS):
                    raise pytest.UsageError(f"{item.nodeid}: no such columns: {unknown}")
                shown = self.models.setdefault(model_of(item, mark), {})
                for column in mark.args:
                    shown.setdefault(column, []).append(needed)


def packages(marks: Iterable[pytest.Mark]) -> Iterator[str]:
    """Those that a test is skipped without, installed or not."""
    for mark in marks:
        if found := NEEDS.fullmatch(mark.kwargs.get("reason", "")):
            yield found[1]


def model_of(item: pytest.RunExample, mark: pytest.Mark) -> str:
    """Which model a mark speaks of; a mark that names none is an error."""
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    by = [mark.kwargs["by"]] if "by" in mark.kwargs else ["family", "line"]
    model = mark.kwargs.get("model") or next((parameters[name] for name in by if name in parameters), None)
    if model is None:
        raise pytest.UsageError(f"{item.nodeid}: verifies() of no model; give model=NAME or by=PARAMETER")
    return str(model)


def cell(needs: list[frozenset[str]]) -> str:
    """What the table says where tests with these needs show something."""
    if not needs:
        return "-"
    least = min(needs, key=lambda one: (len(one), sorted(one)))
    return f"yes, where {' and '.join(sorted(least))} is" if least else "yes"


def table() -> str:
    """The table as Markdown; the tests are collected, none is run."""
    collected, said = Collected(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = pytest.main([*PLACES, "--collect-only", "-q", "-p", "no:cacheprovider"], plugins=[collected])
    if code != 0:
        raise RuntimeError(f"the tests cannot be collected: pytest ends with {code}\n{said.getvalue()}")
    lines = [f"| model | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for model, shown in sorted(collected.models.items()):
        lines.append(f"| {model} | {' | '.join(cell(shown.get(column, [])) for column in COLUMNS)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
