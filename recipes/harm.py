"""What the shipped networks do where there is nothing to do: `python -m recipes.harm --data DATASETS`.

Restores the clean images of LIVE1 with every shipped fast network, scores the result against them, and tells the
largest value in a feature map, since half precision ends at 65504; for inpainting, says by how many gray levels the
pixels change that nothing was drawn over. Writes recipes/results/harm.csv, a row per network, kind of input and image,
and the README's table; rows of networks that have not changed are kept, so it goes on where it was interrupted.
"""

import argparse

import numpy as np

from keras_rednet import dataset, psnr, restore, weights
from recipes import csv_table, tables
from recipes.bound import largest
from recipes.evaluate import network
from recipes.experiments import EXPERIMENTS, images

RESULTS = tables.RESULTS / "harm.csv"
IMAGES = "LIVE1"
CLEAN = "clean"
VISIBLE = 40  # dB: below it a change is likely to be seen
RUN = ("weights", "sha256", "images", "input", "corruption")
COLUMNS = (*RUN, "image", "psnr", "largest_feature_map", "mean_change_of_clean_pixels")


def measure(name, clean):
    """Returns the rows of a network.

    Args:
        name: of shipped weights.
        clean: list of (file name, float32 [h, w, c] in [0, 1]).
    """
    model, rows = network(name), []
    peak = largest(model)
    for kind, corruption in _inputs(name).items():
        for i, (file, image) in enumerate(clean):
            row = dict.fromkeys(COLUMNS, "") | _run(name, kind, corruption) | {"image": file}
            if corruption is None:
                row["psnr"] = f"{psnr(image, np.clip(restore(model, image), 0, 1), data_range=1):.2f}"
                row["largest_feature_map"] = f"{peak(image):.4g}"
            else:
                row["mean_change_of_clean_pixels"] = f"{_change(model, image, corruption, i):.3f}"
            rows.append(row)
    return rows


def _inputs(name):
    """Returns {kind: corruption or None} of what a shipped network is fed."""
    described = weights.records()[name]["network"]
    drawn = {run.level: run.corruption for run in EXPERIMENTS if run.task == "inpaint" and run.fits(described)}
    return {CLEAN: None} | drawn


def _run(name, kind, corruption):
    return dict(zip(RUN, (name, weights.records()[name]["sha256"], IMAGES, kind, repr(corruption)), strict=True))


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
    shipped = sorted(weights.records().items())
    records = {name: record for name, record in shipped if record["network"]["downsample_at"] == [1]}
    rows = {name: _kept(name) for name in records}
    for name, record in records.items():
        if not rows[name]:
            rows[name] = measure(name, list(images(options.data, IMAGES, record["recipe"]["color"])))
        print(table(rows[name]).splitlines()[-1], flush=True)
        every = [row for measured in rows.values() for row in measured]
        csv_table.write(RESULTS, COLUMNS, every)
    tables.write_section("harm", "recipes.harm", table(every))


def table(rows):
    """Returns the README's table, in Markdown."""
    lines = [
        f"| network | a clean photograph, before to after, in dB: median | lowest | under {VISIBLE} dB | largest "
        "value in a feature map | clean pixels beside what was drawn, gray levels |",
        "|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["weights"] for row in rows):
        values, peak = {}, 0
        for row in rows:
            if row["weights"] == name:
                values.setdefault(row["input"], []).append(float(row["psnr"] or row["mean_change_of_clean_pixels"]))
                peak = max(peak, float(row["largest_feature_map"] or 0))
        clean = values.pop(CLEAN)
        seen = f"{sum(score < VISIBLE for score in clean)} of {len(clean)}"
        changes = ", ".join(f"{kind}: {np.mean(levels):.2f}" for kind, levels in values.items())
        lines.append(f"| {name} | {np.median(clean):.1f} | {min(clean):.1f} | {seen} | {peak:,.0f} | {changes} |")
    return "\n".join(lines)


def _kept(name):
    """Returns the rows that are there of the same weights and inputs, with all columns."""
    rows = [row for row in csv_table.read(RESULTS) if row["weights"] == name and row.keys() == set(COLUMNS)]
    wanted = [_run(name, kind, corruption) for kind, corruption in _inputs(name).items()]
    found = [{key: row.get(key) for key in RUN} for row in rows]
    return rows if all(run in found for run in wanted) and all(run in wanted for run in found) else []


if __name__ == "__main__":
    main()
