"""Training for 8 bits: feature maps are rounded, so that a network learns to bear what int8 files round.

Their steps (keras_rednet/tflite.py) span nearly all that a channel holds at any noise, so the few large values of
strong noise and hard edges coarsen what weak noise needs. Here, too, the steps follow a channel's largest value, if
only that in the batch, and the gradient follows them: it weighs what rounding costs, and brings the largest values
down. Weights, the last layer's result and its sum with the image stay as they are, and the epochs of a run are
validated without rounding.
"""

import keras
from keras import ops

from keras_rednet.model import followed
from recipes.bound import rectified


def rounded(model):
    """Returns a network to be trained in place of another, whose layers it shares: rectified values are rounded.

    Args:
        model: a RED-Net (keras_rednet.REDNet).

    Returns:
        keras.Model: from corrupted images to restored ones, in the precision of `model`.
    """
    return followed(model, {layer.name: Rounded(dtype=layer.dtype_policy) for layer in rectified(model)})


class Rounded(keras.layers.Layer):
    """Rounds channels of rectified [n, h, w, c] to 255 steps of their ranges in the batch, from 0 to the largest value.

    The gradient passes on as if nothing were rounded, and through the length of a step. (Of steps that are learned:
    Esser et al., arXiv 1902.08153.)
    """

    def call(self, values):
        wide = ops.cast(values, "float32")  # bfloat16 has steps as coarse itself
        step = ops.max(wide, axis=(0, 1, 2)) / 255 + 1e-9
        steps = wide / step
        return ops.cast(wide + step * ops.stop_gradient(ops.round(steps) - steps), values.dtype)
