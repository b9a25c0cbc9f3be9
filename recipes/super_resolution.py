"""Super-resolution (Sec. 5.3, Tables 4-8): scales 2, 3 and 4, and "blind", one network for all, on luminance.

    python -m recipes.train red30-fast-super-resolution-blind-gray --start-from red30-fast-denoise-blind-gray \
        --learning-rate 5e-4 --epochs 30 --data bsds500/train t91 --out runs/sr

v1 of all networks was trained so, but by absolute error and on pictures that nobody rounded (see below). The network
sharpens a picture that bicubic interpolation has enlarged. Patches are a multiple of every scale. Scaled copies are
left out: a shrunk photograph is sharper than any camera's. The networks for one scale went on from the blind one:

    python -m recipes.train red30-fast-super-resolution-2-gray --start-from red30-fast-super-resolution-blind-gray \
        --learning-rate 5e-4 --epochs 3 --data bsds500/train t91 --out runs/sr2
"""

import dataclasses

from keras_rednet.corruptions import BicubicResample, Quantization, Sequence, Sometimes
from keras_rednet.metrics import negative_psnr
from recipes.recipe import Recipe, ladder

SCALES = {scale: BicubicResample((scale,)) for scale in (2, 3, 4)}
# as phones and viewers enlarge
ROUNDED = {f"{scale} rounded": Sequence((resample, Quantization())) for scale, resample in SCALES.items()}
HALF_ROUNDED = Sometimes(Quantization(), 0.5)

# Decibels (`negative_psnr`) teach more than absolute error, 0.02 dB in 4,320 patches from blind v1
# (recipes/results/study-super-resolution-on.csv), but what they teach is not all good: after 14 epochs of them at 1e-3
# Set5 was 0.11 to 0.13 dB ahead of v1 at every scale, and, where the enlarged picture is rounded to 8 bits as TFLite
# files take it, 1.1 and 1.6 dB behind it at scale 3 and 4 (python -m export.parity: 31.99 and 29.25 dB, v1 33.13 and
# 30.87). On pictures that nobody rounded the network had learned what rounding takes away. So half of the patches are
# rounded, and the network is validated and tested on rounded pictures, too.
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
RECIPES = {name: recipe for base in (BLIND, *FIXED) for name, recipe in ladder(base).items()}
