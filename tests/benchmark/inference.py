"""Times a network in all its forms, in one run: `python tests/benchmark/inference.py --out runs/inference`.

RED30 and its fast variant, gray, fresh weights, as Keras model, deployment graph, SavedModel and TFLite files, on an
image of 160x240 pixels and on one of a megapixel. Every form runs once a round, in random order, so that a slow minute
of the machine strikes all alike; what counts is the median, and its ratio to the Keras model of the whole RED30. The
megapixel is restored in a process for each form, as together they would take tens of gigabytes; its time and peak
memory are that process's. Writes inference.csv and inference.png.
"""

import argparse
import csv
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SMALL, MEGAPIXEL = (160, 240), (1024, 1024)
NETWORKS = {"RED30": (), "RED30 fast": (1,)}
FORMS = ("Keras", "deployment graph", "SavedModel", "TFLite unfolded", "TFLite float32", "TFLite float16",
         "TFLite dynamic", "TFLite int8")  # fmt: skip
TOO_DEAR = "TFLite unfolded"  # a megapixel takes it gigabytes and a minute
MEGAPIXEL_RUNS = 3
THREADS = 2


def build(folder):
    """Writes the SavedModels and TFLite files of both networks into a folder."""
    import numpy as np
    import tensorflow as tf

    from keras_rednet import RED30, export_saved_model, export_tflite

    random_ = np.random.default_rng(0)
    samples = [np.rint(255 * random_.random((96, 96, 1))).astype(np.float32) / 255 for _ in range(4)]
    for name, downsample_at in NETWORKS.items():
        model = RED30(downsample_at=downsample_at, weights=None)
        model.save(folder / f"{name}.keras")
        export_saved_model(model, folder / name / "1")
        for kind in ("float32", "float16", "dynamic", "int8"):
            quantize = None if kind == "float32" else kind
            calibration = samples if kind == "int8" else None
            export_tflite(model, folder / f"{name} TFLite {kind}.tflite", quantize=quantize, calibration=calibration)
        content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
        (folder / f"{name} TFLite unfolded.tflite").write_bytes(content)


def load(folder, name, form):
    """Returns a function of float32 [1, h, w, 1] that runs a form once."""
    if form.startswith("TFLite"):
        return _interpreter(folder / f"{name} {form}.tflite")
    if form == "SavedModel":
        import tensorflow as tf

        loaded = tf.saved_model.load(str(folder / name / "1"))
        return lambda image: loaded.signatures["serving_default"](image=tf.constant(image))["restored"].numpy()
    import keras

    from keras_rednet.fold import fold

    model = keras.models.load_model(folder / f"{name}.keras")
    return (fold(model) if form == "deployment graph" else model).predict_on_batch


def _interpreter(path):
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=THREADS)
    described = interpreter.get_input_details()[0]

    def run(image):
        if tuple(interpreter.get_input_details()[0]["shape"]) != image.shape:
            interpreter.resize_tensor_input(described["index"], image.shape)
            interpreter.allocate_tensors()
        values = np.rint(255 * image).astype(np.uint8) if described["dtype"] == np.uint8 else image
        interpreter.set_tensor(described["index"], values)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return run


def measure(folder, rounds):
    """Returns {(network, form): median milliseconds per 160x240}."""
    import numpy as np

    runs = {(name, form): load(folder, name, form) for name in NETWORKS for form in FORMS}
    image = np.random.default_rng(0).random((1, *SMALL, 1), np.float32)
    times, order = {key: [] for key in runs}, list(runs)
    for i in range(rounds + 1):
        random.shuffle(order)
        for key in order:
            milliseconds = _time(runs[key], image)
            if i:  # the first round compiles
                times[key].append(milliseconds)
        print(f"round {i} of {rounds}", flush=True)
    return {key: statistics.median(values) for key, values in times.items()}


def megapixel(folder, name, form):
    """Returns (median milliseconds, peak MiB) of a fresh process that restores a megapixel, or a pair of None."""
    if form == TOO_DEAR:
        return None, None
    command = [sys.executable, __file__, "--out", str(folder), "--once", json.dumps([name, form])]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def once(folder, name, form):
    import numpy as np

    run, image = load(folder, name, form), np.random.default_rng(0).random((1, *MEGAPIXEL, 1), np.float32)
    _time(run, image)
    milliseconds = statistics.median(_time(run, image) for _ in range(MEGAPIXEL_RUNS))
    print(json.dumps([milliseconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024]))


def _time(run, image):
    start = time.perf_counter()
    run(image)
    return 1e3 * (time.perf_counter() - start)


def write(folder, models, times, megapixels):
    columns = ["network", "form", "bytes", "160x240 ms", "times as fast as Keras RED30", "1024x1024 ms", "peak MiB"]
    with (folder / "inference.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for key, milliseconds in times.items():
            path = models / f"{' '.join(key)}.tflite"
            size = path.stat().st_size if path.exists() else ""
            ratio = times["RED30", "Keras"] / milliseconds
            large, peak = ("", "") if megapixels[key][0] is None else (f"{megapixels[key][0]:.0f}", megapixels[key][1])
            row = [*key, size, f"{milliseconds:.1f}", f"{ratio:.2f}", large, peak]
            writer.writerow(dict(zip(columns, row, strict=True)))
            print(*row, sep="  ")


def draw(folder, times):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for i, name in enumerate(NETWORKS):
        places = [j + 0.4 * i for j in range(len(FORMS))]
        axes.bar(places, [times[name, form] for form in FORMS], width=0.4, label=name)
    axes.set_xticks([j + 0.2 for j in range(len(FORMS))], FORMS, rotation=30, ha="right")
    axes.set(yscale="log", ylabel="milliseconds per 160x240")
    axes.legend()
    figure.savefig(folder / "inference.png", dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/inference"), metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=5, metavar="NUMBER")
    parser.add_argument("--build", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--once", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        return build(options.out)
    if options.once:
        return once(options.out, *json.loads(options.once))
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as models:
        compare(Path(models), options.out, options.rounds)


def compare(models, out, rounds):
    # Elsewhere, so that this process stays small: Linux counts a parent's memory as its child's peak.
    subprocess.run([sys.executable, __file__, "--out", str(models), "--build"], check=True)
    megapixels = {(name, form): megapixel(models, name, form) for name in NETWORKS for form in FORMS}
    times = measure(models, rounds)
    write(out, models, times, megapixels)
    draw(out, times)


if __name__ == "__main__":
    main()
