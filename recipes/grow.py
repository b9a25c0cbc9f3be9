"""Makes a network of another depth, or for colour, from a trained one.

Layers go into its middle, inside a skip, or out of it: RED20 costs two thirds of RED30's time a step and learns alike,
so its training need not be repeated (layers that start as an identity: Chen et al., Net2Net, arXiv 1511.05641), and
what RED30 has learnt is a start for RED20. What a gray network knows of edges and texture is one for a colour network.
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
        ValueError: `deep` is not deeper, has no skip around its new layers, or up-samples in the layer behind them.
    """
    new, pairs = _outer_layers(shallow, deep)
    for of_shallow, of_deep in pairs:
        of_deep.set_weights(of_shallow.get_weights())
    last, following = (deep.get_layer(f"deconv{k}") for k in (new, new + 1))
    if following.strides != (1, 1):  # which would make no constant of a constant
        raise ValueError(f"The layer behind the new ones must have stride 1. Received: {following.name}, stride 2.")
    kernel, bias = last.get_weights()
    last.set_weights([np.zeros_like(kernel), np.full_like(bias, START)])
    kernel, bias = following.get_weights()  # [h, w, out, in]
    following.set_weights([kernel, bias - START * kernel.sum(axis=(0, 1, 3))])


def shrink(deep, shallow):
    """Puts the outer layers of a RED-Net into a shallower one, in place: all but those that a skip goes around.

    What the inner layers added to that skip is lost, so this is a start for training, no network to use.

    Args:
        deep: a trained RED-Net (keras_rednet.REDNet).
        shallow: a RED-Net that differs in its depth only.

    Raises:
        ValueError: `shallow` is not shallower, or `deep` has no skip around the layers to leave out.
    """
    for of_shallow, of_deep in _outer_layers(shallow, deep)[1]:
        of_shallow.set_weights(of_deep.get_weights())


def add_color(gray, color):
    """Puts a gray RED-Net's weights into one for colour, in place: a start for training that knows no colours yet.

    Of a gray image it gives what the gray one gives. Each filter of the first layer sees the channels mixed in another
    way: were all to see their mean, no layer would have much of a gradient by which to tell colours apart.

    Args:
        gray: a trained RED-Net (keras_rednet.REDNet) of one channel.
        color: a RED-Net that differs in its number of channels only.
    """
    *inner, last = [layer.name for layer in gray.layers if layer.name.startswith(("conv", "deconv"))]
    for name in inner:
        kernel, bias = gray.get_layer(name).get_weights()
        if name == "conv1":  # [h, w, in, out]
            channels = color.get_layer(name).kernel.shape[2]
            kernel = kernel * np.random.default_rng(0).dirichlet(np.ones(channels), kernel.shape[3]).T
        color.get_layer(name).set_weights([kernel, bias])
    kernel, bias = gray.get_layer(last).get_weights()  # [h, w, out, in]
    color.get_layer(last).set_weights([np.repeat(kernel, channels, axis=2), np.repeat(bias, channels)])


def _outer_layers(shallow, deep):
    """Returns by how many convolutions the one is deeper, and the pairs of layers that both have."""
    half, deeper = (sum(layer.name.startswith("conv") for layer in model.layers) for model in (shallow, deep))
    new = deeper - half
    if new < 1 or not any(layer.name == f"skip{new}" for layer in deep.layers):
        raise ValueError(
            f"Depths differ by layers that a skip of the deeper network goes around, from its conv{half}. "
            f"Received: {2 * half} layers for the shallower one and {2 * deeper} for the deeper; 20 and 30 fit."
        )
    names = [(f"conv{k}", f"conv{k}") for k in range(1, half + 1)]
    names += [(f"deconv{k}", f"deconv{new + k}") for k in range(1, half + 1)]
    return new, [(shallow.get_layer(of_shallow), deep.get_layer(of_deep)) for of_shallow, of_deep in names]
