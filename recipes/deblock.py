"""JPEG deblocking (Sec. 5.4, Table 9): quality 10 and 20, and "blind", for 5 to 95, on luminance or RGB.

    python -m recipes.train red30-fast-deblock-blind-gray --start-from red30-fast-denoise-blind-gray \
        --learning-rate 5e-4 --epochs 26 --data bsds500/train t91 --out runs/deblock

A patch takes as long as a denoiser's (recipes/denoise.py). The blind v1 was the network of the 24th epoch, 52,032
patches, with 28.66 and 30.91 dB of validation PSNR at quality 10 and 20, learned by absolute error from quality 5 to 60
(the recipe of commit 4a5e88f).

The blind v2 went on from v1 on 78,048 patches of even quality 5 to 95 (the recipe of commit 3779fbe, `--epochs 36`) and
on 26,016 of the recipe as it stands, up to 45 a second on two cores with bfloat16:

    python -m recipes.train red30-fast-deblock-blind-gray --start-from runs/even/weights.npz \
        --learning-rate 5e-4 --epochs 12 --data bsds500/train t91 --out runs/deblock-on

It has 28.72, 30.99, 33.23 and 37.29 dB at quality 10, 20, 40 and 80, after the even ones alone 28.68, 30.97, 33.25 and
37.33, when of LIVE1's colour, plane by plane, it was 0.07 dB behind v1 at 10.

The networks for one quality, v2, went on from it. 17,344 patches each, 6 minutes, gave 28.77 and 31.06 dB:

    python -m recipes.train red30-fast-deblock-10-gray --start-from red30-fast-deblock-blind-gray \
        --learning-rate 5e-4 --epochs 8 --data bsds500/train t91 --out runs/deblock10

recipes/results/deblock.csv holds what they all reach on test images.

Of colour a gray network restores Y, Cb and Cr, each by itself and unaware of the others. The network for colour, for
any quality that photographs are stored with, restores all three in one pass. It began as the denoiser for
JPEGs (fast RED30, v1) and saw 138,752 patches in three runs, up to 45 a second on two cores with bfloat16: 26.64,
29.00, 31.27 and 35.40 dB of validation PSNR at quality 10, 20, 40 and 80 after the first, 26.77, 29.13, 31.40 and
35.53 in the end.

    python -m recipes.train red30-fast-deblock-blind-color --start-from red30-fast-denoise-jpeg-color \
        --learning-rate 5e-4 --epochs 24 --data bsds500/train t91 --out runs/color
    python -m recipes.train red30-fast-deblock-blind-color --start-from runs/color/weights.npz \
        --epochs 24 --data bsds500/train t91 --out runs/color2
    python -m recipes.train red30-fast-deblock-blind-color --start-from runs/color2/weights.npz \
        --learning-rate 7e-4 --epochs 16 --data bsds500/train t91 --out runs/color3
"""

import dataclasses

from keras_rednet.corruptions import JpegCompression, OneOf
from keras_rednet.metrics import negative_psnr
from recipes.recipe import Recipe, ladder

QUALITIES = {quality: JpegCompression((quality, quality)) for quality in (10, 20, 40, 80)}

# The blocks of a photograph need not begin where a tile of it does, so the blind network sees all grids. The loss
# counts decibels, as where noise is removed: under absolute error low qualities would drown high ones. Half of the
# patches of gray are drawn from quality 5 to 20 alone: PSNR rises with every doubling of the quality, and drawn from 5
# to 95 three of four would be above 27, where there is least to do.
ANY = JpegCompression((5, 95), random_grid=True)
BLIND = Recipe(
    task="deblock",
    level="blind",
    depth=30,
    channels=1,
    color="luminance",
    corruption=OneOf((JpegCompression((5, 20), random_grid=True), ANY)),
    validation={f"quality {quality}": jpeg for quality, jpeg in QUALITIES.items()},
    loss=negative_psnr,
)
FIXED = [
    dataclasses.replace(
        BLIND,
        level=quality,
        corruption=QUALITIES[quality],
        validation={f"quality {quality}": QUALITIES[quality]},
    )
    for quality in (10, 20)
]
BLIND_COLOR = dataclasses.replace(BLIND, channels=3, color="rgb", corruption=ANY, epochs=16)
RECIPES = {name: recipe for base in (BLIND, BLIND_COLOR, *FIXED) for name, recipe in ladder(base).items()}
