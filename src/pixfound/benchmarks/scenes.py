"""Synthetic scenes: a few coloured shapes on a 3 x 3 board, drawn together with their exact masks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixfound.types import ImageSource
from pixfound.types.masks import BoolMask

SIZE = 128  # pixels, height and width of a scene
COLOURS = {
    "red": (208, 44, 44),
    "green": (46, 160, 60),
    "blue": (48, 84, 214),
    "yellow": (232, 206, 48),
    "purple": (150, 62, 186),
    "orange": (238, 134, 36),
}
SHAPES = ("circle", "square", "triangle", "diamond")
PLACES = (
    *("top left", "top", "top right"),
    *("left", "center", "right"),
    *("bottom left", "bottom", "bottom right"),
)
RADII = {"small": 13, "large": 20}
_CELL = SIZE / 3


@dataclass(frozen=True)
class Thing:
    """One object. cell: index into PLACES. shift: (x, y) pixels from the cell's centre. marked: has a white dot.

    scale: factor of the radius that `size` names.
    """

    colour: str
    shape: str
    size: str
    cell: int
    shift: tuple[int, int] = (0, 0)
    marked: bool = False
    scale: float = 1.0

    @property
    def radius(self) -> float:
        """Pixels from its centre to its edge."""
        return RADII[self.size] * self.scale

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) in pixels."""
        row, column = divmod(self.cell, 3)
        return (column + 0.5) * _CELL + self.shift[0], (row + 0.5) * _CELL + self.shift[1]

    @property
    def place(self) -> str:
        """Its place in words."""
        return PLACES[self.cell]

    def moved(self, cell: int) -> Thing:
        """The same thing in another cell."""
        return replace(self, cell=cell)


@dataclass(frozen=True)
class Scene:
    """Things, and the seed of the background and its noise.

    Their colours and cells are distinct (ValueError) unless `crowded`; then a later thing hides what lies under it.
    """

    things: tuple[Thing, ...]
    seed: int
    crowded: bool = False

    def __post_init__(self) -> None:
        if self.crowded:
            return
        for values in ([t.colour for t in self.things], [t.cell for t in self.things]):
            if len(set(values)) != len(values):
                raise ValueError(f"two things of a scene share a colour or a cell: {values}")

    def thing(self, colour: str) -> Thing | None:
        """The thing of that colour, if any."""
        return next((t for t in self.things if t.colour == colour), None)

    def mask(self, thing: Thing) -> BoolMask:
        """Exact (SIZE, SIZE) mask of what is seen of a thing, its dot included."""
        mask = outline(thing)
        for other in self.things[self.things.index(thing) + 1 :] if self.crowded else ():
            mask = mask & ~outline(other)
        return mask

    def render(self) -> Image.Image:
        """Draw the scene; the same scene always gives the same pixels."""
        rng = np.random.default_rng(self.seed)
        ramp = np.linspace(0.0, 1.0, SIZE)
        low, high = sorted(int(v) for v in rng.integers(70, 131, size=2))
        tilt = ramp[:, None] if rng.integers(2) else ramp[None, :]
        pixels = np.repeat(np.floor(low + (high - low) * np.broadcast_to(tilt, (SIZE, SIZE)))[..., None], 3, axis=2)
        noise = rng.integers(-12, 13, size=pixels.shape)  # drawn first: no other thing's pixels depend on a thing
        for thing in self.things:
            u, v = _local(thing)
            inside = _inside(thing.shape, u, v)
            pixels[inside] = np.array(COLOURS[thing.colour]) + _shade(self.seed, thing.colour)
            if thing.marked:
                pixels[inside & _dot(thing.shape, u, v)] = 245
        return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def outline(thing: Thing) -> BoolMask:
    """(SIZE, SIZE) mask of the whole thing, whatever hides it."""
    return _inside(thing.shape, *_local(thing))


def dot(thing: Thing) -> BoolMask:
    """(SIZE, SIZE) mask of the place of its dot, whether it is marked or not."""
    return _dot(thing.shape, *_local(thing))


def random_scene(rng: np.random.Generator, count: int | None = None) -> Scene:
    """A scene of `count` things (2 to 4, drawn when None)."""
    count = int(rng.integers(2, 5)) if count is None else count
    colours = [str(c) for c in rng.permutation(list(COLOURS))[:count]]
    cells = [int(c) for c in rng.permutation(len(PLACES))[:count]]
    things = []
    for colour, cell in zip(colours, cells, strict=True):
        size = ("small", "large")[int(rng.integers(2))]
        slack = int(_CELL / 2) - RADII[size]
        shift = (int(rng.integers(-slack, slack + 1)), int(rng.integers(-slack, slack + 1)))
        shape = SHAPES[int(rng.integers(len(SHAPES)))]
        things.append(Thing(colour, shape, size, cell, shift, marked=bool(rng.integers(2))))
    return Scene(tuple(things), seed=int(rng.integers(2**31)))


@dataclass(frozen=True)
class SceneImage(ImageSource):
    """A scene as an image source: drawn when loaded."""

    scene: Scene

    def load(self) -> Image.Image:
        """The drawn scene."""
        return self.scene.render()

    def digest(self) -> str:
        """SHA-256 of the drawn pixels."""
        return hashlib.sha256(self.scene.render().tobytes()).hexdigest()


def _shade(seed: int, colour: str) -> npt.NDArray[np.int64]:
    """(3,) how far a thing's colour is off in this scene."""
    return np.random.default_rng([seed, list(COLOURS).index(colour)]).integers(-14, 15, size=3)


def _local(thing: Thing) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Pixel centres in the thing's own frame, each (SIZE, SIZE): (0, 0) its centre, 1 its radius."""
    x, y = thing.centre
    grid = np.arange(SIZE) + 0.5
    u, v = np.meshgrid((grid - x) / thing.radius, (grid - y) / thing.radius)
    return u, v


def _inside(shape: str, u: npt.NDArray[np.float64], v: npt.NDArray[np.float64]) -> BoolMask:
    if shape == "circle":
        return np.asarray(u**2 + v**2 <= 1.0)
    if shape == "square":
        return np.asarray(np.maximum(np.abs(u), np.abs(v)) <= 0.86)
    if shape == "triangle":
        return np.asarray((v <= 0.8) & (np.abs(u) <= (v + 1.0) / 1.8))
    if shape == "diamond":
        return np.asarray(np.abs(u) + np.abs(v) <= 1.0)
    raise ValueError(f"unknown shape {shape!r}; known are {', '.join(SHAPES)}")


def _dot(shape: str, u: npt.NDArray[np.float64], v: npt.NDArray[np.float64]) -> BoolMask:
    return np.asarray(u**2 + (v - _middle(shape)) ** 2 <= 0.33**2)


def _middle(shape: str) -> float:
    """Height of the dot in the thing's own frame: a triangle's middle lies below its box's centre."""
    return 0.25 if shape == "triangle" else 0.0
