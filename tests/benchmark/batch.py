"""Times a folder by `rednet` and by Ray: `python tests/benchmark/batch.py --out runs/batch`.

The same JPEG pictures of a megapixel by `rednet denoise`, one process with all processors, and by `recipes.batch` with
one process for each processor; both from the shell, start-up and all, and once more with a single picture, so that
start-up can be told from work. Beside that what it costs to read and to write them. Writes batch.csv.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

PICTURES = 24
ENGINES = {"rednet": ["-m", "keras_rednet.cli"], "Ray": ["-m", "recipes.batch"]}
QUALITY = 95
SIGMA = 10  # of the noise in them
COLUMNS = (
    "what",
    "processors",
    "pictures",
    "megapixels",
    "seconds",
    "core seconds per megapixel",
    "bytes in",
    "bytes out",
)


def make(folder, count):
    import numpy as np
    from PIL import Image

    import keras_rednet

    folder.mkdir()
    random = np.random.default_rng(0)
    sample = Image.open(Path(keras_rednet.__file__).parent / "samples" / "chelsea.png").convert("RGB")
    for i in range(count):
        large = np.asarray(sample.resize((1200, 833 + i % 2), Image.Resampling.BICUBIC))
        noisy = np.clip(large + random.normal(0, SIGMA, large.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{i}.jpg", quality=QUALITY)
    return folder


def run(engine, source, target):
    """Returns the seconds that an engine takes for a folder."""
    start = time.perf_counter()
    command = [sys.executable, *ENGINES[engine], "denoise", str(source), "-o", str(target)]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def files(folder, restored):
    """Yields (what, processor seconds) of reading all pictures of a folder and of writing what became of them."""
    from keras_rednet.pictures import read_picture, write_picture

    start = time.process_time()
    for path in folder.iterdir():
        read_picture(path)
    yield "reading JPEG", time.process_time() - start
    pictures = [read_picture(path) for path in restored.rglob("*.jpg")]
    with tempfile.TemporaryDirectory() as place:
        start = time.process_time()
        for i, picture in enumerate(pictures):
            write_picture(Path(place) / f"{i}.jpg", picture)
        yield "writing JPEG", time.process_time() - start


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*.jpg"))


def megapixels(folder):
    from PIL import Image

    return sum(Image.open(path).width * Image.open(path).height for path in folder.rglob("*.jpg")) / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/batch"), metavar="FOLDER")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []

    def row(what, source, seconds, processors, target=None):
        cost = processors * seconds / megapixels(source)
        count, written = len(list(source.iterdir())), size(target) if target else ""
        values = (what, processors, count, megapixels(source), seconds, cost, size(source), written)
        rows.append([f"{value:.5g}" if isinstance(value, float) else value for value in values])
        print(*rows[-1], flush=True)

    with tempfile.TemporaryDirectory() as place:
        many, single = make(Path(place) / "many", PICTURES), make(Path(place) / "single", 1)
        for engine in ENGINES:
            for source in (single, many):
                target = Path(place) / f"{engine} {source.name}"
                row(engine, source, run(engine, source, target), os.cpu_count(), target)
        for what, seconds in files(many, target):
            row(what, many, seconds, 1)
    with (options.out / "batch.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()
