"""Training for 8 bits: feature maps are rounded as in int8 files, so a network learns to bear what that takes.

Few large values cost all others a bit: in a TFLite file the range of a channel is that of the largest, at any noise.
A fast RED30 for JPEGs lost 0.24 dB at sigma 10, of which 0.14 in one feature map, whose values reached 49 where 6 had
served an earlier one. Here the steps follow the largest value, and so does the gradient, which brings it down.
"""

import keras
from keras import ops

from recipes.bound import rectified


def rounded(model):
    """Returns a network to be trained in place of another, whose layers it shares: rectified values are rounded.

    Args:
        model: a RED-Net (keras_rednet.REDNet).

    Returns:
        keras.Model: from corrupted images to restored ones, in the precision of `model`.
    """
    layers = set(rectified(model))

    def call(layer, *args, **kwargs):
        result = layer(*args, **kwargs)
        return EightBits(dtype=layer.dtype_policy)(result) if layer in layers else result

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


class EightBits(keras.layers.Layer):
    """Rounds each channel to 255 steps of its range in the batch, from 0 to the largest value.

    The gradient passes on as if nothing were rounded, and through the length of a step. (Of steps that are learned:
    Esser et al., arXiv 1902.08153.)
    """

    def call(self, values):
        wide = ops.cast(values, "float32")  # bfloat16 has steps as coarse itself
        step = ops.max(wide, axis=(0, 1, 2)) / 255 + 1e-9
        steps = wide / step
        return ops.cast(wide + step * ops.stop_gradient(ops.round(steps) - steps), values.dtype)
