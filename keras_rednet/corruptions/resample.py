"""Loss of resolution: an image shrunk and enlarged again (Sec. 5.3 of the paper)."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from keras_rednet import resize
from keras_rednet.corruptions.noise import as_float


@dataclasses.dataclass(frozen=True)
class BicubicResample:
    """Shrinks an image and enlarges it to its old size, both as MATLAB's imresize: Sec. 5.3, Tables 4-8.

    Nothing is rounded in between, or clipped. A side that is no multiple of the scale is shrunk to the next larger
    whole number of pixels, as imresize(image, [ceil(h / scale), ceil(w / scale)]) does, and from there enlarged to what
    it was.

    Args:
        scales: integers of at least 1, of which one is drawn per image; (3,) is always 3, 1 leaves an image as it is.

    Raises:
        ValueError: no scales, or one that is not such an integer.

    Example:
        >>> BicubicResample(scales=(2, 3, 4))(tf.zeros([12, 12, 1]), seed=(0, 1)).shape
        TensorShape([12, 12, 1])
    """

    scales: tuple[int, ...]

    def __post_init__(self):
        scales = self.scales
        if not (isinstance(scales, tuple) and scales and all(type(scale) is int and scale >= 1 for scale in scales)):
            raise ValueError(
                "`scales` must be a tuple of integers of at least 1, (2,) for a fixed one. Received: "
                f"scales={scales!r}."
            )

    def __call__(self, clean, seed):
        return self.apply(clean, self.draw(seed))

    def draw(self, seed):
        """Returns one of `scales`, int32 scalar."""
        return tf.constant(self.scales)[tf.random.stateless_uniform([], seed, 0, len(self.scales), tf.int32)]

    def apply(self, clean, scale):
        """Returns `clean` [h, w, c] shrunk by the integer `scale` and enlarged to [h, w, c]."""
        clean = as_float(clean)
        rows, columns = (_matrix(clean, axis, scale) for axis in (0, 1))
        return tf.einsum("qw,pwc->pqc", columns, tf.einsum("ph,hwc->pwc", rows, clean))


def _matrix(image, axis, scale):
    """Returns the matrix, float32 [side, side], that shrinks and enlarges one side of an image."""
    matrix = tf.numpy_function(
        lambda *sizes: _there_and_back(*map(int, sizes)), [tf.shape(image)[axis], scale], tf.float32
    )
    return tf.ensure_shape(matrix, [image.shape[axis]] * 2)


@functools.lru_cache(maxsize=8)  # those of large photographs have hundreds of megabytes
def _there_and_back(side, scale):
    small = -(-side // scale)
    return (resize.weights(small, side) @ resize.weights(side, small)).astype(np.float32)
