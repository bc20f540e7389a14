"""The decoder of mask codes, against the published architecture written down once more without torch."""

from __future__ import annotations

import numpy as np
import pytest

from pixfound.errors import UserError
from pixfound.extractors.parsers.vqvae import MaskDecoder, paste, shapes
from tests.support.examples import drawn
from tests.support.mask_codes import LEAVE, PAINT, painting_weights, random_weights, save

KEY = "some.key"


def slide(x, kernel, bias, before):
    """flax's Conv: x (H, W, in) is padded by `before` on all sides; kernel (h, w, in, out) is not flipped."""
    padded = np.pad(x, ((before, before), (before, before), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(0, 1))  # (H, W, in, h, w)
    return np.einsum("yxihw,hwio->yxo", windows, kernel) + bias


def spread(x, kernel, bias):
    """flax's ConvTranspose with transpose_kernel: zeros between the pixels, two around them, a flipped kernel."""
    wide = np.zeros((2 * x.shape[0] - 1, 2 * x.shape[1] - 1, x.shape[2]))
    wide[::2, ::2] = x
    return slide(wide, np.swapaxes(kernel[::-1, ::-1], 2, 3), bias, 2)


def as_flax(arrays, codes):
    """(64, 64): kernels of PyTorch's order, (2, 3, 1, 0) of which is flax's for both kinds of convolution."""
    arrays = {name: np.asarray(value, np.float64) for name, value in arrays.items()}

    def layer(name):
        return arrays[f"{name}.weight"].transpose(2, 3, 1, 0), arrays[f"{name}.bias"]

    x = arrays["_vq_vae._embedding"][list(codes)].reshape(4, 4, 512)
    x = np.maximum(slide(x, *layer("decoder.0"), 0), 0)
    for block in (2, 3):
        y = np.maximum(slide(x, *layer(f"decoder.{block}.net.0"), 1), 0)
        y = np.maximum(slide(y, *layer(f"decoder.{block}.net.2"), 1), 0)
        x = x + slide(y, *layer(f"decoder.{block}.net.4"), 0)
    for number in (4, 6, 8, 10):
        x = np.maximum(spread(x, *layer(f"decoder.{number}")), 0)
    return slide(x, *layer("decoder.12"), 0)[..., 0]


def test_equals_the_published_architecture(tmp_path):
    arrays = random_weights()
    codes = [tuple(row) for row in np.random.default_rng(1).integers(0, 128, (3, 16)).tolist()]
    found = MaskDecoder(str(save(arrays, tmp_path / "vae.npz")), KEY).decode(codes)
    assert found.shape == (3, 64, 64) and found.dtype == np.float32
    expected = np.stack([as_flax(arrays, row) for row in codes])
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_a_drawing(tmp_path):
    drawing = drawn("#...", "##..", "....", "..##").decode()
    codes = tuple(PAINT if inside else LEAVE for inside in drawing.ravel())
    (found,) = MaskDecoder(str(save(painting_weights(), tmp_path / "vae.npz")), KEY).decode([codes])
    np.testing.assert_array_equal(found, np.where(np.kron(drawing, np.ones((16, 16), bool)), 1, -1))
    assert paste(found, (2.2, 0.8, 5.9, 5.1), (6, 8)) == drawn(
        "........", "..#.....", "..##....", "........", "....##..", "........"
    )
    assert paste(found, (2.2, 0.8, 2.4, 5.1), (6, 8)).area == 0  # no pixel


def test_names_are_the_published_ones():
    layers = ["decoder.0", *(f"decoder.{b}.net.{i}" for b in (2, 3) for i in (0, 2, 4))]
    layers += [f"decoder.{i}" for i in (4, 6, 8, 10, 12)]
    assert set(shapes()) == {"_vq_vae._embedding", *(f"{n}.{p}" for n in layers for p in ("weight", "bias"))}
    assert shapes()["decoder.8.weight"] == (64, 32, 4, 4) and shapes()["decoder.12.weight"] == (1, 16, 1, 1)


def without(arrays, name):
    return {key: value for key, value in arrays.items() if key != name}


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda file: None, "there is no such file"),
        (lambda file: file.write_bytes(b"no zip"), "cannot be read"),
        (lambda file: file.write_bytes(b""), "cannot be read"),
        (lambda file: np.savez(file, a=np.array([{}], dtype=object)), "cannot be read"),  # a pickle
        (lambda file: save(without(painting_weights(), "decoder.6.bias"), file), "decoder.6.bias is missing"),
        (
            lambda file: save({**painting_weights(), "decoder.6.weight": np.zeros((64, 128, 4, 4))}, file),
            r"decoder.6.weight has the shape \(64, 128, 4, 4\) in place of \(128, 64, 4, 4\)",
        ),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path, write, said):
    write(tmp_path / "vae.npz")
    with pytest.raises(UserError, match=f"{said}.*set some.key to a local copy of gs://big_vision") as error:
        MaskDecoder(str(tmp_path / "vae.npz"), KEY)
    assert "\n" not in str(error.value)
