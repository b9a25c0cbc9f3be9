"""What the shipped networks do where there is nothing to do: `python -m recipes.harm --data DATASETS`.

Restores the clean images of LIVE1 with every shipped network of the fast RED30 and scores the result against them; and,
for inpainting, says by how many gray levels the pixels change that nothing was drawn over. Writes
recipes/results/harm.csv, a row per network and kind of input, and the README's table; rows of networks that have not
changed are kept.
"""

import argparse
import csv

import numpy as np

from keras_rednet import dataset, psnr, restore, weights
from keras_rednet.weights import written_whole
from recipes import tables
from recipes.evaluate import network
from recipes.experiments import EXPERIMENTS, images

RESULTS = tables.RESULTS / "harm.csv"
IMAGES = "LIVE1"
COLUMNS = ("weights", "sha256", "images", "input", "psnr", "lowest_psnr", "mean_change_of_clean_pixels")


def measure(name, clean):
    """Returns the rows of a network.

    Args:
        name: of shipped weights.
        clean: list of float32 [h, w, c] images in [0, 1].
    """
    record = weights.records()[name]
    model, described = network(name), record["network"]
    row = {"weights": name, "sha256": record["sha256"], "images": IMAGES}
    scores = [psnr(image, np.clip(restore(model, image), 0, 1), data_range=1) for image in clean]
    rows = [row | {"input": "clean", "psnr": f"{np.mean(scores):.2f}", "lowest_psnr": f"{min(scores):.2f}"}]
    for experiment in EXPERIMENTS:
        if experiment.task != "inpaint" or not experiment.fits(described):
            continue
        changes = [_change(model, image, experiment.corruption, i) for i, image in enumerate(clean)]
        rows.append(row | {"input": experiment.level, "mean_change_of_clean_pixels": f"{np.mean(changes):.3f}"})
    return rows


def _change(model, clean, corruption, number):
    """Returns the mean change, in gray levels, of the pixels that the corruption left alone."""
    corrupted = np.asarray(corruption(clean, (0, number)))
    untouched = np.all(corrupted == clean, axis=2)
    return 255 * np.abs(restore(model, corrupted) - corrupted)[untouched].mean()


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, metavar="DATASETS", help="the folder of test images")
    options = parser.parse_args(arguments)
    dataset.keep_tensorflow_off_gpus()
    rows = []
    for name, record in sorted(weights.records().items()):
        described = record["network"]
        if (described["depth"], described["downsample_at"]) == (30, [1]):
            rows += _kept(name, record) or measure(name, _clean(options.data, record))
            print(*rows[-1].values(), flush=True)
    with written_whole(RESULTS) as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    tables.write_section("harm", "recipes.harm", table(rows))


def table(rows):
    """Returns the README's table, in Markdown."""
    lines = [
        "| network | a clean photograph, before to after, in dB: mean | lowest | clean pixels beside what was drawn, "
        "gray levels |",
        "|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["weights"] for row in rows):
        clean, *drawn = (row for row in rows if row["weights"] == name)
        changes = ", ".join(f"{row['input']}: {float(row['mean_change_of_clean_pixels']):.2f}" for row in drawn)
        lines.append(f"| {name} | {clean['psnr']} | {clean['lowest_psnr']} | {changes} |")
    return "\n".join(lines)


def _kept(name, record):
    """Returns the rows that are there of the same weights."""
    same = name, record["sha256"]
    return [row for row in tables.read(RESULTS) if (row["weights"], row["sha256"]) == same]


def _clean(data, record):
    return [image for _, image in images(data, IMAGES, record["recipe"]["color"])]


if __name__ == "__main__":
    main()
