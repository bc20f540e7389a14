"""Short hashes of JSON values: fingerprints of stores, digests of records."""

from __future__ import annotations

import hashlib
import json
from typing import Any

_SORTED = json.JSONEncoder(sort_keys=True).encode


FORMAT = 3  # raise it when a stage's results change their meaning: older stores are then left alone


def fingerprint(**values: Any) -> str:
    """A short hash of JSON values, and of the format of the stores."""
    text = json.dumps({"format": FORMAT, **values}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_of(*values: Any) -> str:
    """A short hash of JSON values: what a record was computed from."""
    return hashlib.sha256(_SORTED(values).encode()).hexdigest()[:24]
