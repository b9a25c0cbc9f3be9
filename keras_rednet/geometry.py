"""The eight orientations of an image: four rotations, each with and without a mirror image.

Training draws one per patch; restoration averages all eight (Sec. 3.5 of the paper).
"""

import numpy as np

ORIENTATIONS = 8
OF_EXIF = (0, 2, 3, 1, 4, 6, 7, 5)  # how pictures of the EXIF orientations 1 to 8 have been turned, as `orient` counts


def orient(image, orientation, transpose=np.transpose):
    """Flips and transposes an image into one of its eight orientations; 0 leaves it as it is.

    Args:
        image: [h, w, c], an array or a tensor; `transpose` is the matching function, np.transpose or tf.transpose.
        orientation: 0 to 7. Bit 0 flips the rows, bit 1 the columns, bit 2 then exchanges rows and columns.

    Returns:
        [h, w, c], or [w, h, c] for orientations 4 to 7.

    Raises:
        ValueError: another orientation.
    """
    _check(orientation)
    image = image[::-1] if orientation & 1 else image
    image = image[:, ::-1] if orientation & 2 else image
    return transpose(image, (1, 0, 2)) if orientation & 4 else image


def restore_orientation(image, orientation):
    """Undoes `orient`: restore_orientation(orient(image, k), k) is the image."""
    _check(orientation)
    image = np.transpose(image, (1, 0, 2)) if orientation & 4 else image
    image = image[:, ::-1] if orientation & 2 else image
    return image[::-1] if orientation & 1 else image


def _check(orientation):
    if orientation not in range(ORIENTATIONS):
        raise ValueError(f"`orientation` must be an integer from 0 to 7. Received: orientation={orientation!r}.")
