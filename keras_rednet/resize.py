"""Bicubic resizing as MATLAB's imresize does it: the resampling of the super-resolution literature (Sec. 5.3).

Keys' cubic kernel (a = -0.5), widened by the scale when an image shrinks (antialiasing), and an image that goes on
beyond its border as its mirror image. Other libraries differ in one of the three.
"""

import numpy as np


def resize(image, size, rows=None, columns=None):
    """Resizes an image to any size by MATLAB's bicubic interpolation, neither rounded nor clipped.

    Args:
        image: numbers [h, w, c].
        size: (new_h, new_w) in pixels.
        rows, columns: arrays of indices, where only these of the new rows and columns are wanted.

    Returns:
        float32 [new_h, new_w, c], or of the wanted rows and columns.

    Raises:
        ValueError: a size below 1.

    Example:
        >>> resize(np.ones((4, 6, 1)), (8, 3)).shape
        (8, 3, 1)
    """
    axes = []
    for axis, wanted in enumerate((rows, columns)):
        taps, values = _taps(image.shape[axis], size[axis])
        if wanted is not None:
            taps, values = taps[:, wanted], values[:, wanted]
        needed = slice(taps.min(), taps.max() + 1)
        image = image[(slice(None),) * axis + (needed,)]
        axes.append((taps - needed.start, values))
    image = np.asarray(image, np.float32)
    for axis, (taps, values) in enumerate(axes):
        shape = [1, 1, 1]
        shape[axis] = -1
        terms = (np.take(image, tap, axis) * value.reshape(shape) for tap, value in zip(taps, values, strict=True))
        image = sum(terms, start=np.float32(0))
    return image


def weights(length, new_length):
    """Returns the weights by which the pixels of a row make its new pixels, float64 [new_length, length]."""
    taps, values = _taps(length, new_length, np.float64)
    matrix = np.zeros((new_length, length))
    np.add.at(matrix, (np.arange(new_length), taps), values)
    return matrix


def _taps(length, new_length, dtype=np.float32):
    """Returns which pixels of a row count for the new ones and how much, both [taps, new_length]."""
    if min(length, new_length) < 1:
        raise ValueError(f"A size must be at least 1 pixel. Received: {length} to {new_length} pixels.")
    scale = new_length / length
    stretch = max(1.0, 1 / scale)  # of the kernel, so that it covers what one new pixel stands for
    centres = (np.arange(new_length) + 0.5) / scale - 0.5
    reach = int(np.ceil(2 * stretch))
    taps = np.floor(centres).astype(int) + np.arange(-reach, reach + 2)[:, None]
    values = _cubic((centres - taps) / stretch)
    used = values.any(axis=1)
    taps, values = taps[used], values[used] / values.sum(axis=0)
    mirrored = np.concatenate([np.arange(length), np.arange(length)[::-1]])[taps % (2 * length)]
    return mirrored, values.astype(dtype)


def _cubic(x):
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))
