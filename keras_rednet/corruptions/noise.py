"""Noise of sensors (Sec. 5.2 of the paper), and of rounding."""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class GaussianNoise:
    """Adds white Gaussian noise to an image, not clipped: the denoising experiments of Sec. 5.2, Tables 1-3.

    Args:
        sigma_range: the lowest and the highest standard deviation, in 8-bit units (0-255). One sigma, uniform in the
            range, is drawn per image; (30, 30) is always 30, (0, 75) is blind denoising.

    Raises:
        ValueError: the range is not a pair 0 <= low <= high.

    Example:
        >>> GaussianNoise(sigma_range=(10, 50)).sigma_range
        (10, 50)
    """

    sigma_range: tuple[float, float]

    def __post_init__(self):
        check_pair("sigma_range", self.sigma_range, 0, float("inf"), "standard deviations in 8-bit units")

    def __call__(self, clean, seed):
        sigma_seed, noise_seed = tf.unstack(tf.random.split(seed))
        return self.apply(clean, self.draw(sigma_seed), noise_seed)

    def draw(self, seed):
        """Returns a sigma, float32 scalar in 8-bit units, uniform in `sigma_range`."""
        low, high = self.sigma_range
        return low + (high - low) * tf.random.stateless_uniform([], seed)

    def apply(self, clean, sigma, seed):
        """Returns `clean` [h, w, c] plus noise of standard deviation `sigma` (8-bit units)."""
        clean = as_float(clean)
        return clean + sigma / 255.0 * tf.random.stateless_normal(tf.shape(clean), seed)


@dataclasses.dataclass(frozen=True)
class PoissonGaussianNoise:
    """Adds the noise of a real sensor, not clipped: shot noise, which grows with the light, and read noise.

    Not in the paper; it is what a camera's raw pixels carry.

    Args:
        photons_range: the lowest and the highest number of photons that make a white pixel: 10 is night, 10,000 is
            clean. One number is drawn per image, uniform in its logarithm.
        sigma_range: of the read noise, as in `GaussianNoise`.

    Raises:
        ValueError: a range is not a pair low <= high, of positive photons and sigmas of at least 0.
    """

    photons_range: tuple[float, float]
    sigma_range: tuple[float, float] = (0, 0)

    def __post_init__(self):
        check_pair("photons_range", self.photons_range, 1e-3, 1e9, "photons per white pixel")
        check_pair("sigma_range", self.sigma_range, 0, float("inf"), "standard deviations in 8-bit units")

    def __call__(self, clean, seed):
        draw_seed, shot_seed, read_seed = tf.unstack(tf.random.split(seed, 3))
        return self.apply(clean, *self.draw(draw_seed), shot_seed, read_seed)

    def draw(self, seed):
        """Returns photons per white pixel and a sigma in 8-bit units, float32 scalars."""
        photons_seed, sigma_seed = tf.unstack(tf.random.split(seed))
        low, high = (tf.math.log(float(photons)) for photons in self.photons_range)
        photons = tf.exp(low + (high - low) * tf.random.stateless_uniform([], photons_seed))
        return photons, GaussianNoise(self.sigma_range).draw(sigma_seed)

    def apply(self, clean, photons, sigma, shot_seed, read_seed):
        """Returns `clean` [h, w, c] as counted by a sensor whose white is so many `photons`."""
        light = photons * tf.maximum(as_float(clean), 0)
        counted = tf.random.stateless_poisson(tf.shape(light), shot_seed, light, tf.float32) / photons
        return GaussianNoise(self.sigma_range).apply(counted, sigma, read_seed)


@dataclasses.dataclass(frozen=True)
class Quantization:
    """Rounds an image to the values that a file of so many bits can hold, clipped to [0, 1]. It has no randomness.

    Not in the paper. What another corruption leaves below one step of a file is no help for real pictures.

    Args:
        bits: per channel, an integer from 1 to 16; photographs have 8.

    Raises:
        ValueError: `bits` is no such integer.

    Example:
        >>> Quantization(bits=1)(tf.constant([[[0.2], [0.7], [1.4]]]), seed=(0, 1)).numpy().ravel().tolist()
        [0.0, 1.0, 1.0]
    """

    bits: int = 8

    def __post_init__(self):
        if type(self.bits) is not int or not 1 <= self.bits <= 16:
            raise ValueError(f"`bits` must be an integer of Python's own, from 1 to 16. Received: bits={self.bits!r}.")

    def __call__(self, clean, seed):
        del seed
        return self.apply(clean)

    def apply(self, clean):
        """Returns `clean` [h, w, c] rounded and clipped."""
        steps = 2**self.bits - 1
        return tf.round(steps * tf.clip_by_value(as_float(clean), 0, 1)) / steps


def check_pair(name, pair, low, high, what, *, integers=False):
    """Raises ValueError unless `pair` is a pair of numbers with low <= pair[0] <= pair[1] <= high, and finite."""
    kinds = (int,) if integers else (int, float)
    numbers = isinstance(pair, tuple) and len(pair) == 2 and all(type(number) in kinds for number in pair)
    if not (numbers and low <= pair[0] <= pair[1] <= high and pair[1] < float("inf")):
        limit = f" <= {high:g}" if high < float("inf") else ""
        raise ValueError(
            f"`{name}` must be a pair {low:g} <= low <= high{limit} of {what}, a tuple of Python's own numbers, equal "
            "ones for a fixed strength. "
            f"Received: {name}={pair!r}."
        )


def as_float(clean):
    """Returns an image as a float32 tensor; TypeError for whole numbers, whose white is not 1."""
    clean = tf.convert_to_tensor(clean)
    if not clean.dtype.is_floating:
        raise TypeError(
            f"`clean` must be a float image with values in [0, 1]. Received: dtype={clean.dtype.name}; convert it to "
            "float32 and divide 8-bit values by 255 first."
        )
    return tf.cast(clean, tf.float32)
