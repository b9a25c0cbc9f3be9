"""What bfloat16 costs and saves: `python -m tests.benchmark.precision --data DATASETS --out runs/precision`.

The networks that `rednet` takes restore the first images of a test set in float32 and in bfloat16, in turns, on a
machine that does nothing else. Writes precision.csv, a row for each experiment of recipes/experiments.py: the PSNR in
both, and how many times as fast bfloat16 was, with the network warm.
"""

import argparse
import csv
import functools
import os
import time
from itertools import islice
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

COLUMNS = ("processor", "network", "images", "level", "count", "float32", "bfloat16", "loss", "times as fast")


def row(experiment, name, data, count):
    """Returns the figures of a shipped network in an experiment, on the first images of its first set."""
    from keras_rednet import restore
    from keras_rednet.evaluation import evaluate, mean
    from keras_rednet.photos import COLORS, named_network
    from keras_rednet.precision import POLICIES, computing_in
    from recipes.experiments import images

    (protocol, *_), (image_set, *_) = experiment.protocols, experiment.sets
    seconds, scores, restorers = dict.fromkeys(POLICIES, 0), {precision: [] for precision in POLICIES}, {}
    for precision, policy in POLICIES.items():
        with computing_in(policy):
            color = COLORS.get(experiment.task, "channels")
            restorers[precision] = functools.partial(restore, named_network(name)[0], color=color)

    def timed(corrupted, precision):
        start = time.perf_counter()
        restored = restorers[precision](corrupted)
        seconds[precision] += time.perf_counter() - start
        return restored

    for i, clean in enumerate(islice(images(data, image_set, protocol.color), count)):
        for precision in POLICIES:
            if i == 0:  # warms it up
                restorers[precision](clean[1])
            restorer = functools.partial(timed, precision=precision)
            scores[precision].append(evaluate(restorer, [clean], experiment.corruption, protocol)[-1]["psnr"])
    means = {precision: mean(values) for precision, values in scores.items()}
    return {
        "network": name,
        "images": image_set,
        "level": experiment.level,
        "count": len(scores["float32"]),
        **{precision: f"{score:.3f}" for precision, score in means.items()},
        "loss": f"{means['float32'] - means['bfloat16']:.3f}",
        "times as fast": f"{seconds['float32'] / seconds['bfloat16']:.2f}",
    }


def main():
    from recipes.evaluate import taken
    from recipes.experiments import EXPERIMENTS
    from recipes.speed import processor

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, metavar="DATASETS", help="the folder of test images")
    parser.add_argument("--out", type=Path, required=True, help="folder for precision.csv")
    parser.add_argument("--count", type=int, default=4, help="images of each set")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "precision.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        for experiment in EXPERIMENTS:
            figures = row(experiment, taken(experiment), options.data, options.count)
            table.writerow({"processor": processor(), **figures})
            file.flush()  # what is cut off has its rows
            print(*figures.values(), flush=True)


if __name__ == "__main__":
    main()
