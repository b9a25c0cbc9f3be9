"""PSNR and SSIM, as functions for evaluation and as Keras metrics for `model.compile(metrics=...)`.

Images are [h, w, c] (functions) or [n, h, w, c] (metrics), clean and restored in the same range; `data_range` says
which: 1.0 for float images in [0, 1], 255 for 8-bit ones. It is never guessed.
"""

import keras
import numpy as np
from keras import ops

SSIM_WINDOW = 11  # pixels; Gaussian weights of sigma 1.5, as Wang et al. (2004)
SSIM_SIGMA = 1.5
MOST = 100  # dB, of an image in a mean of the metric `PSNR`: an infinite one would hide all others
LEAST_ERROR = 1e-4  # mean squared error, 40 dB: what `negative_psnr` adds, so that errors far below it count ever less


def psnr(clean, restored, *, data_range, shave=0):
    """Returns the peak signal-to-noise ratio of a restored image, in dB; infinite where both are equal.

    Args:
        clean, restored: arrays of the same shape, [h, w] or [h, w, c].
        data_range: white minus black, above 0: 1.0 for [0, 1], 255 for 8-bit values.
        shave: pixels cut from each side before scoring.

    Raises:
        ValueError: shapes differ, `shave` leaves nothing, or `data_range` is not above 0.

    Example:
        >>> round(float(psnr(np.zeros((4, 4)), np.full((4, 4), 0.1), data_range=1.0)), 2)
        20.0
    """
    clean, restored = _shaved_pair(clean, restored, shave)
    data_range = _checked_range(data_range)  # a uint8 of 255 would wrap around
    mean_squared_error = np.mean((clean - restored) ** 2)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(data_range**2 / mean_squared_error)


def ssim(clean, restored, *, data_range, shave=0):
    """Returns the structural similarity of a restored image, at most 1; channels are averaged.

    Wang et al. (2004): 11x11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, borders left out.

    Args:
        clean, restored: arrays of the same shape, [h, w] or [h, w, c], at least 11x11 after shaving.
        data_range: white minus black, above 0: 1.0 for [0, 1], 255 for 8-bit values.
        shave: pixels cut from each side before scoring.

    Raises:
        ValueError: shapes differ, less than the window is left, or `data_range` is not above 0.
    """
    clean, restored = (x[None] for x in _shaved_pair(clean, restored, shave))  # [1, h, w, c]
    if min(clean.shape[1:3]) < SSIM_WINDOW:
        raise ValueError(
            f"SSIM needs at least {SSIM_WINDOW}x{SSIM_WINDOW} pixels. Received: {clean.shape[1:3]} after shave={shave}."
        )
    clean, restored = ((x / _checked_range(data_range)).astype("float32") for x in (clean, restored))
    return float(np.mean(ops.convert_to_numpy(_ssim_map(clean, restored))))


@keras.saving.register_keras_serializable(package="keras_rednet")
class PSNR(keras.metrics.MeanMetricWrapper):
    """Mean over images of the peak signal-to-noise ratio, dB, for `model.compile(metrics=[PSNR(data_range=1.0)])`.

    An image counts for at most 100 dB, also where it equals the clean one. Callbacks that watch it need mode="max".

    Args:
        data_range: white minus black, above 0: 1.0 for [0, 1], 255 for 8-bit values.

    Raises:
        ValueError: `data_range` is not above 0.
    """

    def __init__(self, data_range, name="psnr", dtype="float32"):
        super().__init__(self._per_image, name=name, dtype=dtype)
        self.data_range = _checked_range(data_range)

    def _per_image(self, clean, restored):  # [n, h, w, c] -> [n]
        clean, restored = (ops.cast(x, "float32") / self.data_range for x in (clean, restored))  # 8 bits would wrap
        mean_squared_error = ops.mean(ops.square(clean - restored), axis=(1, 2, 3))
        return -10 * ops.log10(ops.maximum(mean_squared_error, 10 ** (-MOST / 10)))

    def get_config(self):
        return {"data_range": self.data_range, "name": self.name, "dtype": self.dtype}


@keras.saving.register_keras_serializable(package="keras_rednet")
class SSIM(keras.metrics.MeanMetricWrapper):
    """Mean over images of the structural similarity of `ssim`, for `model.compile(metrics=[SSIM(data_range=1.0)])`.

    Callbacks that watch it need mode="max".

    Args:
        data_range: white minus black, above 0: 1.0 for [0, 1], 255 for 8-bit values.

    Raises:
        ValueError: `data_range` is not above 0; when called, images of less than 11x11 pixels.
    """

    def __init__(self, data_range, name="ssim", dtype="float32"):
        super().__init__(self._per_image, name=name, dtype=dtype)
        self.data_range = _checked_range(data_range)

    def _per_image(self, clean, restored):  # [n, h, w, c] -> [n]
        sides = [side for side in clean.shape[1:3] if side is not None]
        if min(sides, default=SSIM_WINDOW) < SSIM_WINDOW:
            raise ValueError(f"SSIM needs at least {SSIM_WINDOW}x{SSIM_WINDOW} pixels. Received: {clean.shape[1:3]}.")
        clean, restored = (ops.cast(x, "float32") / self.data_range for x in (clean, restored))
        return ops.mean(_ssim_map(clean, restored), axis=(1, 2, 3))

    def get_config(self):
        return {"data_range": self.data_range, "name": self.name, "dtype": self.dtype}


@keras.saving.register_keras_serializable(package="keras_rednet")
def negative_psnr(clean, restored):
    """A loss: minus the PSNR of each image in dB, for values in [0, 1]; so every noise level counts by its decibels.

    Under a squared or absolute error, strong corruption drowns weak. Errors below `LEAST_ERROR` count ever less.

    Args:
        clean, restored: [n, h, w, c].

    Returns:
        [n], in dB.
    """
    return 10 * ops.log10(ops.mean(ops.square(clean - restored), axis=(1, 2, 3)) + LEAST_ERROR)


def _checked_range(data_range):
    if not 0 < data_range < float("inf"):
        raise ValueError(
            "`data_range` must be white minus black: 1.0 for [0, 1], 255 for 8-bit values. "
            f"Received: data_range={data_range!r}."
        )
    return float(data_range)


def _shaved_pair(clean, restored, shave):
    clean, restored = (np.asarray(x, dtype=np.float64) for x in (clean, restored))
    if clean.shape != restored.shape or clean.ndim not in (2, 3):
        raise ValueError(
            "`clean` and `restored` must have the same shape, [h, w] or [h, w, c]. "
            f"Received: clean {clean.shape}, restored {restored.shape}."
        )
    h, w = clean.shape[:2]
    if not 0 <= 2 * shave < min(h, w):
        raise ValueError(f"`shave` must leave at least a pixel of {h}x{w}. Received: shave={shave!r}.")
    clean, restored = (x[..., None] if x.ndim == 2 else x for x in (clean, restored))
    return clean[shave : h - shave, shave : w - shave], restored[shave : h - shave, shave : w - shave]


def _ssim_map(clean, restored):
    """Structural similarity around every pixel, for values in [0, 1]: [n, h, w, c] -> [n, h-10, w-10, c]."""
    mean_c, mean_r = _window_mean(clean), _window_mean(restored)
    variance_c = _window_mean(clean * clean) - mean_c * mean_c
    variance_r = _window_mean(restored * restored) - mean_r * mean_r
    covariance = _window_mean(clean * restored) - mean_c * mean_r
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_c * mean_r + c1) / (mean_c * mean_c + mean_r * mean_r + c1)
    return luminance * (2 * covariance + c2) / (variance_c + variance_r + c2)


def _window_mean(image):
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    weights = np.exp(-(offsets**2) / (2 * SSIM_SIGMA**2))
    weights = [float(weight) for weight in weights / weights.sum()]
    ends = [k + 1 - SSIM_WINDOW or None for k in range(SSIM_WINDOW)]
    # No convolution: GPUs may round what they convolve to 10 bits, and variances are differences of nearly equal means.
    image = sum(weight * image[:, k:end] for k, (weight, end) in enumerate(zip(weights, ends, strict=True)))
    return sum(weight * image[:, :, k:end] for k, (weight, end) in enumerate(zip(weights, ends, strict=True)))
