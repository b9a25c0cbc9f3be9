"""Keeps the values of feature maps small, which training alone does not ask for.

Networks for deblurring learned to leave sharp pictures alone by feature maps of up to 35 million (the disk's v5, by
`largest`, on LIVE1), which shut every other one off. Half precision ends at 65504, and 8 bits that reach so far hold
nothing else: the same weights, converted, destroyed what they left alone before. The penalty grows with the logarithm,
or such a network could not come down.
"""

import keras
import numpy as np
from keras import ops

from keras_rednet.model import size_multiple

WEIGHT = 0.005  # of the penalty, beside a loss of mean absolute error


def bound(model, limit):
    """Adds to the loss of a RED-Net what the rectified values of its layers exceed a limit by.

    Args:
        model: a RED-Net (keras_rednet.REDNet).
        limit: values up to it cost nothing.
    """
    for layer in rectified(model):
        layer.activity_regularizer = Excess(limit)


def largest(model):
    """Returns a function that tells the largest of the values that `bound` limits, when a RED-Net restores an image.

    It takes float32 [h, w, channels] in [0, 1]; what exceeds the network's size multiple is cut off.
    """
    multiple = size_multiple(model)
    values = keras.Model(model.inputs, [ops.max(layer.output) for layer in rectified(model)])

    def measure(image):
        height, width = (side // multiple * multiple for side in image.shape[:2])
        return float(np.max(values.predict_on_batch(image[None, :height, :width])))

    return measure


def rectified(model):
    """Returns the layers of a network that end in a rectifier."""
    relu = keras.activations.relu
    return [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.ReLU) or getattr(layer, "activation", None) is relu
    ]


@keras.saving.register_keras_serializable(package="keras_rednet")
class Excess(keras.regularizers.Regularizer):
    """The mean logarithm of by how many times values exceed a limit, added up over images: Keras takes their mean."""

    def __init__(self, limit):
        self.limit = limit

    def __call__(self, values):
        excess = ops.relu(ops.cast(values, "float32") / self.limit - 1)
        return WEIGHT * ops.sum(ops.mean(ops.log1p(excess), axis=(1, 2, 3)))

    def get_config(self):
        return {"limit": self.limit}
