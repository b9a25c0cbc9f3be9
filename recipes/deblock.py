"""JPEG deblocking (Sec. 5.4, Table 9): quality 10 and 20, and "blind", one network for 5 to 60, on luminance.

    python -m recipes.train red30-fast-deblock-blind-gray --start-from red30-fast-denoise-blind-gray \
        --learning-rate 5e-4 --epochs 26 --data bsds500/train t91 --out runs/deblock

The networks for one quality went on from the blind one:

    python -m recipes.train red30-fast-deblock-10-gray --start-from red30-fast-deblock-blind-gray \
        --learning-rate 5e-4 --epochs 3 --data bsds500/train t91 --out runs/deblock10
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
