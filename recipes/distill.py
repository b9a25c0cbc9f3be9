"""Training by a teacher: most of what a network could not have known of the clean patches leaves the loss.

The error of a denoiser is mostly detail that no network could restore; in a gradient it is noise. Where a better one,
its teacher, errs the same way, most of that is left out. (Knowledge distillation: Hinton, Vinyals and Dean, arXiv
1503.02531.) The teacher may be a fast network, of a quarter of the work. What it gave stands in recipes/denoise.py.
"""

import keras
from keras import ops

from keras_rednet.metrics import LEAST_ERROR

SHARE = 0.9  # of what the teacher could not restore either, left out of the gradient


def taught(model, teacher):
    """Returns a network to be trained in place of another, whose layers it shares: it also tells what a teacher says.

    Args:
        model: the RED-Net to train.
        teacher: a better one for the same task, of any size. It is frozen.

    Returns:
        keras.Model: from corrupted images to those that both restored, [n, h, w, 2c], for the loss `error`.
    """
    teacher.trainable = False
    return keras.Model(model.inputs, ops.concatenate([model.output, teacher(model.inputs[0])], axis=-1))


def error(clean, both):
    """A loss: `negative_psnr`, without `SHARE` of what the teacher's error adds to the gradient.

    With s restored by the student, t by the teacher and x clean, |s - x|^2 = |s - t|^2 + 2 (s - t)(t - x) + |t - x|^2.
    Only the middle term brings the teacher's error into the gradient; a tenth of it is kept, to surpass the teacher by.

    Args:
        clean: [n, h, w, c], values in [0, 1].
        both: [n, h, w, 2c], what `taught` gives.

    Returns:
        [n], in dB.
    """
    student, teacher = ops.split(both, 2, axis=-1)
    behind, unknown = student - teacher, teacher - clean
    squares = ops.square(behind) + 2 * (1 - SHARE) * behind * unknown + ops.square(unknown)
    return 10 * ops.log10(ops.mean(squares, axis=(1, 2, 3)) + LEAST_ERROR)
