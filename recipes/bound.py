"""Keeps the values of feature maps small, which training alone does not ask for.

Networks for deblurring learned to leave sharp pictures alone by feature maps of up to 4 million, which shut every other
one off. Half precision ends at 65504, and 8 bits that reach so far hold nothing else: the same weights, converted,
destroyed what they left alone before. The penalty grows with the logarithm, or such a network could not come down.
"""

import keras
from keras import ops

WEIGHT = 0.01  # of the penalty, beside a loss of mean absolute error


def bound(model, limit):
    """Adds to the loss of a RED-Net what the rectified values of its layers exceed a limit by.

    Args:
        model: a RED-Net (keras_rednet.REDNet).
        limit: values up to it cost nothing.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.ReLU) or getattr(layer, "activation", None) is keras.activations.relu:
            layer.activity_regularizer = Excess(limit)


@keras.saving.register_keras_serializable(package="keras_rednet")
class Excess(keras.regularizers.Regularizer):
    """The mean logarithm of by how many times values exceed a limit."""

    def __init__(self, limit):
        self.limit = limit

    def __call__(self, values):
        excess = ops.relu(ops.cast(values, "float32") / self.limit - 1)
        return WEIGHT * ops.mean(ops.log1p(excess))

    def get_config(self):
        return {"limit": self.limit}
