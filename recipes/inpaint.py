"""Inpainting without a mask (Sec. 5.6): text of 10 to 20 pixels and scratches, in colour.

python -m recipes.train red30-inpaint-text-color --data bsds500/train t91 --out runs/text
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
