"""Scores a restorer on clean images: corrupt, restore, compare. A number without its protocol is no number.

Images are float32, [h, w, c], clean ones in [0, 1].
"""

import dataclasses

import numpy as np

from keras_rednet.color import CHANNELS, check_color
from keras_rednet.metrics import SSIM_WINDOW, psnr, ssim


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Every choice behind a score except the images and the corruption.

    Args:
        color: what is scored: "gray", "luminance" or "rgb"; the images must be that, `evaluate` does not convert them.
        multiple: images are cut at the bottom and right to sides that are multiples of it, before they are corrupted.
        shave: pixels cut from each side before scoring.
        quantized: True scores 8-bit values: corrupted and restored images are clipped to [0, 1] and rounded to 1/255
            before they are compared. The restorer still gets what the corruption gives.
        orientations: 1, or 8 for the average of Sec. 3.5; the restorer does it, this says so.
        seed: the corruption of image i has the seed (seed, i).

    Raises:
        ValueError: another colour or number of orientations, a multiple below 1, or a negative shave.
    """

    color: str = "gray"
    multiple: int = 1
    shave: int = 0
    quantized: bool = False
    orientations: int = 1
    seed: int = 0

    def __post_init__(self):
        check_color(self.color)
        if self.orientations not in (1, 8):
            raise ValueError(f"`orientations` must be 1 or 8. Received: orientations={self.orientations!r}.")
        for name, least in (("multiple", 1), ("shave", 0)):
            if not isinstance(value := getattr(self, name), int) or value < least:
                raise ValueError(f"`{name}` must be a whole number of at least {least}. Received: {name}={value!r}.")


def evaluate(restorer, images, corruption, protocol):
    """Scores `restorer` on corrupted images.

    Args:
        restorer: called as restorer(corrupted), float32 [h, w, c]; returns the restored image, same shape. None scores
            the corrupted images themselves.
        images: iterable of (name, clean) with clean float32 [h, w, c] in [0, 1].
        corruption: called as corruption(clean, seed), see keras_rednet.corruptions.
        protocol: `Protocol`.

    Returns:
        list of dict: a row per image with `image`, `psnr_corrupted`, `ssim_corrupted`, `psnr` and `ssim` (dB and
        [-1, 1]); last the row of their means, whose `image` is "mean". The infinite PSNR of an image that is as the
        clean one counts in no mean, unless all are.

    Raises:
        ValueError: there are no images, or one that is too small, of another colour or of whole numbers; the message
            names it.
    """
    rows = []
    for i, (name, clean) in enumerate(images):
        clean = _cropped(name, clean, protocol)
        corrupted = np.asarray(corruption(clean, seed=(protocol.seed, i)))
        before = _scores(clean, corrupted, protocol)
        after = _scores(clean, restorer(corrupted), protocol) if restorer else before
        rows.append({"image": name, **{f"{key}_corrupted": value for key, value in before.items()}, **after})
    if not rows:
        raise ValueError("`images` must hold at least one (name, clean) pair. Received: none.")
    columns = [column for column in rows[0] if column != "image"]
    return [*rows, {"image": "mean", **{column: mean([row[column] for row in rows]) for column in columns}}]


def mean(values):
    """Returns the mean of those scores of images that are finite, of all if none is."""
    return np.mean([value for value in values if not np.isposinf(value)] or values)


def _cropped(name, clean, protocol):
    if np.ndim(clean) != 3 or clean.shape[2] != CHANNELS[protocol.color]:
        raise ValueError(
            f"{name} must have the shape [h, w, {CHANNELS[protocol.color]}], as {protocol.color} has. "
            f"Received: shape={np.shape(clean)}."
        )
    clean = np.asarray(clean)
    if not np.issubdtype(clean.dtype, np.floating):
        raise ValueError(f"{name} must be float32 in [0, 1]; divide 8-bit values by 255. Received: {clean.dtype}.")
    kept = [side // protocol.multiple * protocol.multiple for side in clean.shape[:2]]
    if min(kept) < 2 * protocol.shave + SSIM_WINDOW:
        raise ValueError(
            f"{name} must have at least {SSIM_WINDOW} pixels a side once it is cut. Received: {clean.shape[:2]}, cut "
            f"to multiples of {protocol.multiple} and by {protocol.shave} on each side."
        )
    return clean[: kept[0], : kept[1]]


def _scores(clean, image, protocol):
    if protocol.quantized:
        image = np.rint(255 * np.clip(image, 0, 1)) / 255
    options = {"data_range": 1.0, "shave": protocol.shave}
    return {"psnr": psnr(clean, image, **options), "ssim": ssim(clean, image, **options)}
