"""Which network a picture from a JPEG file wants: `python -m recipes.stored --data DATASETS`.

`rednet` denoises and enlarges by the blind network or by the one for JPEGs, as the file was stored: how finely, and
with how much of its colour (`Picture` in keras_rednet/pictures.py). This scores the two beside each other, both fast
RED30, on pictures that were noisy or small when they were stored, the middles of LIVE1's. Writes
recipes/results/stored.csv, a row per network and way to store, and the table beside the results.
"""

import argparse
import dataclasses
import io
import itertools

import numpy as np
from PIL import Image

from keras_rednet import dataset, psnr, weights
from keras_rednet.corruptions import GaussianNoise, LowResolution, Sequence
from recipes import csv_table, tables
from recipes.evaluate import restorer
from recipes.experiments import images

RESULTS = tables.RESULTS / "stored.csv"
IMAGES = "LIVE1"
SIDE = 192  # pixels, a multiple of the scale
COLUMNS = ("task", "level", "quality", "color", "images", "weights", "sha256", "input", "psnr")
QUALITIES = (60, 80, 90, 95, 98)
COLORS = ("gray", "4:2:0", "4:4:4")
LEVELS = (("denoise", 5), ("denoise", 10), ("denoise", 30), ("super_resolution", 2))


@dataclasses.dataclass(frozen=True)
class Stored:
    """Stores an image as JPEG of a quality: "gray", or with colour at half ("4:2:0") or full resolution ("4:4:4")."""

    quality: int
    color: str

    def __call__(self, clean, seed):
        return np.asarray(Image.open(self.file(clean)), np.float32).reshape(clean.shape) / 255

    def file(self, clean):
        """Returns the file of an image [h, w, c] in [0, 1], a `BytesIO`."""
        pixels = np.uint8(np.round(255 * np.clip(clean, 0, 1)))
        image, options = Image.fromarray(pixels[..., 0]), {}
        if self.color != "gray":
            image, options = Image.fromarray(pixels), {"subsampling": self.color}
        file = io.BytesIO()
        image.save(file, "JPEG", quality=self.quality, **options)
        return file


def measure(task, level, stored, clean):
    """Returns a row per network.

    Args:
        task, level: of `LEVELS`.
        stored: how, a `Stored`.
        clean: list of float32 [h, w, c] images in [0, 1].
    """
    if task == "denoise":
        corruption = Sequence((GaussianNoise((level, level)), stored))
    else:
        corruption = LowResolution((level,), stored)
    corrupted = [np.asarray(corruption(image, (0, i))) for i, image in enumerate(clean)]
    row = {"task": task, "level": level, **dataclasses.asdict(stored), "images": f"{IMAGES}, {SIDE}x{SIDE}"}
    row["input"] = _psnr(clean, corrupted)
    rows = []
    for kind in ("blind", "jpeg"):
        channels = clean[0].shape[-1] if task == "denoise" else {"blind": 1, "jpeg": 3}[kind]
        name = weights.find(depth=30, filters=64, downsample_at=(1,), task=task, level=kind, channels=channels)
        restored = _psnr(clean, map(restorer(name), corrupted))
        rows.append(row | {"weights": name, "sha256": weights.record(name)["sha256"], "psnr": restored})
    return rows


def _psnr(clean, others):
    scores = [psnr(image, np.clip(other, 0, 1), data_range=1) for image, other in zip(clean, others, strict=True)]
    return f"{np.mean(scores):.3f}"


def table(rows):
    """Returns rows as a table, in Markdown: in each cell the input, the blind network and the one for JPEGs."""
    lines = ["| | stored | " + " | ".join(f"quality {quality}" for quality in QUALITIES) + " |"]
    lines.append("|---|---|" + "---|" * len(QUALITIES))
    cells = {}
    for row in rows:
        line = cells.setdefault((row["task"], row["level"], row["color"]), {})
        line.setdefault(str(row["quality"]), [row["input"]]).append(row["psnr"])
    for (task, level, color), line in cells.items():
        texts = (" / ".join(f"{float(score):.2f}" for score in line[str(quality)]) for quality in QUALITIES)
        lines.append(f"| {tables.NAMES[task][1].format(level)} | {color} | " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m recipes.stored", description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, metavar="DATASETS", help="the folder of test images")
    options = parser.parse_args(arguments)
    dataset.keep_tensorflow_off_gpus()
    clean = {
        color: [dataset.middle(image, SIDE) for _, image in images(options.data, IMAGES, color)]
        for color in ("gray", "rgb")
    }
    rows = []
    for (task, level), color, quality in itertools.product(LEVELS, COLORS, QUALITIES):
        if (task, color) != ("super_resolution", "gray"):
            rows += measure(task, level, Stored(quality, color), clean["gray" if color == "gray" else "rgb"])
            print(task, level, color, quality, *(row["psnr"] for row in rows[-2:]), flush=True)
    csv_table.write(RESULTS, COLUMNS, rows)
    tables.write_section("stored", "recipes.stored", table(rows), readme=tables.RESULTS / "README.md")


if __name__ == "__main__":
    main()
