"""Builds the TFLite files of shipped weights: `python -m export.tflite --data bsds500/train --out dist`.

The folder holds clean images, which are corrupted to calibrate 8-bit files; no test images. Of each network:

    NAME-float32.tflite, NAME-float16.tflite, NAME-dynamic.tflite, NAME-int8.tflite    any size: Android, iOS, desktop
    NAME-512x512-float16.tflite, NAME-512x512-int8.tflite                              browsers and GPU delegates

and beside each the JSON that stands in it. `python -m export.parity` then scores them. Networks for deblurring get no
8-bit files, denoisers no dynamic ones, and those for inpainting no int8 ones; earlier ones in the folder are deleted.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_rednet import dataset, weights
from keras_rednet.tflite import export_tflite, stands, with_drawings
from recipes import train
from recipes.evaluate import network
from recipes.recipe import stem

SIDE = 512
KINDS = {
    "float32": {},
    "float16": {"quantize": "float16"},
    "dynamic": {"quantize": "dynamic"},
    "int8": {"quantize": "int8"},
    f"{SIDE}x{SIDE}-float16": {"quantize": "float16", "size": (SIDE, SIDE)},
    f"{SIDE}x{SIDE}-int8": {"quantize": "int8", "size": (SIDE, SIDE)},
}
PATCH, PATCHES = 96, 100  # of the calibration


def build(name, images, out, kinds=tuple(KINDS)):
    """Writes the TFLite files of shipped weights into the folder `out`.

    Args:
        name: of shipped weights.
        images: paths of clean images.
        out: folder, made if missing.
        kinds: which files, keys of `KINDS`.

    Returns:
        list of paths.
    """
    name = weights.versioned(name)
    out.mkdir(parents=True, exist_ok=True)
    record = weights.record(name)
    recipe = train.RECIPES[stem(record["network"])]
    about = weights.about(name, record)
    paths = []
    for kind in kinds:
        options, path = dict(KINDS[kind]), out / f"{name}-{kind}.tflite"
        if not stands(recipe.task, options.get("quantize")):
            for file in (path, path.with_suffix(".json")):
                file.unlink(missing_ok=True)
            continue
        if options.get("quantize") == "int8":
            options["calibration"] = with_drawings(samples(recipe, images), recipe.task)
        described = export_tflite(network(name), path, metadata=about, **options)
        print(f"{path}  {path.stat().st_size:,} bytes  {described['precision']}", flush=True)
        paths.append(path)
    return paths


def released(folder):
    """Returns {path: what stands beside it} of the TFLite files of a folder.

    Raises:
        ValueError: some are of weights that are not shipped, of an earlier version perhaps.
    """
    beside = {path: path.with_suffix(".json") for path in sorted(folder.glob("*.tflite"))}
    files = {path: json.loads(record.read_text()) if record.is_file() else {} for path, record in beside.items()}
    shipped = weights.records()
    if strange := [path.name for path, metadata in files.items() if metadata.get("weights") not in shipped]:
        raise ValueError(f"Delete the files of weights that are not shipped, or not any more: {', '.join(strange)}.")
    return files


def samples(recipe, images):
    """Yields corrupted patches as a camera would store them, float32 [PATCH, PATCH, c] in steps of 1/255."""
    patches = dataset.training_patches(
        dataset.from_files(dataset.usable(images, patch_size=PATCH)),
        recipe.corruption,
        color=recipe.color,
        patch_size=PATCH,
        patches_per_image=1,
        batch_size=1,
        epoch=tf.Variable(0, dtype=tf.int64, trainable=False),
        seed=0,
    )
    for corrupted, _ in patches.take(PATCHES):
        yield np.rint(255 * np.clip(corrupted[0], 0, 1)) / 255


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m export.tflite", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of shipped weights; all without it")
    parser.add_argument("--data", nargs="+", required=True, metavar="FOLDER", help="clean images, no test images")
    parser.add_argument("--out", type=Path, default=Path("dist"), metavar="FOLDER")
    options = parser.parse_args(arguments)
    try:
        released(options.out)  # which export.parity would find after all have been built
    except ValueError as error:
        parser.error(str(error))
    training, _ = train.split(options.data)
    for name in options.names or sorted(weights.records()):
        build(name, training, options.out)


if __name__ == "__main__":
    main()
