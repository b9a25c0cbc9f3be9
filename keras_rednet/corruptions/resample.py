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
        return tf.ensure_shape(_resized(clean, _there_and_back, tf.shape(clean), scale), clean.shape)


@dataclasses.dataclass(frozen=True)
class LowResolution:
    """Shrinks an image, corrupts the small one, and enlarges it to the old size: a small picture that was stored badly.

    As `BicubicResample`, with something in between.

    Args:
        scales: as of `BicubicResample`.
        corruption: of the small image, for instance `JpegCompression((30, 95))`.

    Raises:
        ValueError: no scales, or one that is no integer of at least 1; no corruption.

    Example:
        >>> from keras_rednet.corruptions import JpegCompression
        >>> LowResolution((2, 3), JpegCompression((75, 75)))(tf.zeros([12, 12, 3]), seed=(0, 1)).shape
        TensorShape([12, 12, 3])
    """

    scales: tuple[int, ...]
    corruption: object

    def __post_init__(self):
        BicubicResample(self.scales)
        if not callable(self.corruption):
            raise ValueError(f"`corruption` must be a corruption. Received: corruption={self.corruption!r}.")

    def __call__(self, clean, seed):
        clean = as_float(clean)
        scale_seed, corruption_seed = tf.unstack(tf.random.split(seed))
        scale, size = BicubicResample(self.scales).draw(scale_seed), tf.shape(clean)
        small = self.corruption(_resized(clean, _there, size, scale), corruption_seed)
        return tf.ensure_shape(_resized(small, _back, size, scale), clean.shape)


def _resized(image, matrix, size, scale):
    """Returns [h, w, c] with rows and columns multiplied by the matrices of two sides of `size` and a scale."""
    rows, columns = (
        tf.ensure_shape(
            tf.numpy_function(lambda *sizes: matrix(*map(int, sizes)), [size[axis], scale], tf.float32), [None, None]
        )
        for axis in (0, 1)
    )
    return tf.einsum("qw,pwc->pqc", columns, tf.einsum("ph,hwc->pwc", rows, image))


@functools.lru_cache(maxsize=8)
def _there(side, scale):
    return resize.weights(side, _small(side, scale)).astype(np.float32)


@functools.lru_cache(maxsize=8)
def _back(side, scale):
    return resize.weights(_small(side, scale), side).astype(np.float32)


@functools.lru_cache(maxsize=8)  # those of large photographs have hundreds of megabytes
def _there_and_back(side, scale):
    small = _small(side, scale)
    return (resize.weights(small, side) @ resize.weights(side, small)).astype(np.float32)


def _small(side, scale):
    return -(-side // scale)
