"""Times restoring on a GPU: `KERAS_BACKEND=jax python -m tests.benchmark.accelerator --out runs/accelerator`.

RED30 and its fast variant, gray, fresh weights, one 8-bit picture of noise, by precision and tile, on the GPU that JAX
takes first. By default NVIDIA's recent GPUs multiply float32 as TensorFloat-32; "bfloat16" is Keras' dtype policy.
What users wait for: tiles go to the device and come back one by one. The network is warm when the clock starts; the
median of three runs counts. Writes accelerator.csv.
"""

import argparse
import csv
import itertools
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

NETWORKS = {"RED30": (), "RED30 fast": (1,)}
PRECISIONS = ("default", "float32", "bfloat16")
TILES = ("auto", 1000, 2000)
COLUMNS = ("device", "network", "precision", "tile", "megapixels", "seconds", "seconds per megapixel")


def once(network, precision, tile, picture):
    """Returns the seconds that a picture takes."""
    import jax

    from keras_rednet import RED30, restore
    from keras_rednet.precision import computing_in

    half = precision == "bfloat16"
    with computing_in("mixed_bfloat16" if half else "float32"):
        model, seconds = RED30(weights=None, downsample_at=NETWORKS[network]), []
    with jax.default_matmul_precision("default" if half else precision):
        restore(model, picture, tile=tile)
        for _ in range(3):
            start = time.perf_counter()
            restore(model, picture, tile=tile)
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main():
    import jax
    import keras
    import numpy as np

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for accelerator.csv")
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--platform", default="gpu", help="of JAX; another to try the program")
    options = parser.parse_args()
    if keras.backend.backend() != "jax":
        parser.error(f"the device is JAX's: set KERAS_BACKEND=jax. Received: {keras.backend.backend()}")
    device = jax.devices()[0]
    if device.platform != options.platform:  # JAX goes on without the GPU that it fails to open
        parser.error(f"JAX must run on {options.platform!r}. Received: {device.platform!r}; see what it says above.")
    options.out.mkdir(parents=True, exist_ok=True)
    height = round((options.megapixels * 1e6 / 1.5) ** 0.5)
    picture = np.random.default_rng(0).integers(0, 256, (height, round(1.5 * height)), np.uint8)
    megapixels = picture.size / 1e6
    with (options.out / "accelerator.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for case in itertools.product(NETWORKS, PRECISIONS, TILES):
            seconds = once(*case, picture)
            figures = (f"{megapixels:.2f}", f"{seconds:.3f}", f"{seconds / megapixels:.4f}")
            table.writerow([device.device_kind, *case, *figures])
            file.flush()  # what a limit of time cuts off has its rows
            print(*case, f"{seconds:.3f} s", flush=True)


if __name__ == "__main__":
    main()
