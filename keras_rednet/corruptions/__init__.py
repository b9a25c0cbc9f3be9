"""Corruptions: how a clean image becomes the corrupted one that RED-Net restores (H and n of Eq. 1 of the paper).

The contract of every class here:

- It is a frozen dataclass whose fields say how strong the corruption is; a bad field raises ValueError at once. A range
  is always a pair (low, high); a fixed strength is an equal pair.
- `corruption(clean, seed)` takes float32 [h, w, c] in [0, 1] and an int32 [2] seed and returns the corrupted image, of
  the same shape and dtype; TypeError for whole numbers, such as 8-bit pixels. It is a pure function of both, by
  TensorFlow operations: the same in eager code and inside tf.data, on any number of workers. (Resampling takes its
  matrices from NumPy, so a graph with it runs where it was built.)
- The result is not clipped, unless the real process clips; then the class says so.
- Of noise, JPEG and `BicubicResample` what is random is drawn by `draw` and applied by `apply`, which is deterministic
  but for the noise that it adds.

They are TensorFlow's: where another backend trains, call `dataset.keep_tensorflow_off_gpus` before the first, or
TensorFlow takes the GPU's memory.

`Sequence` applies several, one after the other; `OneOf` one of several; `Sometimes` one or none, by chance.

    >>> import numpy as np
    >>> corrupted = GaussianNoise(sigma_range=(25, 25))(np.zeros((8, 8, 1), "float32"), seed=(0, 1))
    >>> corrupted.shape
    TensorShape([8, 8, 1])
"""

from keras_rednet.corruptions import blur
from keras_rednet.corruptions.blur import Blur
from keras_rednet.corruptions.jpeg import JpegCompression
from keras_rednet.corruptions.noise import GaussianNoise, PoissonGaussianNoise, Quantization
from keras_rednet.corruptions.overlay import ScratchOverlay, TextOverlay
from keras_rednet.corruptions.resample import BicubicResample, LowResolution
from keras_rednet.corruptions.sequence import OneOf, Sequence, Sometimes

__all__ = [
    "BicubicResample",
    "Blur",
    "GaussianNoise",
    "JpegCompression",
    "LowResolution",
    "OneOf",
    "PoissonGaussianNoise",
    "Quantization",
    "ScratchOverlay",
    "Sequence",
    "Sometimes",
    "TextOverlay",
    "blur",
]
