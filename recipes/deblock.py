"""JPEG deblocking (Sec. 5.4, Table 9): quality 10 and 20, and "blind", one network for 5 to 60, on luminance.

    python -m recipes.train red30-fast-deblock-blind-gray --start-from red30-fast-denoise-blind-gray \
        --learning-rate 5e-4 --epochs 26 --data bsds500/train t91 --out runs/deblock

The networks for one quality went on from the blind one:

    python -m recipes.train red30-fast-deblock-10-gray --start-from red30-fast-deblock-blind-gray \
        --learning-rate 5e-4 --epochs 3 --data bsds500/train t91 --out runs/deblock10

A patch takes as long as a denoiser's (recipes/denoise.py). The shipped blind network is that of the 24th epoch, 52,032
patches, with 28.66 and 30.91 dB of validation PSNR at quality 10 and 20; those for one saw 6,504 more and have 28.71
and 30.97. recipes/results/deblock.csv holds what they reach on test images.
"""

import dataclasses

from keras_rednet.corruptions import JpegCompression
from recipes.recipe import Recipe, ladder

QUALITIES = {quality: JpegCompression((quality, quality)) for quality in (10, 20)}

# The blocks of a photograph need not begin where a tile of it does, so the blind network sees all grids.
BLIND = Recipe(
    task="deblock",
    level="blind",
    depth=30,
    channels=1,
    color="luminance",
    corruption=JpegCompression((5, 60), random_grid=True),
    validation={f"quality {quality}": jpeg for quality, jpeg in QUALITIES.items()},
)
FIXED = [
    dataclasses.replace(BLIND, level=quality, corruption=jpeg, validation={f"quality {quality}": jpeg})
    for quality, jpeg in QUALITIES.items()
]
RECIPES = {name: recipe for base in (BLIND, *FIXED) for name, recipe in ladder(base).items()}
