"""Blur by a known kernel (Sec. 5.5 of the paper), and the kernels of MATLAB's fspecial."""

import dataclasses
import hashlib

import numpy as np
import tensorflow as tf

from keras_rednet.corruptions.noise import GaussianNoise, Quantization, as_float


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Blur:
    """Convolves an image with a kernel, beyond whose border the outermost pixels go on: Sec. 5.5, Table 10.

    Args:
        kernel: array [kh, kw] with a sum of 1, for instance `disk(7)`; of odd sides, or its middle is the pixel before
            the centre.
        sigma_range: of Gaussian noise that is added before rounding, as in `GaussianNoise`.
        quantized: True clips and rounds the result to 8 bits, as the pictures of the literature are stored.

    Raises:
        ValueError: the kernel is not such an array, or the range is no pair.

    Example:
        >>> Blur(gaussian(25, 1.6))(tf.zeros([9, 12, 3]), seed=(0, 1)).shape
        TensorShape([9, 12, 3])
    """

    kernel: np.ndarray
    sigma_range: tuple[float, float] = (0, 0)
    quantized: bool = True

    def __post_init__(self):
        kernel = np.array(self.kernel, np.float32)
        if kernel.ndim != 2 or not kernel.size or not abs(kernel.sum(dtype=np.float64) - 1) < 1e-3:
            raise ValueError(
                "`kernel` must be an array [kh, kw] with a sum of 1: divide it by its sum. Received: shape="
                f"{kernel.shape}, sum={kernel.sum():g}."
            )
        kernel.setflags(write=False)
        object.__setattr__(self, "kernel", kernel)
        GaussianNoise(self.sigma_range)

    def __repr__(self):
        """Tells kernels apart without their numbers."""
        name = f"{'x'.join(map(str, self.kernel.shape))} {hashlib.sha1(self.kernel.tobytes()).hexdigest()[:8]}"
        return f"Blur(kernel=<{name}>, sigma_range={self.sigma_range}, quantized={self.quantized})"

    def __call__(self, clean, seed):
        sigma_seed, noise_seed = tf.unstack(tf.random.split(seed))
        return self.apply(clean, GaussianNoise(self.sigma_range).draw(sigma_seed), noise_seed)

    def apply(self, clean, sigma, seed):
        """Returns `clean` [h, w, c] blurred, with noise of standard deviation `sigma` (8-bit units)."""
        clean = as_float(clean)
        padded = clean
        for axis, side in enumerate(self.kernel.shape):
            length = tf.shape(clean)[axis]
            before, after = side // 2, (side - 1) // 2
            padded = tf.gather(padded, tf.clip_by_value(tf.range(-before, length + after), 0, length - 1), axis=axis)
        channels = tf.transpose(padded, (2, 0, 1))[..., None]  # each channel is an image of a batch
        filters = np.ascontiguousarray(self.kernel[::-1, ::-1, None, None])  # TensorFlow correlates
        blurred = tf.transpose(tf.nn.conv2d(channels, filters, 1, "VALID")[..., 0], (1, 2, 0))
        blurred = GaussianNoise(self.sigma_range).apply(tf.ensure_shape(blurred, clean.shape), sigma, seed)
        return Quantization().apply(blurred) if self.quantized else blurred


def disk(radius):
    """Returns the kernel of a lens out of focus, as fspecial('disk', radius): a pixel's share of a disk's area.

    Args:
        radius: in pixels, above 0.

    Returns:
        float32 [k, k], k = 2 ceil(radius - 0.5) + 1, with a sum of 1.

    Raises:
        ValueError: a radius that is not above 0, or infinite.
    """
    _check_positive("radius", radius)
    reach = int(np.ceil(radius - 0.5))
    edges = np.arange(-reach, reach + 2) - 0.5
    corner = _disk_area(edges[:, None], edges[None, :], radius)
    area = np.diff(np.diff(corner, axis=0), axis=1)
    return (area / area.sum()).astype(np.float32)


def _disk_area(x, y, radius):
    """Returns the area of a disk within [0, x] x [0, y], negative where one of both is."""
    sign, x, y = np.sign(x) * np.sign(y), np.minimum(np.abs(x), radius), np.minimum(np.abs(y), radius)
    start = np.minimum(x, np.sqrt(radius**2 - y**2))  # up to there the disk is higher than y

    def integral(t):
        return (t * np.sqrt(np.maximum(radius**2 - t**2, 0)) + radius**2 * np.arcsin(t / radius)) / 2

    return sign * (y * start + integral(x) - integral(start))


def gaussian(side, sigma):
    """Returns a Gaussian kernel as fspecial('gaussian', side, sigma).

    Args:
        side: in pixels, a whole number.
        sigma: standard deviation, in pixels, above 0.

    Returns:
        float32 [side, side], with a sum of 1.

    Raises:
        ValueError: a side that is no whole number above 0, or a sigma that is not above 0.
    """
    _check_positive("side", side)
    if side != int(side):
        raise ValueError(f"`side` must be a whole number of pixels. Received: side={side!r}.")
    _check_positive("sigma", sigma)
    x = np.arange(side) - (side - 1) / 2
    kernel = np.exp(-(x[:, None] ** 2 + x**2) / (2 * sigma**2))
    kernel[kernel < np.finfo(float).eps * kernel.max()] = 0
    return (kernel / kernel.sum()).astype(np.float32)


def motion(length, angle):
    """Returns the kernel of a camera that moved along a line, as fspecial('motion', length, angle).

    Args:
        length: of the line, in pixels, at least 1.
        angle: of the line, in degrees, counter-clockwise from the horizontal.

    Returns:
        float32 [kh, kw], of odd sides, with a sum of 1.

    Raises:
        ValueError: a length below 1, or infinite.
    """
    if not 1 <= length < float("inf"):
        raise ValueError(f"`length` must be at least 1 pixel. Received: length={length!r}.")
    half, phi = (length - 1) / 2, np.deg2rad(angle % 180)
    cos, sin = np.cos(phi), np.sin(phi)
    reach = int(np.ceil(half)) + 1
    y, x = np.mgrid[reach : -reach - 1 : -1, -reach : reach + 1].astype(float)  # rows go up
    across = np.abs(y * cos - x * sin)  # distance from the line
    along = np.abs(x * cos + y * sin)
    beyond = np.where(np.hypot(x, y) >= half, along - half, 0)  # and from its end
    kernel = np.maximum(1 - np.hypot(across, beyond), 0)
    kernel[kernel < 1e-9] = 0
    rows, columns = (np.flatnonzero(kernel.any(axis)) for axis in (1, 0))
    kernel = kernel[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return (kernel / kernel.sum()).astype(np.float32)


def _check_positive(name, value):
    if not 0 < value < float("inf"):
        raise ValueError(f"`{name}` must be above 0. Received: {name}={value!r}.")
