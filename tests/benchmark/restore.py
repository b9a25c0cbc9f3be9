"""Times restoring by size, tile, orientations and threads: `python tests/benchmark/restore.py --out runs/restore`.

RED30 and its fast variant, gray, fresh weights, 8-bit pictures of noise with sides of 3:2. Every row is a process of
its own, so that its peak memory is that of its one picture; the network is warm when the clock starts. `of the peak` is
the arithmetic of the network's convolutions (of the picture, without halos) per second, as a part of what a lone 3x3
convolution of 64 maps reaches in the same process. The folder rows compare `rednet denoise` on a folder, files and all,
with the time that the network alone takes for the same pictures. Writes restore.csv and restore.png.
"""

import argparse
import contextlib
import csv
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

NETWORKS = {"RED30": (), "RED30 fast": (1,)}
MEGAPIXELS = (0.04, 0.15, 0.6, 2.4, 10, 24, 100)
DEAREST = {"RED30": 2.4, "RED30 fast": 100}  # megapixels that are still timed
COLUMNS = ("network", "megapixels", "tile", "orientations", "threads", "seconds", "seconds per megapixel",
           "of the peak", "peak MiB")  # fmt: skip
PICTURES = 12  # of the folder, a megapixel each


def rows(most):
    """Returns what to time, a dict for each row."""
    usual = {"tile": "auto", "orientations": 1, "threads": os.cpu_count()}
    for network in NETWORKS:
        for megapixels in MEGAPIXELS:
            if megapixels <= min(most, DEAREST[network]):
                yield {**usual, "network": network, "megapixels": megapixels}
        for tile in (64, 128, 256, 512):
            yield {**usual, "network": network, "megapixels": 0.6, "tile": tile}
        yield {**usual, "network": network, "megapixels": 0.15, "orientations": 8}
        yield {**usual, "network": network, "megapixels": 0.6, "threads": 1}


def once(row):
    """Restores one picture; returns seconds, part of the arithmetic peak, and peak memory in MiB."""
    import numpy as np
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(row["threads"])
    from keras_rednet import RED30, restore
    from keras_rednet.model import size_multiple

    model = RED30(weights=None, downsample_at=NETWORKS[row["network"]])
    kernels = sum(np.prod(layer.kernel.shape) for layer in model.layers if "conv" in layer.name)
    arithmetic = 2 * kernels / size_multiple(model) ** 2  # for each pixel of the picture
    height = round((row["megapixels"] * 1e6 / 1.5) ** 0.5)
    picture = np.random.default_rng(0).integers(0, 256, (height, round(1.5 * height)), np.uint8)
    options = {"tile": row["tile"], "orientations": row["orientations"]}
    restore(model, picture[:200, :300], **options)
    peak = _peak()
    start = time.perf_counter()
    restore(model, picture, **options)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    part = arithmetic * picture.size * row["orientations"] / seconds / max(peak, _peak())
    return {"seconds": seconds, "of the peak": part, "peak MiB": memory}


def _peak(filters=64, side=192, runs=50):
    """Returns the operations a second of one convolution, at its best."""
    import numpy as np
    import tensorflow as tf

    kernel = tf.constant(np.random.default_rng(0).normal(size=(3, 3, filters, filters)).astype(np.float32))
    image = tf.constant(np.random.default_rng(0).random((1, side, side, filters), np.float32))
    convolve = tf.function(lambda image: tf.nn.conv2d(image, kernel, 1, "SAME"))
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        convolve(image)
        seconds.append(time.perf_counter() - start)
    return 2 * 9 * filters**2 * side**2 / min(seconds)


def folder():
    """Returns seconds that `rednet denoise` takes for a folder, and its network alone for the same pictures."""
    import numpy as np
    from PIL import Image

    import keras_rednet
    from keras_rednet import RED30, restore
    from keras_rednet.cli import main

    sample = Image.open(Path(keras_rednet.__file__).parent / "samples" / "chelsea.png").convert("RGB")
    with tempfile.TemporaryDirectory() as place:
        (source := Path(place) / "in").mkdir()
        for i in range(PICTURES):
            sample.resize((1200, 833 + i % 2)).save(source / f"{i}.jpg", quality=95)
        model = RED30(channels=3, downsample_at=(1,))
        pictures = [np.asarray(Image.open(path)) for path in sorted(source.iterdir())]
        restore(model, pictures[0])
        times = {"command": [], "network": []}
        for repeat in range(3):
            start = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                main(["denoise", str(source), "-o", f"{place}/{repeat}"])
            times["command"].append(time.perf_counter() - start)
            start = time.perf_counter()
            for picture in pictures:
                restore(model, picture)
            times["network"].append(time.perf_counter() - start)
    return {kind: statistics.median(values) for kind, values in times.items()}


def in_a_process(argument):
    command = [sys.executable, __file__, "--once", json.dumps(argument)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def draw(table, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, column in zip(figure.subplots(1, 2), ("seconds", "peak MiB"), strict=True):
        for network in NETWORKS:
            line = [row for row in table if row["network"] == network and _usual(row)]
            axes.plot([row["megapixels"] for row in line], [row[column] for row in line], "o-", label=network)
        axes.set(xscale="log", xlabel="megapixels", ylabel=column)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.axes[0].set_yscale("log")
    figure.axes[1].set_ylim(bottom=0)
    figure.savefig(path, dpi=100)


def _usual(row):
    usual = {"tile": "auto", "orientations": 1, "threads": os.cpu_count()}
    return usual.items() <= row.items()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/restore"), metavar="FOLDER")
    parser.add_argument("--most", type=float, default=100, metavar="MEGAPIXELS", help="of the largest picture")
    parser.add_argument("--once", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(folder() if options.once == "folder" else once(options.once)))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    table = []
    with (options.out / "restore.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in rows(options.most):
            row |= in_a_process(row)
            row["seconds per megapixel"] = row["seconds"] / row["megapixels"] / row["orientations"]
            writer.writerow({key: f"{value:.3f}" if isinstance(value, float) else value for key, value in row.items()})
            file.flush()
            print(
                *(f"{key} {row[key]:.2f}" if isinstance(row[key], float) else row[key] for key in COLUMNS), flush=True
            )
            table.append(row)
        seconds = in_a_process("folder")
        writer.writerow({"network": "RED30 fast, rednet on a folder", "seconds": f"{seconds['command']:.3f}"})
        writer.writerow({"network": "RED30 fast, alone", "seconds": f"{seconds['network']:.3f}"})
    print(
        f"a folder of {PICTURES} pictures: {seconds['command'] / seconds['network']:.3f} times the network's own time"
    )
    draw(table, options.out / "restore.png")


if __name__ == "__main__":
    main()
