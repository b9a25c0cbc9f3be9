"""Lossy compression (Sec. 5.4 of the paper)."""

import dataclasses

import tensorflow as tf

from keras_rednet.corruptions.noise import as_float, check_pair

BLOCK = 8  # pixels: side of a block of the format


@dataclasses.dataclass(frozen=True)
class JpegCompression:
    """Compresses an image as JPEG and decodes it: Sec. 5.4, Table 9. The result is 8-bit and clipped, as files are.

    One channel is stored as a gray file, three as a colour file with chroma at half resolution (4:2:0). libjpeg does
    both ways, by integer arithmetic: the pixels are Pillow's.

    Args:
        quality_range: the lowest and the highest quality, integers from 1 to 100; one is drawn per image, uniformly.
        random_grid: True puts the corner of the 8x8 blocks at random, as in a picture that was cropped after decoding.
        twice: True compresses a second time at a quality of its own; with `random_grid`, on a grid of its own.

    Raises:
        ValueError: the range is not a pair 1 <= low <= high <= 100.

    Example:
        >>> JpegCompression(quality_range=(10, 10))(tf.zeros([9, 12, 1]), seed=(0, 1)).shape
        TensorShape([9, 12, 1])
    """

    quality_range: tuple[int, int]
    random_grid: bool = False
    twice: bool = False

    def __post_init__(self):
        check_pair("quality_range", self.quality_range, 1, 100, "integer qualities", integers=True)

    def __call__(self, clean, seed):
        corrupted = as_float(clean)
        for pass_seed in tf.unstack(tf.random.split(seed, 2))[: 1 + self.twice]:
            corrupted = self.apply(corrupted, *self.draw(pass_seed))
        return corrupted

    def draw(self, seed):
        """Returns a quality, int32 scalar, and where the grid begins, int32 [2] from 0 to 7."""
        quality_seed, grid_seed = tf.unstack(tf.random.split(seed))
        low, high = self.quality_range
        quality = tf.random.stateless_uniform([], quality_seed, low, high + 1, tf.int32)
        grid = tf.random.stateless_uniform([2], grid_seed, 0, BLOCK, tf.int32)
        return quality, grid if self.random_grid else tf.zeros([2], tf.int32)

    def apply(self, clean, quality, grid):
        """Returns `clean` [h, w, c] as it comes back from JPEG of `quality`, its blocks shifted by `grid` pixels."""
        clean = as_float(clean)
        pixels = tf.cast(tf.round(255 * tf.clip_by_value(clean, 0, 1)), tf.uint8)
        size = tf.shape(pixels)
        rows, columns = (tf.maximum(0, tf.range(-grid[i], size[i])) for i in (0, 1))  # the border pixel goes on
        pixels = tf.gather(tf.gather(pixels, rows), columns, axis=1)
        pixels = tf.ensure_shape(pixels, [None, None, clean.shape[-1]])
        pixels = tf.image.adjust_jpeg_quality(pixels, quality, dct_method="INTEGER_ACCURATE")
        return tf.ensure_shape(tf.cast(pixels[grid[0] :, grid[1] :], tf.float32) / 255, clean.shape)
