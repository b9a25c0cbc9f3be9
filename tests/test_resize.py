import numpy as np
import pytest
from PIL import Image

from keras_rednet.resize import resize, weights


def test_halving_is_matlabs():
    """imresize(0:7, 0.5) by hand: an eight-tap kernel on a mirrored row."""
    taps = np.array(
        [-0.01171875, -0.03515625, 0.11328125, 0.43359375, 0.43359375, 0.11328125, -0.03515625, -0.01171875]
    )
    row = np.arange(8.0)
    mirrored = np.concatenate([row[2::-1], row, row[:-4:-1]])
    expected = [mirrored[2 * i : 2 * i + 8] @ taps for i in range(4)]
    np.testing.assert_allclose(resize(row[None, :, None], (1, 4))[0, :, 0], expected, atol=1e-6)


@pytest.mark.parametrize("size", [(40, 60), (13, 31), (80, 20)])
def test_inside_it_is_pillows_bicubic(size):
    image = np.random.default_rng(0).random((40, 60)).astype("float32")
    pillow = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))
    ours = resize(image[..., None], size)[..., 0]
    border = [int(np.ceil(3 * new / old)) + 2 for new, old in zip(size, image.shape, strict=True)]
    inside = (slice(border[0], -border[0]), slice(border[1], -border[1]))
    np.testing.assert_allclose(ours[inside], pillow[inside], atol=1e-5)


def test_enlarging_keeps_a_ramp():
    ramp = resize(np.arange(20.0)[:, None, None], (60, 1))[:, 0, 0]
    np.testing.assert_allclose(ramp[6:-6], (np.arange(60)[6:-6] + 0.5) / 3 - 0.5, atol=1e-5)


@pytest.mark.parametrize("sizes", [(1, 9), (9, 1), (1, 1), (2, 3), (5, 5), (7, 100)])
def test_weights_sum_to_one_at_any_size(sizes):
    matrix = weights(*sizes)
    assert matrix.shape == sizes[::-1]
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
    if sizes[0] == sizes[1]:
        np.testing.assert_allclose(matrix, np.eye(sizes[0]), atol=1e-12)


@pytest.mark.parametrize("size", [(3, 5), (7, 9), (20, 8), (31, 40)])
def test_resizing_is_the_product_with_the_weights(size):
    image = np.random.default_rng(0).random((7, 9, 2))
    expected = np.einsum("ph,hwc,qw->pqc", weights(7, size[0]), image, weights(9, size[1]))
    resized = resize(image, size)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, expected, atol=1e-6)


def test_refuses_no_pixels():
    with pytest.raises(ValueError, match="at least 1 pixel. Received: 8 to 0 pixels"):
        resize(np.ones((8, 8, 1)), (0, 8))
