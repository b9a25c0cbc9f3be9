"""Patches per second that tf.data makes for each task, against what a training step takes.

    python tests/benchmark/input_pipeline.py FOLDER... [--csv FILE]

Both run on this machine, one after the other, so the ratio says how many such machines' training one pipeline can feed.
"""

import argparse
import csv
import itertools
import sys
import time
from pathlib import Path

import tensorflow as tf

from keras_rednet import dataset
from recipes import deblock, deblur, denoise, inpaint, super_resolution, train

BASES = [
    denoise.BLIND,
    denoise.BLIND_COLOR,
    super_resolution.BLIND,
    deblock.BLIND,
    deblur.DISK,
    inpaint.TEXT,
    inpaint.SCRATCH,
]
WARM_UP, BATCHES, STEPS = 20, 200, 10


def patches(recipe, images):
    options = {key: getattr(recipe, key) for key in ("color", "patch_size", "batch_size", "seed")}
    epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
    return dataset.training_patches(images, recipe.corruption, patches_per_image=64, epoch=epoch, **options).repeat()


def pipeline_speed(recipe, images):
    batches = iter(patches(recipe, images))
    for _ in itertools.islice(batches, WARM_UP):
        pass
    start = time.perf_counter()
    for _ in itertools.islice(batches, BATCHES):
        pass
    return BATCHES * recipe.batch_size / (time.perf_counter() - start)


def training_speed(recipe, images):
    _, model = train.compiled(recipe, STEPS)
    (batch,) = patches(recipe, images).take(1)
    model.train_on_batch(*batch)
    start = time.perf_counter()
    for _ in range(STEPS):
        model.train_on_batch(*batch)
    return STEPS * recipe.batch_size / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="clean images")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table there as well")
    options = parser.parse_args()
    paths = [path for folder in options.folders for path in dataset.list_images(folder)]
    images = dataset.from_files(dataset.usable(paths, patch_size=denoise.BLIND.patch_size))
    rows = []
    for base in BASES:
        fast = {recipe.name: recipe for recipe in train.RECIPES.values()}[base.name.replace("red30", "red30-fast")]
        speeds = pipeline_speed(fast, images), training_speed(fast, images)
        rows.append((fast.name, *map(round, speeds), round(speeds[0] / speeds[1], 1)))
        print("{}: pipeline {}, training step {} patches/s, ratio {}".format(*rows[-1]), flush=True)
    if options.csv:
        with options.csv.open("w", newline="") as file:
            csv.writer(file).writerows([("recipe", "pipeline", "training", "ratio"), *rows])


if __name__ == "__main__":
    sys.exit(main())
