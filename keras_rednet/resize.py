"""Bicubic resizing as MATLAB's imresize does it: the resampling of the super-resolution literature (Sec. 5.3).

Keys' cubic kernel (a = -0.5), widened by the scale when an image shrinks (antialiasing), and an image that goes on
beyond its border as its mirror image. Other libraries differ in one of the three.
"""

import functools

import numpy as np


def resize(image, size):
    """Resizes an image to any size by MATLAB's bicubic interpolation, neither rounded nor clipped.

    Args:
        image: float [h, w, c].
        size: (new_h, new_w) in pixels.

    Returns:
        float32 [new_h, new_w, c].

    Raises:
        ValueError: a size below 1.

    Example:
        >>> resize(np.ones((4, 6, 1)), (8, 3)).shape
        (8, 3, 1)
    """
    image = np.asarray(image, np.float64)
    rows, columns = (weights(old, new) for old, new in zip(image.shape[:2], size, strict=True))
    return np.einsum("ph,hwc,qw->pqc", rows, image, columns, optimize=True).astype(np.float32)


@functools.lru_cache(maxsize=64)
def weights(length, new_length):
    """Returns the weights by which the pixels of a row make its new pixels, float64 [new_length, length]."""
    if min(length, new_length) < 1:
        raise ValueError(f"A size must be at least 1 pixel. Received: {length} to {new_length} pixels.")
    scale = new_length / length
    stretch = max(1.0, 1 / scale)  # of the kernel, so that it covers what one new pixel stands for
    centres = (np.arange(new_length) + 0.5) / scale - 0.5
    reach = int(np.ceil(2 * stretch)) + 1
    taps = np.floor(centres).astype(int)[:, None] + np.arange(-reach, reach + 1)  # [new_length, taps]
    values = _cubic((centres[:, None] - taps) / stretch)
    values /= values.sum(axis=1, keepdims=True)
    mirrored = np.concatenate([np.arange(length), np.arange(length)[::-1]])[taps % (2 * length)]
    matrix = np.zeros((new_length, length))
    np.add.at(matrix, (np.arange(new_length)[:, None], mirrored), values)
    matrix.setflags(write=False)  # it is shared by the cache
    return matrix


def _cubic(x):
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))
