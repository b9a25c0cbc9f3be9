"""Makes a deep network from a trained shallower one: new layers go into its middle, where the skip goes around them.

RED20 costs two thirds of RED30's time a step and learns alike, so its training need not be repeated (layers that start
as an identity: Chen et al., Net2Net, arXiv 1511.05641).
"""

import numpy as np

START = 0.01  # of the feature maps behind the new layers: at zero their rectifier would pass no gradient


def grow(shallow, deep):
    """Puts a RED-Net's weights into a deeper one, in place; away from the image's border it computes the same.

    The last new layer starts at a constant that the next one's bias takes away again. Behind the skip that goes
    around the new layers stands the shallow network's middle, as before. At the border zero padding has no constant.

    Args:
        shallow: a trained RED-Net (keras_rednet.REDNet).
        deep: a RED-Net that differs in its depth only; its new layers keep their initial weights.

    Raises:
        ValueError: `deep` is not deeper, or has no skip around its new layers.
    """
    half, deeper = (sum(layer.name.startswith("conv") for layer in model.layers) for model in (shallow, deep))
    new = deeper - half
    if new < 1 or not any(layer.name == f"skip{new}" for layer in deep.layers):
        raise ValueError(
            f"A deeper network grows from one whose middle, conv{half}, a skip of the deeper one starts from. "
            f"Received: {2 * half} layers to grow to {2 * deeper}."
        )
    for k in range(1, half + 1):
        deep.get_layer(f"conv{k}").set_weights(shallow.get_layer(f"conv{k}").get_weights())
        deep.get_layer(f"deconv{new + k}").set_weights(shallow.get_layer(f"deconv{k}").get_weights())
    last, following = (deep.get_layer(f"deconv{k}") for k in (new, new + 1))
    kernel, bias = last.get_weights()
    last.set_weights([np.zeros_like(kernel), np.full_like(bias, START)])
    kernel, bias = following.get_weights()  # [h, w, out, in]
    following.set_weights([kernel, bias - START * kernel.sum(axis=(0, 1, 3))])
