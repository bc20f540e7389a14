"""Shares as text: in percent, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def figure(value: Mapping[str, Any]) -> str:
    """A share in percent with its interval, where it has one."""
    if value["low"] is None:
        return plain(value)
    return f"{100 * value['value']:.1f} [{100 * value['low']:.1f}, {100 * value['high']:.1f}]"


def plain(value: Mapping[str, Any], digits: int = 1) -> str:
    """A share in percent."""
    return "-" if value["value"] is None else f"{100 * value['value']:.{digits}f}"
