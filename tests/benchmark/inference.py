"""Times a network in all its forms, in one run: `python tests/benchmark/inference.py --out runs/inference`.

RED30 and its fast variant, gray, fresh weights, as Keras model, deployment graph, SavedModel and TFLite files, on an
image of 160x240 pixels and on one of a megapixel. Every form runs once a round, in random order, so that a slow minute
of the machine strikes all alike; what counts is the median, and its ratio to the Keras model of the whole RED30. Peak
memory is that of a fresh process that restores the megapixel once. Writes inference.csv and inference.png.
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
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SIZES = {"160x240": (160, 240), "megapixel": (1024, 1024)}
NETWORKS = {"RED30": (), "RED30 fast": (1,)}
FORMS = ("Keras", "deployment graph", "SavedModel", "TFLite unfolded", "TFLite float32", "TFLite float16",
         "TFLite dynamic", "TFLite int8")  # fmt: skip
SKIPPED = {("TFLite unfolded", "megapixel")}  # takes gigabytes and a minute
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
    """Returns {(network, form, size): median milliseconds}."""
    import numpy as np

    runs = {(name, form): load(folder, name, form) for name in NETWORKS for form in FORMS}
    times = {}
    for label, size in SIZES.items():
        image = np.random.default_rng(0).random((1, *size, 1), np.float32)
        order = [key for key in runs if (key[1], label) not in SKIPPED]
        for i in range(rounds + 1):
            random.shuffle(order)
            for key in order:
                start = time.perf_counter()
                runs[key](image)
                if i:  # the first round compiles
                    times.setdefault((*key, label), []).append(1e3 * (time.perf_counter() - start))
            print(f"{label}: round {i} of {rounds}", flush=True)
    return {key: statistics.median(values) for key, values in times.items()}


def memory(folder, name, form):
    """Returns the peak memory, in MiB, of a fresh process that restores a megapixel once, or None if skipped."""
    if (form, "megapixel") in SKIPPED:
        return None
    command = [sys.executable, __file__, "--out", str(folder), "--once", json.dumps([name, form])]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]) // 1024


def once(folder, name, form):
    import numpy as np

    load(folder, name, form)(np.zeros((1, *SIZES["megapixel"], 1), np.float32))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def write(folder, times, peaks):
    columns = [
        "network",
        "form",
        "bytes",
        *(f"{label} ms" for label in SIZES),
        "times as fast as Keras RED30",
        "peak MiB",
    ]
    with (folder / "inference.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for name in NETWORKS:
            for form in FORMS:
                path = folder / f"{name} {form}.tflite"
                row = {"network": name, "form": form, "bytes": path.stat().st_size if path.exists() else ""}
                row |= {f"{label} ms": f"{times.get((name, form, label), 0):.1f}" for label in SIZES}
                ratio = times["RED30", "Keras", "160x240"] / times[name, form, "160x240"]
                row |= {"times as fast as Keras RED30": f"{ratio:.2f}", "peak MiB": peaks[name, form] or ""}
                writer.writerow(row)
                print(*row.values(), sep="  ")


def draw(folder, times):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for i, name in enumerate(NETWORKS):
        places = [j + 0.4 * i for j in range(len(FORMS))]
        axes.bar(places, [times[name, form, "160x240"] for form in FORMS], width=0.4, label=name)
    axes.set_xticks([j + 0.2 for j in range(len(FORMS))], FORMS, rotation=30, ha="right")
    axes.set(yscale="log", ylabel="milliseconds per 160x240")
    axes.legend()
    figure.savefig(folder / "inference.png", dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/inference"), metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=5, metavar="NUMBER")
    parser.add_argument("--once", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        return once(options.out, *json.loads(options.once))
    options.out.mkdir(parents=True, exist_ok=True)
    if not (options.out / "RED30 fast TFLite unfolded.tflite").exists():
        build(options.out)
    times = measure(options.out, options.rounds)
    peaks = {(name, form): memory(options.out, name, form) for name in NETWORKS for form in FORMS}
    write(options.out, times, peaks)
    draw(options.out, times)


if __name__ == "__main__":
    main()
