"""RGB and YCbCr by ITU-R BT.601 in studio range, as MATLAB's rgb2ycbcr: the luminance that the literature scores.

Images are float32, [h, w, c], in [0, 1]; luminance runs from 16/255 to 235/255, chroma from 16/255 to 240/255.
"""

import numpy as np

CHANNELS = {"gray": 1, "luminance": 1, "rgb": 3}  # of the images that networks restore, by kind
PLANES = ("channels", "luminance", "ycbcr")  # what a one-channel network restores of a colour image
OTHER_SPACES = ("CMYK", "LAB")  # modes of Pillow: their ICC profile is not that of the RGB they become
PHOTOMETRIC = 0x0106  # a tag of TIFF: 0 where white is zero

# Rows: Y, Cb, Cr for RGB in [0, 1], in 8-bit steps (ITU-R BT.601).
YCBCR = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
OFFSET = np.array([16.0, 128.0, 128.0]) / 255


def inverts_16_bits(file):
    """Tells whether an open PIL image holds 16-bit gray whose white is zero: Pillow inverts 8 bits only."""
    return file.format == "TIFF" and file.mode.startswith("I;16") and file.tag_v2.get(PHOTOMETRIC) == 0


def rgb_to_ycbcr(rgb):
    """Converts an RGB image to YCbCr.

    Args:
        rgb: float [..., 3] in [0, 1].

    Returns:
        float32 [..., 3]: Y in [16/255, 235/255], Cb and Cr in [16/255, 240/255].

    Raises:
        ValueError: the last axis has not 3 channels; so do the other functions here.

    Example:
        >>> rgb_to_ycbcr(np.ones((1, 1, 3)))[0, 0, 0] * 255
        np.float32(235.0)
    """
    return (_pixels(rgb) @ YCBCR.T + OFFSET).astype(np.float32)


def ycbcr_to_rgb(ycbcr):
    """Converts a YCbCr image, float [..., 3], back to RGB, float32 [..., 3], not clipped."""
    return ((_pixels(ycbcr) - OFFSET) @ np.linalg.inv(YCBCR).T).astype(np.float32)


def luminance(rgb):
    """Returns the Y of `rgb_to_ycbcr`, float32 [..., 1]."""
    return (_pixels(rgb) @ YCBCR[:1].T + OFFSET[0]).astype(np.float32)


def _pixels(image):
    image = np.asarray(image, dtype=np.float64)
    if image.shape[-1:] != (3,):
        raise ValueError(f"A colour image must have 3 channels in its last axis. Received: shape={image.shape}.")
    return image


def check_color(color):
    """Raises ValueError unless `color` is one of `CHANNELS`."""
    if color not in CHANNELS:
        raise ValueError(f"`color` must be one of {sorted(CHANNELS)}. Received: color={color!r}.")
