"""Restores a photograph that ships with the package: `make demo`, or `python -m recipes.demo`.

Adds noise of sigma 30 to the photograph, as 8-bit pixels, and removes it again. Writes demo/noisy.png,
demo/restored.png and demo/comparison.png.
"""

from pathlib import Path

import numpy as np
from PIL import Image

import keras_rednet
from keras_rednet import RED30, psnr, restore
from keras_rednet.corruptions import GaussianNoise
from keras_rednet.dataset import keep_tensorflow_off_gpus
from keras_rednet.weights import written_whole

SAMPLE = Path(keras_rednet.__file__).parent / "samples" / "chelsea.png"
SIGMA = 30
GAP = 8  # pixels between the pictures of the comparison


def main(out="demo"):
    keep_tensorflow_off_gpus()
    out = Path(out)
    out.mkdir(exist_ok=True)
    with Image.open(SAMPLE) as image:
        clean = np.asarray(image.convert("RGB"))
    noise = GaussianNoise(sigma_range=(SIGMA, SIGMA))
    noisy = np.asarray(noise(clean / np.float32(255), seed=(0, 0)))
    noisy = np.rint(255 * noisy.clip(0, 1)).astype(np.uint8)

    model = RED30(task="denoise", channels=3, downsample_at=(1,))
    restored = restore(model, noisy)

    pictures = {"noisy": noisy, "restored": restored, "comparison": _side_by_side(noisy, restored, clean)}
    for name, pixels in pictures.items():
        with written_whole(out / f"{name}.png") as path:
            Image.fromarray(pixels).save(path)
    before, after = (psnr(clean, pixels, data_range=255) for pixels in (noisy, restored))
    print(
        f"PSNR {before:.2f} dB before, {after:.2f} dB after. See {out / 'comparison.png'}: noisy, restored, original."
    )


def _side_by_side(*pictures):
    gap = np.full((pictures[0].shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], axis=1)


if __name__ == "__main__":
    main()
