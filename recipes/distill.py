"""Training by a teacher: most of what a network could not have known of the clean patches leaves the loss.

The error of a denoiser is mostly detail that no network could restore; in a gradient it is noise. Where a better one,
its teacher, errs the same way, most of that is left out. (Knowledge distillation: Hinton, Vinyals and Dean, arXiv
1503.02531.) The teacher may be a fast network, of a quarter of the work. What it gave stands in recipes/denoise.py.

A student as good as its teacher errs as much, but elsewhere. The teacher's mean over several orientations (Sec. 3.5 of
the paper) is better than both.
"""

import keras
from keras import ops

from keras_rednet.geometry import ORIENTATIONS
from keras_rednet.metrics import LEAST_ERROR

SHARE = 0.9  # of what the teacher could not restore either, left out of the gradient


def taught(model, teacher, orientations=1):
    """Returns a network to be trained in place of another, whose layers it shares: it also tells what a teacher says.

    Args:
        model: the RED-Net to train.
        teacher: a better one for the same task, of any size. It is frozen.
        orientations: 1 to 8, over which the teacher averages: 2 adds the flipped rows, 4 the flipped columns, 8 the
            same of images whose rows and columns are exchanged.

    Returns:
        keras.Model: from corrupted images to those that both restored, [n, h, w, 2c], for the loss `error`.

    Raises:
        ValueError: another number of orientations.
    """
    if orientations not in range(1, ORIENTATIONS + 1):
        raise ValueError(f"A teacher has 1 to {ORIENTATIONS} orientations. Received: orientations={orientations!r}.")
    teacher.trainable = False
    (images,) = model.inputs
    views = [_turned(teacher(_turned(images, k)), k, back=True) for k in range(orientations)]
    return keras.Model(images, ops.concatenate([model.output, sum(views) / orientations], axis=-1))


def _turned(images, orientation, back=False):
    """Orients a batch as `geometry.orient` does an image, or back."""
    flipped = tuple(axis for axis in (1, 2) if orientation & axis)
    exchanged = (0, 2, 1, 3) if orientation & 4 else (0, 1, 2, 3)
    if back:
        return ops.flip(ops.transpose(images, exchanged), flipped)
    return ops.transpose(ops.flip(images, flipped), exchanged)


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
