"""Super-resolution (Sec. 5.3, Tables 4-8): scales 2, 3 and 4, and "blind", one network for all, on luminance; "jpeg".

    python -m recipes.train red30-fast-super-resolution-blind-gray --start-from red30-fast-denoise-blind-gray \
        --learning-rate 5e-4 --epochs 30 --data bsds500/train t91 --out runs/sr

The network sharpens a picture that bicubic interpolation has enlarged. Patches are a multiple of every scale. Scaled
copies are left out: a shrunk photograph is sharper than any camera's. Blind v1 was trained so, by absolute error and on
pictures that nobody rounded (recipe of commit d59ddce), and the networks for one scale, v1, went on from it:

    python -m recipes.train red30-fast-super-resolution-2-gray --start-from red30-fast-super-resolution-blind-gray \
        --learning-rate 5e-4 --epochs 3 --data bsds500/train t91 --out runs/sr2

Blind v2 went on from v1 by decibels, 30,352 patches on pictures that nobody rounded (the recipe of commit d51b077, with
`--epochs 14`) and then 21,680 of which half were rounded, 7 a second on two cores in float32:

    python -m recipes.train red30-fast-super-resolution-blind-gray --start-from runs/sr2/weights.npz --epochs 10 \
        --data bsds500/train t91 --out runs/sr3

It has 32.03, 28.54 and 26.80 dB of validation PSNR at scale 2, 3 and 4, v1 31.93, 28.45 and 26.73, and more than the
networks for one scale, which have 32.00, 28.50 and 26.76.

The one for small pictures that a JPEG stored, of colour, began as the network that deblocks colour (recipes/deblock.py,
after its first 24 epochs): 52,032 patches, up to 45 a second on two cores with bfloat16, gave 27.80, 25.29 and 23.94
dB at scale 2, 3 and 4 as JPEG; 18 epochs more gave nothing:

    python -m recipes.train red30-fast-super-resolution-jpeg-color --start-from runs/color/weights.npz --epochs 24 \
        --data bsds500/train t91 --out runs/sr-jpeg
"""

import dataclasses

from keras_rednet.corruptions import (
    BicubicResample,
    JpegCompression,
    LowResolution,
    Quantization,
    Sequence,
    Sometimes,
)
from keras_rednet.metrics import negative_psnr
from recipes.recipe import HALF_ROUNDED, Recipe, ladder

SCALES = {scale: BicubicResample((scale,)) for scale in (2, 3, 4)}
ROUNDED = {f"{scale} rounded": Sequence((resample, Quantization())) for scale, resample in SCALES.items()}

# Decibels (`negative_psnr`) teach more than absolute error, 0.02 dB in 4,320 patches from blind v1
# (recipes/results/study-super-resolution-on.csv), but what they teach is not all good: after v2's 14 epochs on pictures
# that nobody rounded Set5 was 0.11 to 0.13 dB ahead of v1 at every scale, and, where the enlarged picture is rounded to
# 8 bits as TFLite files take it, 1.1 and 1.6 dB behind it at scale 3 and 4 (python -m export.parity: 31.99 and 29.25
# dB, v1 33.13 and 30.87): the network had learned what rounding takes away. So half of the patches are rounded, and the
# network is validated and tested on rounded pictures, too. After the last 10 epochs it has 33.26 and 31.10 dB there.
BLIND = Recipe(
    task="super_resolution",
    level="blind",
    depth=30,
    channels=1,
    color="luminance",
    corruption=Sequence((BicubicResample((2, 3, 4)), HALF_ROUNDED)),
    validation={f"scale {level}": corruption for level, corruption in (SCALES | ROUNDED).items()},
    loss=negative_psnr,
)
FIXED = [
    dataclasses.replace(
        BLIND,
        level=scale,
        corruption=Sequence((resample, HALF_ROUNDED)),
        validation={f"scale {scale}": resample, f"scale {scale} rounded": ROUNDED[f"{scale} rounded"]},
    )
    for scale, resample in SCALES.items()
]

# Most small pictures are JPEGs, whose blocks and ringing the blind network sharpens. JPEG spoils colours as well, so
# this one restores all three channels.
AS_JPEG = {f"{scale} as JPEG": LowResolution((scale,), JpegCompression((80, 80))) for scale in SCALES}
STORED = Sometimes(JpegCompression((30, 98), random_grid=True), 0.9)
JPEG_COLOR = dataclasses.replace(
    BLIND,
    level="jpeg",
    channels=3,
    color="rgb",
    corruption=Sequence((LowResolution((2, 3, 4), STORED), HALF_ROUNDED)),
    validation={f"scale {level}": corruption for level, corruption in AS_JPEG.items()},
)
RECIPES = {name: recipe for base in (BLIND, JPEG_COLOR, *FIXED) for name, recipe in ladder(base).items()}
