"""Gaussian denoising (Sec. 5.2, Tables 1-3): a level per sigma, and "blind", one network for all.

    python -m recipes.train red30-fast-denoise-blind-gray --data bsds500/train t91 --out runs/gray

`-fast` recipes down-sample at the first convolution (Sec. 4.5): 20 patches of 96x96 a second on two server cores (8 in
float32 on two that are slow at bfloat16, which training then chooses). recipes/results/denoise.csv holds what the
shipped weights reach. None of them began afresh; to go on from them:

    python -m recipes.train red30-fast-denoise-blind-gray --start-from red30-fast-denoise-blind-gray \
        --learning-rate 5e-4 --data bsds500/train t91 --out runs/gray-on

Each record counts its own patches only. Gray fast v5 went on from v4 at 1e-3 (`--epochs 60`, ended after the 52nd),
which gave 0.07 dB of validation PSNR at sigma 10 and 0.04 at 30, and then by a last stage, 0.10 and 0.03 more:

    python -m recipes.train red30-fast-denoise-blind-gray-last --start-from runs/gray-on/weights.npz \
        --epochs 24 --learning-rate 5e-4 --data bsds500/train t91 --out runs/gray-last

Up to gray v3 and colour v1 patches were 48x48, 16 in a batch. Gray v3 came from v2, the 6th epoch of 8 at 5e-4, and
that from v1, trained by absolute error ("mae") for 28 epochs, of which the 20th was kept.

Without down-sampling a step takes four times as long (RED30: 5 patches of 96x96 a second). Gray RED20 v1 was trained
afresh, with `--patch-size 64 --epochs 22`, and RED30 v1 grew from it:

    python -m recipes.train red30-denoise-blind-gray --start-from red20-denoise-blind-gray --learning-rate 5e-4 \
        --epochs 7 --patches-per-image 4 --data bsds500/train t91 --out runs/red30

v2 went on from v1 with patches of 48x48, which are to a network without down-sampling what those of 96x96 are to a fast
one, in a quarter of the time; the run ended after the 16th epoch. Then came a last stage of 96x96, in which the fast
network is the teacher:

    python -m recipes.train red30-denoise-blind-gray --start-from red30-denoise-blind-gray --patch-size 48 \
        --patches-per-image 16 --epochs 24 --data bsds500/train t91 --out runs/small
    python -m recipes.train red30-denoise-blind-gray-last --start-from runs/small/weights.npz \
        --teacher red30-fast-denoise-blind-gray --learning-rate 5e-4 --epochs 8 --patches-per-image 4 \
        --data bsds500/train t91 --out runs/last

Both went on from these on a GPU, with JAX, which trained on 3,500 to 5,300 patches of 96x96 a second, whole or fast
(NVIDIA H200, bfloat16, 16 cores for the pipeline): RED30 v3 on 1,526,272 of the last stage's noise and then on 555,008
of even noise, which took 0.03 dB of validation PSNR at sigma 10 and gave 0.02, 0.03 and 0.04 at 30, 50 and 70; fast v6
on the last stage's noise, ended after the 6th epoch.

    python -m recipes.train red30-denoise-blind-gray-last --start-from red30-denoise-blind-gray --batch-size 64 \
        --epochs 11 --patches-per-image 512 --data bsds500/train t91 --out runs/whole
    python -m recipes.train red30-denoise-blind-gray --start-from runs/whole/weights.npz --batch-size 64 \
        --epochs 4 --patches-per-image 512 --data bsds500/train t91 --out runs/more
    python -m recipes.train red30-fast-denoise-blind-gray-last --start-from red30-fast-denoise-blind-gray \
        --batch-size 64 --epochs 8 --patches-per-image 256 --data bsds500/train t91 --out runs/fast

Fast v7 is the first gray one that saw rounded noise: from v6 186,448 patches in three runs, even noise at 6e-4 (the
56th epoch of `--epochs 60`), the last stage at 2e-4 (`--epochs 10`) and even noise at 4e-4 (`--epochs 20`), up to 45 a
second on two cores with bfloat16. They gave 0.46 and 1.07 dB where noise of sigma 30 and 50 was rounded and took 0.04
at sigma 10, 0.02 at 30. The mean of these weights and v6's gave 0.01 of either back, and took 0.09 and 0.30 of rounded
noise, which the last stage again, 21,680 patches, gave back, with 0.02 more at sigma 10:

    python -m recipes.blend red30-fast-denoise-blind-gray runs/even/weights.npz --share 0.8 \
        --data bsds500/train t91 --out runs/blend
    python -m recipes.train red30-fast-denoise-blind-gray-last --start-from runs/blend/weights.npz \
        --learning-rate 2e-4 --epochs 10 --data bsds500/train t91 --out runs/gray-end

It has 33.27, 27.72, 25.53 and 24.23 dB at sigma 10, 30, 50 and 70 (v6: 33.28, 27.72, 25.53 and 24.24), and 27.73 and
25.47 where noise of sigma 30 and 50 was rounded (27.27 and 24.41).

At v1 and 1e-3, after 4,336 patches of 96x96, a teacher gave 0.03 dB of validation PSNR at sigma 30, 50 and 70, and took
0.02 at 10.

Gray fast RED10 v1 was trained afresh with `--epochs 16`, 22 minutes on one core, and RED10 v1 with `--patch-size 48
--patches-per-image 16 --epochs 10`, 12 minutes on two. Gray fast RED20 v1 began as the outer layers of fast RED30 v6,
which before any training reached 33.16, 27.67, 25.50 and 24.20 dB of validation PSNR at sigma 10, 30, 50 and 70 (v6:
33.28, 27.72, 25.53 and 24.24). It is the 24th epoch of 26, 52,032 patches, which gave 0.06 dB at 10:

    python -m recipes.train red20-fast-denoise-blind-gray-last --start-from red30-fast-denoise-blind-gray \
        --epochs 26 --data bsds500/train t91 --out runs/red20-fast

v2, the first that saw rounded noise, went on from v1, taught by fast v7, in three runs, 73,712 patches, up to 45 a
second on two cores with bfloat16: even noise at 1e-3 (`--epochs 14`) and the last stage twice, before the second a mean
with v1, which gave back the 0.01 dB that the others had taken at sigma 10:

    python -m recipes.train red20-fast-denoise-blind-gray-last --start-from runs/red20-even/weights.npz \
        --teacher red30-fast-denoise-blind-gray --learning-rate 4e-4 --epochs 10 \
        --data bsds500/train t91 --out runs/red20
    python -m recipes.blend red20-fast-denoise-blind-gray runs/red20/weights.npz --share 0.8 \
        --data bsds500/train t91 --out runs/red20-blend
    python -m recipes.train red20-fast-denoise-blind-gray-last --start-from runs/red20-blend/weights.npz \
        --teacher red30-fast-denoise-blind-gray --learning-rate 2e-4 --epochs 10 \
        --data bsds500/train t91 --out runs/red20-end

It has 33.23, 27.69, 25.50 and 24.19 dB (v1: 33.23, 27.67, 25.49 and 24.19), and 27.70 and 25.42 where noise of sigma 30
and 50 was rounded (27.25 and 24.42).

Gray RED20 v2 began as the outer layers of RED30 v3, and learned from the fast RED30. 15,176 patches, 8 a second on two
cores, gave 33.26, 27.69, 25.47 and 24.17 dB, more than 0.3 above v1's at 10, 30 and 50:

    python -m recipes.train red20-denoise-blind-gray --start-from red30-denoise-blind-gray \
        --teacher red30-fast-denoise-blind-gray --learning-rate 5e-4 --epochs 7 \
        --data bsds500/train t91 --out runs/red20-on

Gray fast RED10 v2 went on from v1, taught by the fast RED30 as well, which gave 0.20, 0.14, 0.14 and 0.17 dB:

    python -m recipes.train red10-fast-denoise-blind-gray --start-from red10-fast-denoise-blind-gray \
        --teacher red30-fast-denoise-blind-gray --epochs 8 --data bsds500/train t91 --out runs/red10-fast

v3 from v2, in two such runs, of `--epochs 16` and, from the first's weights.npz, `--epochs 12`, in float32, 9 patches a
second, other work beside, on two cores without AVX-512: 60,704 patches, which gave 0.31, 0.26, 0.24 and 0.25 dB. v4
from v3 in one of `--epochs 30`, 65,040 patches: 0.18, 0.14, 0.13 and 0.15 dB more. v5 from v4 in three, taught by fast
v7, with rounded noise, 91,056 patches, up to 75 a second on two cores with bfloat16: even noise at 1e-3 (`--epochs
16`), the last stage at 5e-4 (14) and even noise at 3e-4 (12), which gave 0.08, 0.04, 0.03 and 0.02 dB, and 0.18 and
0.25 where noise of sigma 30 and 50 was rounded.

RED10 v2 came as fast RED10 v2 did, 12 patches a second, which gave 0.16, 0.16, 0.14 and 0.14 dB:

    python -m recipes.train red10-denoise-blind-gray --start-from red10-denoise-blind-gray \
        --teacher red30-fast-denoise-blind-gray --epochs 8 --data bsds500/train t91 --out runs/red10

RED30 v3, which knows what its teacher knows, gained nothing so, nor from the teacher's mean over four orientations.

Rounded noise it would learn, at a price: 34,688 patches from v3, taught by fast v7, 11 a second on two cores with
bfloat16, and from the mean of the two 13,008 more at 1e-4, so taught (the 6th epoch of `--epochs 10`), gave 0.54 and
1.13 dB where noise of sigma 30 and 50 was rounded, and took 0.05 at sigma 10 and 0.03 to 0.04 from 30 on. The mean with
v3 once more gave 0.23 and 0.37 and took 0.008 at 10 on validation images, but up to 0.026 at 10 and 0.017 from 30 on in
Classic16 and Set12, and is not shipped:

    python -m recipes.train red30-denoise-blind-gray --start-from red30-denoise-blind-gray \
        --teacher red30-fast-denoise-blind-gray --learning-rate 4e-4 --epochs 16 --data bsds500/train t91 --out runs/on
    python -m recipes.blend red30-denoise-blind-gray runs/on/weights.npz --share 0.5 --data bsds500/train t91 \
        --out runs/on-blend

Patches of 192x192, of which padding spoils less, gave no better, from that mean, at 2e-4: after 3,616 without a teacher
33.31, 27.71, 25.47 and 24.15 dB, and 27.71 and 25.36 where noise of sigma 30 and 50 was rounded (v3: 33.34, 27.74,
25.51 and 24.20, and 27.16 and 24.25), and after 1,808 more, taught by fast v7's mean over four orientations, 33.28,
27.70, 25.48 and 24.16, and 27.70 and 25.37. A teacher there is: the mean of what v3 and fast v7 restore has 33.39,
27.79, 25.58 and 24.28 dB on white noise.

Networks for one sigma went on from fast RED30 v6, 17,344 patches each. A network for sigma 10 gained 0.10 dB on the
validation images and is shipped; those for 30, 50 and 70 gained 0.02, less than a file is worth (recipes/ship.py):

    python -m recipes.train red30-fast-denoise-10-gray --start-from red30-fast-denoise-blind-gray \
        --learning-rate 5e-4 --epochs 8 --data bsds500/train t91 --out runs/sigma10

Colour v3 went on from v2 with `--epochs 38`, at the recipe's 1e-3, and v4 from v3 as gray v5 did: `--epochs 66`, ended
after the 54th, and then a last stage, which gave 0.10 dB of validation PSNR at sigma 10 and took 0.11 at 70:

    python -m recipes.train red30-fast-denoise-blind-color-last --start-from runs/color/weights.npz \
        --epochs 16 --learning-rate 5e-4 --data bsds500/train t91 --out runs/color-last

v5 went on from v4 in the same two stages, of `--epochs 44` at 1e-3 and of `--epochs 12 --learning-rate 3e-4`, 121,408
patches in 53 minutes of two cores with bfloat16: 35.50, 29.59, 27.10 and 25.44 dB at sigma 10, 30, 50 and 70 (v4:
35.46, 29.53, 27.00 and 25.24). v6 is the first that saw rounded noise, 268,832 patches in five runs, up to 42 a second:
from v5 the last stage at 1e-3 (`--epochs 24`), even noise twice (`--epochs 36`, and the 44th epoch of `--epochs 46`),
the last stage again and some even noise in the end, which gave back what the last stage takes from strong noise:

    python -m recipes.train red30-fast-denoise-blind-color-last --start-from runs/even2/weights.npz \
        --epochs 12 --learning-rate 3e-4 --data bsds500/train t91 --out runs/color-last
    python -m recipes.train red30-fast-denoise-blind-color --start-from runs/color-last/weights.npz \
        --epochs 8 --learning-rate 2e-4 --data bsds500/train t91 --out runs/color-end

It has 35.49, 29.60, 27.11 and 25.47 dB, and on CBSD68 29.82 and 27.20 where noise of sigma 30 and 50 was rounded (v5:
29.34 and 26.24, denoise.csv of commit 3af804c). After the first of the five white noise had 35.45, 29.49, 26.94 and
25.13: it took the others to learn both.

Colour RED30 v1 began as gray RED30 v3, for the mean of the channels (recipes/grow.py mixes them in other ways since),
and saw 95,744 patches of 48x48, 95 minutes of two cores. It has 35.53, 29.54, 27.02 and 25.42 dB of validation PSNR at
sigma 10, 30, 50 and 70; the fast v4 has 35.46, 29.53, 27.00 and 25.24:

    python -m recipes.train red30-denoise-blind-color --start-from red30-denoise-blind-gray --patch-size 48 \
        --patches-per-image 16 --epochs 22 --data bsds500/train t91 --out runs/whole-color

A last stage of 96x96 with the fast one as its teacher, over four orientations, was 0.03 dB below that after 8,672
patches at 5e-4, and ended there.

Colour fast RED20 v1 began as the outer layers of fast RED30 v4. 21,680 patches, 9 a second on two cores in float32,
gave 35.41, 29.54, 27.05 and 25.36 dB: less than that RED30 at sigma 10 alone, which its last stage had favoured. v2 did
not go on from v1, which after 26,016 patches at 1e-3 had 29.27 and 26.24 dB where noise of sigma 30 and 50 was rounded
and had lost up to 0.27 of white noise (v1: 28.86 and 25.57), but began as the outer layers of fast RED30 v6, which knew
rounded noise: 29.50 and 26.83 after 4,336 patches, then above v1 everywhere. 43,360 patches, 46 a second on two cores
with bfloat16, gave 35.48, 29.59, 27.10 and 25.44 dB, and 29.53 and 26.88 (v6: 29.54 and 26.90):

    python -m recipes.train red20-fast-denoise-blind-color --start-from red30-fast-denoise-blind-color \
        --teacher red30-fast-denoise-blind-color --learning-rate 5e-4 --epochs 20 \
        --data bsds500/train t91 --out runs/red20-color

The first one for JPEGs went on from v1, 30,352 patches: 33.66, 28.62 and 25.99 dB at sigma 10, 30 and 50 as JPEG. v2
began as the outer layers of fast RED30 for JPEGs v2, with that as the teacher; 26,016 patches, up to 46 a second on two
cores with bfloat16, gave 33.67, 28.92 and 26.55:

    python -m recipes.train red20-fast-denoise-jpeg-color --start-from red30-fast-denoise-jpeg-color \
        --teacher red30-fast-denoise-jpeg-color --learning-rate 5e-4 --epochs 12 \
        --data bsds500/train t91 --out runs/red20-jpeg

Fast RED30 for JPEGs, v2, began as blind v5 and saw 169,104 patches in six runs, half of them stored at quality 60 to
98: 34,688 of little noise, then of every strength, a tenth without any, from the third run on a twentieth (26,016
each), from the fourth on with rounded feature maps (30,352; up to 30 a second on two cores with bfloat16), and in the
last two (26,016 each) half of the patches rounded as well, the recipe as it stands:

    python -m recipes.train red30-fast-denoise-jpeg-color --start-from red30-fast-denoise-jpeg-color \
        --learning-rate 3e-4 --epochs 12 --eight-bits --data bsds500/train t91 --out runs/jpeg

It has 33.80, 28.97 and 26.59 dB at sigma 10, 30 and 50 as JPEG. After the third run int8 files lost up to 0.44 dB at
sigma 10; and Set5, where noise of sigma 50 was rounded to 8 bits and not stored as JPEG, had 26.22 dB, now 27.94
(python -m export.parity): what is cut off at black and white it had learned from JPEGs only.

The gray one for JPEGs went on from blind v6, 26,016 patches, up to 45 a second on two cores with bfloat16: 32.90, 27.64
and 25.35 dB at sigma 10, 30 and 50 as JPEG.

    python -m recipes.train red30-fast-denoise-jpeg-gray --start-from red30-fast-denoise-blind-gray \
        --learning-rate 5e-4 --epochs 12 --data bsds500/train t91 --out runs/gray-jpeg

Colour fast RED10 v1 began as gray v4, its filters mixing the channels in random ways, and learned from colour fast
RED20 v1. 65,040 patches, 11 a second, other work beside, gave 34.82, 28.93, 26.39 and 24.70 dB. (Where all filters
began with the mean of the channels, it had 19.24 dB in the mean after 4,336 patches, and so 21.12.)

    python -m recipes.train red10-fast-denoise-blind-color --start-from red10-fast-denoise-blind-gray \
        --teacher red20-fast-denoise-blind-color --epochs 30 --data bsds500/train t91 --out runs/red10-color

Colour fast RED10 for JPEGs v1 went on from v1 and learned from RED20s. v2 went on from blind v1 as well, taught by fast
RED30s, up to 73 patches a second on two cores with bfloat16: by blind v6 in two runs at 1e-3 (`--epochs 16` and 32),
104,064 patches, then by that for JPEGs in three, at 7e-4 (14), 1e-3 (30) and, with rounded feature maps, 3e-4 (8),
112,736 patches. It has 33.31, 28.53 and 26.17 dB at sigma 10, 30 and 50 as JPEG (v1: 33.38, 27.93 and 24.85). The last:

    python -m recipes.train red10-fast-denoise-jpeg-color --start-from runs/red10-jpeg/weights.npz \
        --teacher red30-fast-denoise-jpeg-color --eight-bits --learning-rate 3e-4 --epochs 8 \
        --data bsds500/train t91 --out runs/red10-jpeg-end

After the two runs by v6 and one such more (8), the blind one had 35.13, 29.11, 26.57 and 24.92 dB, and 28.99 and 26.10
where noise of sigma 30 and 50 was rounded (v1: 28.41 and 25.17). That is not shipped as v2: of JPEGs' noise, of which
v1 takes a part, it leaves more, 1.7, 3.0 and 3.4 dB at sigma 10, 30 and 50 on CBSD68.
"""

import dataclasses

from keras_rednet.corruptions import GaussianNoise, JpegCompression, Quantization, Sequence, Sometimes
from keras_rednet.metrics import negative_psnr
from recipes.recipe import HALF_ROUNDED, Recipe, ladder

NOISE = {sigma: GaussianNoise((sigma, sigma)) for sigma in (10, 30, 50, 70)}
WHITE = {f"sigma {sigma}": noise for sigma, noise in NOISE.items()}
ROUNDED = {f"{sigma} rounded": Sequence((NOISE[sigma], Quantization())) for sigma in (30, 50)}

# The loss counts decibels: under squared or absolute error large sigmas drown small ones. Patches are large because
# zero padding reaches 30 layers deep: a network trained on 48x48 gained 0.15 dB on whole photographs in its first 2,000
# patches of 96x96. The batch is small because early on more steps help more than larger ones. Files of 8 bits cut off
# what noise puts beyond black and white, so half of the patches are rounded. (Of the blind networks those saw such that
# are shipped as fast RED30 gray v7 and colour v6, fast RED20 v2 of both, and gray fast RED10 v5.)
EVEN = GaussianNoise((0, 75))
BLIND = Recipe(
    task="denoise",
    level="blind",
    depth=30,
    channels=1,
    color="gray",
    corruption=Sequence((EVEN, HALF_ROUNDED)),
    validation=WHITE | {f"sigma {level}": noise for level, noise in ROUNDED.items()},
    loss=negative_psnr,
)
# A last stage for what users have: most photographs have little noise, so half of the patches are of sigma 0 to 25, and
# the others get more, up to 75.
LITTLE = Sequence((GaussianNoise((0, 25)), Sometimes(GaussianNoise((0, 71)), 0.5), HALF_ROUNDED))
LAST = dataclasses.replace(BLIND, corruption=LITTLE)
COLOR = {"channels": 3, "color": "rgb"}
BLIND_COLOR, LAST_COLOR = (dataclasses.replace(recipe, **COLOR) for recipe in (BLIND, LAST))
FIXED = [
    dataclasses.replace(
        BLIND,
        level=sigma,
        corruption=Sequence((noise, HALF_ROUNDED)),
        validation={name: corruption for name, corruption in BLIND.validation.items() if f"sigma {sigma}" in name},
    )
    for sigma, noise in NOISE.items()
]

# Most noisy photographs are JPEGs, which store colour at half the resolution and so leave noise whose colour is blotchy
# and weaker than its luminance: a network that knows white noise only takes it for detail and keeps it. Of gray ones
# JPEG changes weak noise up to quality 90. These see half of their patches so, half rounded, as of other files, and a
# twentieth without noise, or they would smooth clean photographs (recipes/harm.py). Gray v1 saw no rounded ones.
STORED = JpegCompression((60, 98), random_grid=True)
AS_JPEG = {f"{sigma} as JPEG": Sequence((NOISE[sigma], JpegCompression((90, 90)))) for sigma in (10, 30, 50)}
JPEG = dataclasses.replace(
    BLIND,
    level="jpeg",
    corruption=Sequence((Sometimes(EVEN, 0.95), HALF_ROUNDED, Sometimes(STORED, 0.5))),
    validation=AS_JPEG,
)
JPEG_COLOR = dataclasses.replace(JPEG, **COLOR)

# The paper: patches of 50x50, Adam at a constant 1e-4, mean squared error. It gives neither batch size nor length.
PAPER = dataclasses.replace(
    BLIND,
    corruption=EVEN,
    validation=WHITE,
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

BASES = (BLIND, BLIND_COLOR, JPEG, JPEG_COLOR, *FIXED)
RECIPES = {name: recipe for base in BASES for name, recipe in ladder(base).items()}
RECIPES["denoise-paper"] = PAPER
RECIPES |= {f"{name}-last": recipe for base in (LAST, LAST_COLOR) for name, recipe in ladder(base).items()}
