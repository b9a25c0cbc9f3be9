"""Pictures of what the fast networks do, for the README: `python -m recipes.before_after`.

Corrupts the photograph that ships with the package, restores it by the network that `rednet` takes, and draws a part of
it corrupted, restored and clean into a picture in recipes/results, for every task and kind of corruption that has one.
"""

from pathlib import Path

import numpy as np

from keras_rednet import dataset
from keras_rednet.metrics import psnr
from keras_rednet.weights import written_whole
from recipes import contact
from recipes.demo import SAMPLE
from recipes.evaluate import restorer, taken
from recipes.experiments import EXPERIMENTS

RESULTS = Path(__file__).parent / "results"
PICTURES = {
    "denoise.png": ("denoise", "30"),
    "super_resolution.png": ("super_resolution", "3"),
    "deblock.png": ("deblock", "10"),
    "deblur-disk.png": ("deblur", "disk"),
    "deblur-gaussian.png": ("deblur", "gaussian"),
    "deblur-motion.png": ("deblur", "motion"),
    "inpaint-text.png": ("inpaint", "text 20"),
    "inpaint-scratch.png": ("inpaint", "scratch"),
}
PART = np.s_[40:168, 120:248]  # the cat's eye
ENLARGED = 2


def picture(task, level):
    """Returns the picture of a task at a level of the tables, a PIL image, or None where it has no shipped network."""
    experiments = (e for e in EXPERIMENTS if (e.task, e.level) == (task, level))
    experiment = max(experiments, key=lambda e: e.channels)  # for colour where there is one
    try:
        name = taken(experiment)
    except ValueError:
        return None
    clean = dataset.read_image(SAMPLE, color="rgb").astype(np.float32) / 255
    multiple = experiment.protocols[0].multiple
    clean = clean[: clean.shape[0] // multiple * multiple, : clean.shape[1] // multiple * multiple]
    corrupted = np.asarray(experiment.corruption(clean, (0, 0)))
    restored = restorer(name)(corrupted)
    shown = {"corrupted": corrupted, "restored": restored, "original": clean}
    row = {}
    for title, image in shown.items():
        score = f", {psnr(clean, np.clip(image, 0, 1), data_range=1):.2f} dB" if image is not clean else ""
        row[f"{title}{score}"] = np.repeat(np.repeat(image[PART], ENLARGED, 0), ENLARGED, 1)
    return contact.sheet({f"{task.replace('_', ' ')} {level}": row})


def main():
    dataset.keep_tensorflow_off_gpus()
    for name, (task, level) in PICTURES.items():
        image = picture(task, level)
        if image is not None:
            with written_whole(RESULTS / name) as path:
                image.save(path, "PNG")
            print(RESULTS / name)


if __name__ == "__main__":
    main()
