"""Shares as text: in percent, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FEW = 10  # examples below which no share and no interval is claimed: bootstraps of fewer are too narrow
FEW_FOR_TENTHS = 3 * FEW  # the same for shares of examples in each of ten


def figure(value: Mapping[str, Any]) -> str:
    """A share in percent with its interval, where it has one."""
    if value["low"] is None:
        return plain(value)
    return f"{100 * value['value']:.1f} [{100 * value['low']:.1f}, {100 * value['high']:.1f}]"


def plain(value: Mapping[str, Any], digits: int = 1) -> str:
    """A share in percent."""
    return "-" if value["value"] is None else f"{100 * value['value']:.{digits}f}"


def enough(value: Mapping[str, Any]) -> str:
    """The same; of fewer than FEW examples their number alone."""
    return figure(value) if value["count"] >= FEW or value["value"] is None else f"n = {value['count']}"


def left_out(count: int, what: str = "examples", needed: int = FEW) -> str:
    """The line in place of a part of the report that rests on too few examples."""
    return f"Left out: {count} {what}, and fewer than {needed} show nothing."
