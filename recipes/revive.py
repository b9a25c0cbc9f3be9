"""Gives dead feature maps a second life: rectified maps that no image switches on, and that no gradient reaches.

Long runs at a high rate kill a third of a RED-Net's inner maps. Their kernels are drawn anew and their outgoing
kernels set to zero (Sokar et al., arXiv 2302.12902), so the network computes what it did and has room to learn again.
"""

import keras
import numpy as np


def revive(model, corrupted, seed):
    """Redraws the dead maps of a RED-Net, in place, without changing what the network computes.

    Maps that are added to others by a skip are left alone: they have no outgoing kernel of their own.

    Args:
        model: a RED-Net (keras_rednet.REDNet), float32.
        corrupted: images to tell dead maps by, [n, h, w, c], values as in training.
        seed: integer, of the new kernels.

    Returns:
        int: how many maps were redrawn.
    """
    chain = [layer for layer in model.layers if layer.name.startswith(("conv", "deconv"))]
    added = [term for layer in model.layers if isinstance(layer, keras.layers.Add) for term in layer.input]
    lonely = [i for i, layer in enumerate(chain[:-1]) if not any(layer.output is term for term in added)]
    activity = keras.Model(model.input, [chain[i].output for i in lonely])
    shares = np.zeros((len(lonely), chain[0].filters))
    for image in corrupted:  # all maps of all images at once would take gigabytes
        shares += [np.mean(maps > 0, axis=(0, 1, 2)) for maps in activity.predict_on_batch(image[None])]
    shares /= len(corrupted)
    random = np.random.default_rng(seed)
    count = 0
    for i, share in zip(lonely, shares, strict=True):
        dead = share == 0
        kernel, bias = (np.array(array) for array in chain[i].get_weights())
        following, following_bias = (np.array(array) for array in chain[i + 1].get_weights())
        incoming, outgoing = _in_out(chain[i], kernel), _in_out(chain[i + 1], following)
        he = np.sqrt(2 / incoming[..., 0].size)
        incoming[..., dead] = random.normal(0, he, incoming.shape)[..., dead]
        bias[dead] = 0
        outgoing[:, :, dead] = 0
        chain[i].set_weights([kernel, bias])
        chain[i + 1].set_weights([following, following_bias])
        count += int(dead.sum())
    return count


def _in_out(layer, kernel):
    """Returns a view of a kernel as [h, w, in, out]; that of a transposed convolution is [h, w, out, in]."""
    return np.swapaxes(kernel, -1, -2) if isinstance(layer, keras.layers.Conv2DTranspose) else kernel
