"""Inpainting without a mask (Sec. 5.6): text of 10 to 20 pixels and scratches, in colour.

    python -m recipes.train red30-fast-inpaint-text-color --start-from red30-fast-denoise-blind-color \
        --learning-rate 5e-4 --epochs 10 --data bsds500/train t91 --out runs/text

gave text v1, from which 14 epochs at the recipe's 1e-3 gave v2, and 45 more v3. Scratch v1 went on from text v2:

    python -m recipes.train red30-fast-inpaint-scratch-color --start-from red30-fast-inpaint-text-color \
        --epochs 12 --data bsds500/train t91 --out runs/scratch

A patch takes as long as a denoiser's (recipes/denoise.py). Text v3's last run saw 97,560 patches and has 35.33 and
35.01 dB of validation PSNR at 10 and 20 pixels; scratch v1 saw 26,016 and has 38.41 (see below on which pages).
recipes/results/inpaint.csv holds what they reach on test images.
"""

import dataclasses

from keras_rednet.corruptions import ScratchOverlay, TextOverlay
from keras_rednet.metrics import negative_psnr
from recipes.recipe import Recipe, ladder

# Validation and tests lay other pages of text and scratches over images than training does. (The records of text up to
# v3 and of scratch v1 tell the validation on the pages of the training, at other places.)
# Under absolute error the network learns to change nothing: most pixels are clean already.
TEXT = Recipe(
    task="inpaint",
    level="text",
    depth=30,
    channels=3,
    color="rgb",
    corruption=TextOverlay((10, 20)),
    loss=negative_psnr,
    validation={f"text {size}": TextOverlay((size, size), pages=1) for size in (10, 20)},
)
SCRATCH = dataclasses.replace(
    TEXT, level="scratch", corruption=ScratchOverlay(), validation={"scratch": ScratchOverlay(pages=1)}
)
RECIPES = {name: recipe for base in (TEXT, SCRATCH) for name, recipe in ladder(base).items()}
