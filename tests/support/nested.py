"""Squares inside each other, as the candidates of one example."""

from __future__ import annotations

import numpy as np

from pixfound.types.masks import RLE
from tests.support.examples import make_candidate, make_example

SIZE = (40, 40)


def square(side: int) -> RLE:
    mask = np.zeros(SIZE, dtype=np.bool_)
    mask[20 - side // 2 : 20 + side // 2, 20 - side // 2 : 20 + side // 2] = True
    return RLE.encode(mask)


EXAMPLE = make_example(square(10), expression="the red door")
SIDES = [4, 20, 8, 30, 12, 16, 2, 24, 10, 6, 14, 18, 22]
CANDIDATES = [make_candidate(square(side)) for side in SIDES]
LARGEST = SIDES.index(30)
