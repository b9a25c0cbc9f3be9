"""What a method reaches that is told where the text stands: `python -m recipes.masked --data DATASETS`.

The paper sets its network, which has no mask, beside one that has it, FoE (Sec. 5.6), on text whose density it does
not give. This scores scikit-image's biharmonic inpainting with the exact mask beside the shipped networks on the same
pictures, the middles of LIVE1's, and says how much of them is covered. Writes recipes/results/masked.csv, a row per
kind of overlay.
"""

import argparse

import numpy as np
from skimage.restoration import inpaint_biharmonic

from keras_rednet import dataset, psnr, restore, weights
from recipes import csv_table, tables
from recipes.evaluate import network
from recipes.experiments import EXPERIMENTS, images

RESULTS = tables.RESULTS / "masked.csv"
IMAGES = "LIVE1"
SIDE = 256  # pixels, since the time of the biharmonic method grows faster than the picture
COLUMNS = ("weights", "sha256", "images", "level", "covered", "input", "network", "biharmonic with mask")


def measure(name, experiment, clean):
    """Returns the row of a network and a kind of overlay: means over the images.

    Args:
        name: of shipped weights.
        experiment: of inpainting, see recipes/experiments.py.
        clean: list of float32 [h, w, 3] images in [0, 1].
    """
    scores = [_scores(network(name), experiment.corruption, image, (0, i)) for i, image in enumerate(clean)]
    covered, *means = np.mean(scores, axis=0)
    row = {"weights": name, "sha256": weights.record(name)["sha256"], "images": f"{IMAGES}, {SIDE}x{SIDE}"}
    row |= {"level": experiment.level, "covered": f"{covered:.3f}"}
    return row | {column: f"{mean:.2f}" for column, mean in zip(COLUMNS[5:], means, strict=True)}


def _scores(model, overlay, clean, seed):
    corrupted = np.asarray(overlay(clean, seed))
    mask = cover(overlay, clean.shape, seed) > 0
    restored = restore(model, corrupted), inpaint_biharmonic(corrupted, mask, channel_axis=2)
    return mask.mean(), *(psnr(clean, np.clip(image, 0, 1), data_range=1) for image in (corrupted, *restored))


def cover(overlay, shape, seed):
    """Returns how much of each pixel an overlay covers of an image of shape (h, w, c), float32 [h, w] in [0, 1]."""
    return np.asarray(overlay.draw(shape, seed)[0])[..., 0]


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m recipes.masked", description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, metavar="DATASETS", help="the folder of test images")
    options = parser.parse_args(arguments)
    dataset.keep_tensorflow_off_gpus()
    clean = [dataset.middle(image, SIDE) for _, image in images(options.data, IMAGES, "rgb")]
    rows = []
    for name, record in sorted(weights.records().items()):
        for experiment in EXPERIMENTS:
            if experiment.task == "inpaint" and experiment.fits(record["network"]):
                rows.append(measure(name, experiment, clean))
                print(*rows[-1].values(), flush=True)
    csv_table.write(RESULTS, COLUMNS, rows)


if __name__ == "__main__":
    main()
