"""Additive noise (Sec. 5.2 of the paper)."""

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
        pair = self.sigma_range
        numbers = isinstance(pair, tuple) and all(isinstance(sigma, (int, float)) for sigma in pair)
        if not (numbers and len(pair) == 2 and 0 <= pair[0] <= pair[1] < float("inf")):
            raise ValueError(
                "`sigma_range` must be a pair 0 <= low <= high of standard deviations in 8-bit units, (30, 30) for a "
                f"fixed one. Received: sigma_range={pair!r}."
            )

    def __call__(self, clean, seed):
        sigma_seed, noise_seed = tf.unstack(tf.random.split(seed))
        return self.apply(clean, self.draw(sigma_seed), noise_seed)

    def draw(self, seed):
        """Returns a sigma, float32 scalar in 8-bit units, uniform in `sigma_range`."""
        low, high = self.sigma_range
        return low + (high - low) * tf.random.stateless_uniform([], seed)

    def apply(self, clean, sigma, seed):
        """Returns `clean` [h, w, c] plus noise of standard deviation `sigma` (8-bit units)."""
        clean = tf.convert_to_tensor(clean, tf.float32)
        return clean + sigma / 255.0 * tf.random.stateless_normal(tf.shape(clean), seed)
