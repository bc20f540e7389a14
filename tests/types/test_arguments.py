"""Arguments that do not fit the annotations of a constructor, by what its user reads."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from annotated_types import Ge, Interval, MinLen
from omegaconf import OmegaConf

from pixfound.errors import UserError
from pixfound.types.arguments import Checked, Fraction, NonNegative, Positive, check_arguments

Level = Annotated[int, Interval(ge=0, le=255)]


class Component:
    def __init__(
        self,
        keep: Literal["mean", "layers"] = "mean",
        rank: Positive = 1,
        chunk: Annotated[int, Ge(2)] | None = None,
        batch: Positive | Literal["auto"] = "auto",
        level: Fraction = 0.5,
        seconds: float = 1,
        flag: bool = True,
        path: str = "x",
        system: str | None = None,
        colour: tuple[Level, Level, Level] = (0, 0, 0),
        layers: int | Sequence[NonNegative] | None = None,
        indices: Annotated[Sequence[NonNegative], MinLen(1)] | None = None,
        kinds: Sequence[Literal["open", "ground"]] = (),
        texts: Mapping[str, Mapping[str, str]] | None = None,
        selections: Mapping[Literal["open", "ground"], str | None] | None = None,
        other: object = None,
    ) -> None: ...


WRONG = [
    ({"keep": "layer"}, 'a.b.keep=layer: must be one of "mean", "layers"; did you mean layers?'),
    ({"keep": "x"}, 'a.b.keep=x: must be one of "mean", "layers"'),
    ({"keep": None}, 'a.b.keep=null: must be one of "mean", "layers"'),
    ({"rank": 0}, "a.b.rank=0: must be a whole number of at least 1"),
    ({"rank": True}, "a.b.rank=true: must be a whole number of at least 1"),
    ({"rank": 1.0}, "a.b.rank=1.0: must be a whole number of at least 1"),
    ({"rank": "3"}, 'a.b.rank="3": must be a whole number of at least 1'),
    ({"rank": float("nan")}, "a.b.rank=NaN: must be a whole number of at least 1"),
    ({"chunk": 1}, "a.b.chunk=1: must be a whole number of at least 2, or null"),
    ({"batch": "most"}, 'a.b.batch=most: must be a whole number of at least 1, or "auto"'),
    ({"batch": "atuo"}, 'a.b.batch=atuo: must be a whole number of at least 1, or "auto"; did you mean auto?'),
    ({"level": 1}, "a.b.level=1: must be a finite number of more than 0 and less than 1"),
    ({"level": float("nan")}, "a.b.level=NaN: must be a finite number of more than 0 and less than 1"),
    ({"seconds": float("inf")}, "a.b.seconds=Infinity: must be a finite number"),
    ({"seconds": False}, "a.b.seconds=false: must be a finite number"),
    ({"seconds": "1.5"}, 'a.b.seconds="1.5": must be a finite number'),
    ({"flag": "yes"}, 'a.b.flag="yes": must be true or false'),
    ({"flag": 1}, "a.b.flag=1: must be true or false"),
    ({"path": 5}, "a.b.path=5: must be a text; a number or brackets need double quotes: 'a.b.path=\"TEXT\"'"),
    ({"system": ["a"]}, 'a.b.system=["a"]: must be a text, or null; a number or brackets need double quotes: '
     "'a.b.system=\"TEXT\"'"),
    ({"colour": [0, 0, 256]}, "a.b.colour=[0, 0, 256]: must be a list of 3 values, as [A,B], each a whole number from "
     "0 to 255"),
    ({"colour": [0, 0]}, "a.b.colour=[0, 0]: must be a list of 3 values, as [A,B], each a whole number from 0 to 255"),
    ({"layers": [1, -1]}, "a.b.layers=[1, -1]: must be a whole number, or a list in brackets, as [A,B], each a whole "
     "number of at least 0, or null"),
    ({"indices": []}, "a.b.indices=[]: must be a list in brackets, as [A,B], each a whole number of at least 0, its "
     "length at least 1, or null"),
    ({"kinds": "open"}, 'a.b.kinds="open": must be a list in brackets, as [A,B], each one of "open", "ground"; type '
     "[open]"),
    ({"kinds": ["opn"]}, 'a.b.kinds=["opn"]: must be a list in brackets, as [A,B], each one of "open", "ground"'),
    ({"texts": {"open": "x"}}, 'a.b.texts.open="x": must be a mapping; type a.b.texts.open.NAME=VALUE'),
    ({"selections": "x"}, 'a.b.selections="x": must be a mapping, or null; type a.b.selections.open or .ground=VALUE'),
    ({"texts": OmegaConf.create({"open": {"v1": 3}})}, "a.b.texts.open.v1=3: must be a text; a number or brackets need "
     "double quotes: 'a.b.texts.open.v1=\"TEXT\"'"),
    ({"selections": {"groud": "x"}}, 'a.b.selections.groud: the name must be one of "open", "ground"; did you mean '
     "ground?"),
    ({"keep": "x" * 300}, f'a.b.keep={"x" * 100}...: must be one of "mean", "layers"'),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_an_argument_that_does_not_fit_is_refused_in_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as said:
        check_arguments(Component, arguments, "a.b")
    assert str(said.value) == message


def test_arguments_that_fit_are_accepted() -> None:
    for arguments in (
        {"keep": "layers", "rank": np.int64(2), "chunk": None, "batch": "auto", "level": np.float32(0.5), "seconds": 3},
        {"batch": 4, "system": "", "colour": OmegaConf.create([0, 1, 255]), "layers": 3, "kinds": ("ground",)},
        {"layers": [], "texts": OmegaConf.create({"open": {"v1": "x"}}), "selections": {"open": None}, "other": {1: 2}},
    ):
        check_arguments(Component, arguments, "a.b")


@dataclass(frozen=True)
class Base(Checked):
    level: Fraction


@dataclass(frozen=True)
class Settings(Base):
    rank: Positive = 1


class Bare(Checked):
    """Takes no arguments."""


class Numbers(Checked, list[int]):
    def __init__(self, size: Positive, *names: str, **more: int) -> None:
        super().__init__(range(size))


def test_a_component_made_in_python_is_checked_as_one_from_a_config() -> None:
    for wrong, message in (
        (lambda: Settings(0.5, rank=0), r"^Settings\.rank=0: must be a whole number of at least 1$"),
        (lambda: Settings(level=2), r"^Settings\.level=2: must be a finite number"),
        (lambda: Numbers("3"), r'^Numbers\.size="3": must be a whole number'),
    ):
        with pytest.raises(UserError, match=message):
            wrong()
    for made in (Settings(0.5, 2), Numbers(3, "a", b=1)):
        assert copy.copy(made) == pickle.loads(pickle.dumps(made)) == made
    assert isinstance(Bare(), Bare)
    for call in (lambda: Bare(1), lambda: Settings(0.5, size=3)):
        with pytest.raises(TypeError):
            call()


def test_annotations_that_are_known_to_type_checkers_alone_accept_all() -> None:
    class Partial:
        def __init__(self, model: Unknown, rank: Positive = 1) -> None: ...  # noqa: F821

    check_arguments(Partial, {"model": 3, "rank": 0}, "x")
