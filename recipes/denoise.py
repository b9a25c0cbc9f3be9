"""Gaussian denoising (Sec. 5.2, Tables 1-3): the paper's setting and the one of the shipped weights.

python -m recipes.train denoise-fast-gray --data bsds500/train t91 --out runs/denoise-fast-gray
"""

import dataclasses

from keras_rednet.corruptions import GaussianNoise
from recipes.recipe import Recipe

VALIDATION = {f"sigma {sigma}": GaussianNoise((sigma, sigma)) for sigma in (10, 30, 50)}

# The paper: patches of 50x50, Adam at a constant 1e-4, mean squared error. It does not give batch size and length.
PAPER = Recipe(
    task="denoise",
    level="blind",
    depth=30,
    channels=1,
    color="gray",
    corruption=GaussianNoise((0, 75)),
    validation=VALIDATION,
    patch_size=50,
    batch_size=32,
    learning_rate=1e-4,
    warmup_steps=0,
    cosine=False,
    clipnorm=None,
    ema_momentum=None,
    precision="float32",
)
FULL_GRAY = dataclasses.replace(
    PAPER,
    patch_size=48,
    batch_size=16,
    learning_rate=5e-4,
    warmup_steps=500,
    cosine=True,
    clipnorm=1.0,
    ema_momentum=0.995,
    precision="mixed_bfloat16",
)
FAST_GRAY = dataclasses.replace(FULL_GRAY, downsample_at=(1,), epochs=30)
FAST_COLOR = dataclasses.replace(FAST_GRAY, channels=3, color="rgb")

RECIPES = {
    "denoise-paper": PAPER,
    "denoise-gray": FULL_GRAY,
    "denoise-fast-gray": FAST_GRAY,
    "denoise-fast-color": FAST_COLOR,
}
