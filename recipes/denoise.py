"""Gaussian denoising (Sec. 5.2, Tables 1-3): the paper's setting, and that of the shipped weights.

    python -m recipes.train denoise-fast-gray --data bsds500/train t91 --out runs/denoise-fast-gray

`-fast` recipes down-sample at the first convolution (Sec. 4.5): 40-93 patches a second on two server cores, by what
else they did. recipes/results/denoise.csv holds what the shipped weights reach.
"""

import dataclasses

from keras_rednet.corruptions import GaussianNoise
from keras_rednet.metrics import negative_psnr
from recipes.recipe import Recipe

VALIDATION = {f"sigma {sigma}": GaussianNoise((sigma, sigma)) for sigma in (10, 30, 50)}

# The loss counts decibels: under squared or absolute error large sigmas drown small ones. Patches are
# large because zero padding reaches 30 layers deep: a network trained on 48x48 gained 0.15 dB on whole photographs in
# its first 2,000 patches of 96x96. The batch is small because early on more steps help more than larger ones.
GRAY = Recipe(
    task="denoise",
    level="blind",
    depth=30,
    channels=1,
    color="gray",
    corruption=GaussianNoise((0, 75)),
    validation=VALIDATION,
    patch_size=96,
    patches_per_image=8,
    batch_size=4,
    epochs=28,
    learning_rate=1e-3,
    warmup_steps=500,
    cosine=True,
    loss=negative_psnr,
    clipnorm=1.0,
    ema_momentum=0.995,
    precision="mixed_bfloat16",
    validate_every=2,
)
FAST_GRAY = dataclasses.replace(GRAY, downsample_at=(1,))
FAST_COLOR = dataclasses.replace(FAST_GRAY, channels=3, color="rgb", epochs=18)
# These go on from whichever version is shipped; each record counts its own patches only. Up to gray v3 and colour v1
# the patches were 48x48, 16 in a batch. Gray v3 came from v2, the 6th epoch of 8 at 5e-4, and that from v1, trained by
# absolute error ("mae") for 28 epochs, of which the 20th was kept.
FAST_GRAY_ON = dataclasses.replace(FAST_GRAY, start_from="red30-fast-denoise-blind-gray", learning_rate=5e-4)
FAST_COLOR_ON = dataclasses.replace(
    FAST_COLOR, start_from="red30-fast-denoise-blind-color", learning_rate=5e-4, epochs=16
)

# The paper: patches of 50x50, Adam at a constant 1e-4, mean squared error. It gives neither batch size nor length.
PAPER = dataclasses.replace(
    GRAY,
    patch_size=50,
    patches_per_image=32,
    batch_size=32,
    learning_rate=1e-4,
    warmup_steps=0,
    cosine=False,
    loss="mse",
    clipnorm=None,
    ema_momentum=None,
    precision="float32",
)

RECIPES = {
    "denoise-paper": PAPER,
    "denoise-gray": GRAY,
    "denoise-fast-gray": FAST_GRAY,
    "denoise-fast-gray-on": FAST_GRAY_ON,
    "denoise-fast-color": FAST_COLOR,
    "denoise-fast-color-on": FAST_COLOR_ON,
}
