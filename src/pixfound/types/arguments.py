"""Constructor arguments, checked against the types and ranges of the signature.

Types: `bool`, `int`, `float`, `str`, `None`, `Literal`, sequences, tuples and mappings of these, and their unions.
Ranges: `Annotated[int, Ge(1)]` with `Ge`, `Gt`, `Le`, `Lt`, `Interval` and `MinLen` of the package annotated_types.
Any other annotation accepts all values.
"""

from __future__ import annotations

import difflib
import inspect
import json
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, GroupedMetadata, Gt, Interval, Le, Lt, MinLen

from pixfound.errors import UserError

Positive = Annotated[int, Ge(1)]
NonNegative = Annotated[int, Ge(0)]
Fraction = Annotated[float, Interval(gt=0, lt=1)]
Share = Annotated[float, Interval(gt=0, le=1)]
Threshold = Annotated[float, Interval(ge=0, lt=1)]

_LONGEST = 100  # characters of a value in a message
_BOUNDS: Mapping[type, tuple[str, str, Callable[[Any, Any], bool]]] = {  # name of the limit, words, test
    Ge: ("ge", "at least", operator.ge),
    Gt: ("gt", "more than", operator.gt),
    Le: ("le", "at most", operator.le),
    Lt: ("lt", "less than", operator.lt),
    MinLen: ("min_length", "its length at least", lambda value, limit: len(value) >= limit),
}
_SCALARS = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "a text",
    NoneType: "null",
}


class Checked:
    """Base class: constructing an instance checks its arguments; an error names the class and the argument."""

    if not TYPE_CHECKING:

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
            if (args or kwargs) and cls.__init__ is object.__init__:
                raise TypeError(f"{cls.__name__}() takes no arguments")
            given = _signature(cls).bind_partial(*args, **kwargs).arguments
            check_arguments(cls, given, cls.__name__)
            return super().__new__(cls)


def check_arguments(target: Any, arguments: Mapping[str, Any], where: str) -> None:
    """Raise UserError where an argument of a class or function does not fit its annotation.

    where: the config key of the component, or its name, put before the argument's own. An integer fits `float`; a
    `bool` fits neither `int` nor `float`; NaN and infinity never fit. Nothing is converted.
    """
    hints = _hints(target)
    for name, value in arguments.items():
        problem = _problem(f"{where}.{name}", value, hints.get(name, Any))
        if problem:
            raise UserError(problem)


def annotations_of(target: Any) -> Mapping[str, Any]:
    """The annotation of each parameter of a class or function; {} where one cannot be resolved."""
    return _hints(target)


def parameters(target: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a class or function that have a name, so without *args and **kwargs."""
    entries = _signature(target).parameters.items()
    return {name: p for name, p in entries if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


def _signature(target: Any) -> inspect.Signature:
    """The signature of a function, or of a class's `__init__`, inherited ones too, without `self`.

    `inspect.signature` of a class would take an inherited `__new__` first.
    """
    if not isinstance(target, type):
        return inspect.signature(target)
    _, *rest = inspect.signature(target.__init__).parameters.values()  # type: ignore[misc]
    return inspect.Signature(rest)


@cache
def _hints(target: Any) -> dict[str, Any]:
    """Annotations by argument; none where one cannot be resolved, as of a name imported for type checkers alone."""
    source = target
    if isinstance(target, type):
        owner = next(cls for cls in target.__mro__ if "__init__" in vars(cls))
        # fields that a dataclass inherits are resolved in the module of their own class
        source = owner if "__dataclass_params__" in vars(owner) else vars(owner)["__init__"]
    with suppress(NameError, TypeError):
        hints = get_type_hints(source, include_extras=True)
        return {name: hints[name] for name in parameters(target) if name in hints}
    return {}


def _problem(key: str, value: Any, hint: Any) -> str | None:
    """The message about a value that does not fit; of a mapping, about its first entry that does not."""
    if _fits(value, hint):
        return None
    for part in _alternatives(hint):
        names_and_values = get_args(part)
        if _is(part, Mapping) and isinstance(value, Mapping) and names_and_values:
            names, values = names_and_values
            for name, entry in value.items():
                if not _fits(name, names):
                    return f"{key}.{name}: the name must be {_expected(names)}{_meant(name, names)}"
                problem = _problem(f"{key}.{name}", entry, values)
                if problem:
                    return problem
    advice = _meant(value, hint)
    for part in _alternatives(hint):
        if part is str:
            advice += f"; a number or brackets need double quotes: '{key}=\"TEXT\"'"
        elif _is(part, Mapping):
            names = get_args(get_args(part)[0]) if get_args(part) else ()
            advice += f"; type {key}.{' or .'.join(names) if names else 'NAME'}=VALUE"
        elif _is(part, Sequence) and isinstance(value, str):
            advice += f"; type [{value}]"
    return f"{key}={_as_typed(value, hint)}: must be {_expected(hint)}{advice}"


def _fits(value: Any, hint: Any) -> bool:
    origin, parts = get_origin(hint) or hint, get_args(hint)
    if origin is Annotated:
        return _fits(value, parts[0]) and all(_BOUNDS[type(b)][2](value, _limit(b)) for b in _bounds(parts[1:]))
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if origin is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    if origin is float:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if origin in _SCALARS:
        return isinstance(value, origin)
    if _is(hint, Mapping):
        names, values = parts or (Any, Any)
        return isinstance(value, Mapping) and all(_fits(n, names) and _fits(v, values) for n, v in value.items())
    if _is(hint, Sequence):
        if not isinstance(value, Sequence) or isinstance(value, str):
            return False
        if origin is tuple and Ellipsis not in parts:
            return len(value) == len(parts) and all(map(_fits, value, parts))
        return all(_fits(entry, parts[0] if parts else Any) for entry in value)
    return True


def _expected(hint: Any) -> str:
    """A clause about the values that fit, for after "must be"."""
    origin, parts = get_origin(hint) or hint, get_args(hint)
    if origin is Annotated:
        limits = {type(bound): _limit(bound) for bound in _bounds(parts[1:])}
        if limits.keys() == {Ge, Le}:
            return f"{_expected(parts[0])} from {limits[Ge]} to {limits[Le]}"
        clauses = " and ".join(f"{_BOUNDS[kind][1]} {limit}" for kind, limit in limits.items())
        return f"{_expected(parts[0])}{', ' if MinLen in limits else ' of ' if limits else ''}{clauses}"
    if origin in (Union, UnionType):
        return ", or ".join(_expected(part) for part in sorted(parts, key=lambda part: part is NoneType))
    if origin is Literal:
        return ("one of " if len(parts) > 1 else "") + ", ".join(json.dumps(part) for part in parts)
    if _is(hint, Mapping):
        return "a mapping"
    if _is(hint, Sequence):
        count = f"of {len(parts)} values" if origin is tuple and Ellipsis not in parts else "in brackets"
        return f"a list {count}, as [A,B]" + (f", each {_expected(parts[0])}" if parts else "")
    return _SCALARS.get(origin, getattr(origin, "__name__", str(origin)))


def _meant(value: Any, hint: Any) -> str:
    """A clause with the choice nearest to a mistyped one; "" where none is near."""
    choices = [c for part in _alternatives(hint) if get_origin(part) is Literal for c in get_args(part)]
    close = difflib.get_close_matches(str(value), [c for c in choices if isinstance(c, str)], n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def _as_typed(value: Any, hint: Any) -> str:
    """A value as it is typed; a text in quotes where no text fits, so that "3" differs from 3."""
    takes_text = any(get_origin(part) is Literal or part is str for part in _alternatives(hint))
    bare = isinstance(value, str) and takes_text and value.isprintable()
    text = value if bare else json.dumps(value, ensure_ascii=False, default=_plain)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, Sequence) else str(value)


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _is(hint: Any, kind: type) -> bool:
    origin = get_origin(hint) or hint
    return isinstance(origin, type) and issubclass(origin, kind) and not issubclass(origin, str | bytes)


def _bounds(metadata: Sequence[Any]) -> Iterator[Any]:
    """The bounds of `Annotated`, without other metadata; `Interval` as the two that it stands for."""
    for entry in metadata:
        for bound in entry if isinstance(entry, GroupedMetadata) else (entry,):
            if type(bound) in _BOUNDS:
                yield bound


def _limit(bound: Any) -> Any:
    return getattr(bound, _BOUNDS[type(bound)][0])
