"""Scores TFLite files beside the Keras models they were made from: `python -m export.parity dist --data DATASETS`.

Every file restores the same 8-bit images as its model does, by LiteRT; one of fixed size those that are not smaller, if
there are any, since it restores smaller ones as a part of one that is reflected, which costs at the border. A row per
file, image set and level goes to recipes/results/parity.csv, in place of that file's older ones, and a table of all to
the README there. A file that loses more than its limit is not released: it is deleted, and the table names the
precision to use instead, also when the others are scored again. (A "dynamic" file stays, with what it loses in the
table.) This is the one place with tolerances. Files of weights that are no longer shipped stop it.
"""

import argparse
import dataclasses
import functools
from pathlib import Path

import numpy as np

from export.litert.restore import Network
from export.tflite import KINDS, released
from keras_rednet import weights
from keras_rednet.corruptions import GaussianNoise
from keras_rednet.evaluation import Protocol, evaluate
from keras_rednet.restoration import restore
from recipes import csv_table, deblock, deblur, denoise, inpaint, super_resolution, tables
from recipes.evaluate import network
from recipes.experiments import images

COLUMNS = (
    "file",
    "weights",
    "sha256",
    "precision",
    "bytes",
    "file_sha256",
    "images",
    "level",
    "keras",
    "psnr",
    "loss",
    "limit",
    "verdict",
)
NOISE = {f"sigma {sigma}": GaussianNoise((sigma, sigma)) for sigma in (10, 25, 50)}
FINE, COARSE = 0.10, 0.30  # dB; fine detail near the 8-bit steps costs more
LIMITS = {"sigma 10": COARSE, "10 as JPEG": COARSE, "scale 2": COARSE, "scale 3": COARSE, "scale 4": COARSE}
# What to use: float16 loses 0.00 dB wherever it was measured, "dynamic" up to 0.25.
INSTEAD = {"int8": "float16", "float16": "float32", "float32": "Keras"}


@dataclasses.dataclass(frozen=True)
class Trial:
    """A corruption of an image set by which files are compared."""

    images: str
    level: str
    corruption: object
    protocol: Protocol


def trials(metadata):
    """Returns the trials of a file, by its metadata."""
    task, color, level = (metadata[key] for key in ("task", "color", "level"))
    every = level in ("blind", "jpeg")
    scales = {f"scale {scale}": corruption for scale, corruption in super_resolution.SCALES.items()}
    noise = NOISE | denoise.AS_JPEG if level == "jpeg" else NOISE
    if level == "jpeg":
        scales |= {f"scale {key}": corruption for key, corruption in super_resolution.AS_JPEG.items()}
    name, corruptions = {
        "denoise": ("Set12" if color == "gray" else "Set5", noise if every else denoise.WHITE),
        "super_resolution": ("Set5", scales),
        "deblock": ("LIVE1", {f"quality {quality}": corruption for quality, corruption in deblock.QUALITIES.items()}),
        "deblur": ("LIVE1", deblur.BLURS),
        "inpaint": ("LIVE1", inpaint.TEXT.validation | inpaint.SCRATCH.validation),
    }[task]
    chosen = {key: value for key, value in corruptions.items() if every or str(level) in key.split()}
    for key, corruption in chosen.items():
        scale = int(key.split()[1]) if task == "super_resolution" else 1
        protocol = Protocol(color=color, multiple=scale, shave=scale if scale > 1 else 0, quantized=True)
        yield Trial(name, key, corruption, protocol)


def parity(folder, data):
    """Scores the TFLite files of a folder, writes recipes/results/parity.csv and returns its rows.

    Args:
        folder: with files of `python -m export.tflite`.
        data: folder of test images, as recipes/experiments.py describes it.

    Raises:
        ValueError: the folder holds no files, or some of weights that are not shipped.
    """
    if not (files := released(folder)):
        raise ValueError(f"{folder} holds no .tflite files: `python -m export.tflite` writes them.")
    shipped = {name: record["sha256"] for name, record in weights.records().items()}
    rows = [row for row in csv_table.read(results()) if shipped.get(row["weights"]) == row["sha256"]]
    for path, metadata in files.items():
        about = {"bytes": path.stat().st_size, "sha256": shipped[metadata["weights"]]}
        about["file_sha256"] = metadata["sha256"]
        scored = [_row(path, metadata, trial, data) | about for trial in trials(metadata)]
        rows = [row for row in rows if row["file"] != path.name] + scored
        rows.sort(key=lambda row: (row["weights"], row["file"]))
        csv_table.write(results(), COLUMNS, rows)
        if any(row["verdict"] for row in scored):
            path.unlink()
            path.with_suffix(".json").unlink()
    return rows


def results():
    """Returns the path of the table."""
    return tables.RESULTS / "parity.csv"


def table(rows):
    """Returns the limits, and a table with a row per network and level and a column per kind of file, in Markdown."""
    losses = {}
    for row in rows:
        kind = row["file"].removeprefix(f"{row['weights']}-").removesuffix(".tflite")
        losses.setdefault((row["weights"], row["images"], row["level"]), {})[kind] = row
    coarse = ", ".join(sorted(LIMITS))
    lines = [f"Files that lose more than {FINE} dB ({COARSE} at {coarse}) are not released, but for dynamic ones.", ""]
    lines += [f"| loss in dB | images | level | {' | '.join(KINDS)} |", "|---|---|---|" + "---|" * len(KINDS)]
    for place, by_kind in losses.items():
        cells = [_cell(by_kind[kind]) if kind in by_kind else "" for kind in KINDS]
        lines.append(f"| {' | '.join([*place, *cells])} |")
    return "\n".join(lines) + "\n"


def _cell(row):
    return f"{float(row['loss']):z.2f}" + (", not released" if row["verdict"] else "")


def _row(path, metadata, trial, data):
    size = metadata["size"] and tuple(metadata["size"])
    expected = _keras(metadata["weights"], trial, data, size)
    runner = Network(path)
    scores = evaluate(
        lambda corrupted: runner.restore_planes(_pixels(corrupted)),
        _pictures(trial, data, size),
        trial.corruption,
        trial.protocol,
    )
    loss = expected - scores[-1]["psnr"]
    limit = LIMITS.get(trial.level, FINE)
    refused = metadata["precision"] != "dynamic" and not loss <= limit  # nor one of NaN
    row = {"file": path.name, "weights": metadata["weights"], "precision": metadata["precision"]}
    row |= {"images": trial.images, "level": trial.level, "keras": f"{expected:.3f}"}
    row |= {"psnr": f"{scores[-1]['psnr']:.3f}", "loss": f"{loss:.3f}", "limit": limit}
    row["verdict"] = f"refused: use {INSTEAD[metadata['precision']]}" if refused else ""
    print(f"{row['file']}  {row['images']} {row['level']}  {row['psnr']} dB, loss {row['loss']}  {row['verdict']}")
    return row


@functools.cache
def _keras(name, trial, data, size):
    scores = evaluate(
        lambda corrupted: restore(network(name), _pixels(corrupted)),
        _pictures(trial, data, size),
        trial.corruption,
        trial.protocol,
    )
    return scores[-1]["psnr"]


def _pictures(trial, data, size):
    """Returns pairs (name, clean): for a file of fixed size, (h, w), those that are not smaller, if there are any."""
    pairs = list(images(data, trial.images, trial.protocol.color))
    large = [(name, clean) for name, clean in pairs if size and np.all(np.less_equal(size, clean.shape[:2]))]
    return large or pairs


def _pixels(corrupted):
    """Returns an image as an 8-bit file holds it, float32 in steps of 1/255."""
    return (np.rint(255 * np.clip(corrupted, 0, 1)) / 255).astype(np.float32)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m export.parity", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of the files")
    parser.add_argument("--data", required=True, metavar="DATASETS", help="the folder of the test images")
    options = parser.parse_args(arguments)
    try:
        parity(options.folder, options.data)
    except ValueError as error:
        parser.error(str(error))
    finally:  # of an interrupted run too
        text = table(csv_table.read(results()))
        tables.write_section("losses", "export.parity", text, readme=tables.RESULTS / "README.md")


if __name__ == "__main__":
    main()
