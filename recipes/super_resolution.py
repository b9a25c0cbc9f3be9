"""Super-resolution (Sec. 5.3, Tables 4-8): scales 2, 3 and 4, and "blind", one network for all, on luminance.

    python -m recipes.train red30-fast-super-resolution-blind-gray --start-from red30-fast-denoise-blind-gray \
        --learning-rate 5e-4 --epochs 30 --data bsds500/train t91 --out runs/sr

The network sharpens a picture that bicubic interpolation has enlarged. Patches are a multiple of every scale. Scaled
copies are left out: a shrunk photograph is sharper than any camera's. The networks for one scale went on from the blind
one:

    python -m recipes.train red30-fast-super-resolution-2-gray --start-from red30-fast-super-resolution-blind-gray \
        --learning-rate 5e-4 --epochs 3 --data bsds500/train t91 --out runs/sr2
"""

import dataclasses

from keras_rednet.corruptions import BicubicResample
from keras_rednet.metrics import negative_psnr
from recipes.recipe import Recipe, ladder

SCALES = {scale: BicubicResample((scale,)) for scale in (2, 3, 4)}

# All v1 were trained by absolute error. To go on from them decibels teach more: study-super-resolution-on.csv.
BLIND = Recipe(
    task="super_resolution",
    level="blind",
    depth=30,
    channels=1,
    color="luminance",
    corruption=BicubicResample((2, 3, 4)),
    loss=negative_psnr,
    validation={f"scale {scale}": resample for scale, resample in SCALES.items()},
)
FIXED = [
    dataclasses.replace(BLIND, level=scale, corruption=resample, validation={f"scale {scale}": resample})
    for scale, resample in SCALES.items()
]
RECIPES = {name: recipe for base in (BLIND, *FIXED) for name, recipe in ladder(base).items()}
