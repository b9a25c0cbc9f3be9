"""Times the networks that are shipped and draws PSNR against time: `python -m recipes.speed`.

Writes recipes/results/speed.csv (milliseconds per megapixel of `restore`, in memory, on this machine), a row for each
size of network, whatever its weights, recipes/results/speed.png, for denoising gray images of Set12 at sigma 30, and
the README's table of denoisers. The machine should do nothing else meanwhile.
"""

import argparse
import itertools
import os
import platform
import time

import numpy as np

from keras_rednet import weights
from keras_rednet.restoration import restore
from keras_rednet.weights import written_whole
from recipes import csv_table, tables
from recipes.evaluate import network
from recipes.recipe import architecture, stem

SIZE = (480, 640)
ROUNDS = 3
COLUMNS = ("network", "orientations", "ms_per_megapixel", "height", "width", "processor", "cores")
SHOWN = ("denoise", "Set12", "30")  # task, images, level
CHOICE = {3: "CBSD68", 1: "BSD68"}  # the images by which the README compares denoisers, by channels
LEVELS = ("10", "30", "50", "70", "30 as JPEG")
# Milliseconds for 160x240 pixels on two server cores, in PyTorch (FFDNet) and C (BM3D): other programs, another day.
OTHERS = {"FFDNet": 24, "BM3D": 858}


def measure(names):
    """Returns the milliseconds per megapixel of shipped networks, {(name, orientations): milliseconds}.

    The least of some rounds, each of all: what slows the machine for some minutes then slows none by itself.
    """
    models = {name: network(name) for name in names}
    random = np.random.default_rng(0)
    images = {name: random.random((*SIZE, model.input_shape[-1]), np.float32) for name, model in models.items()}
    times = dict.fromkeys(itertools.product(names, (1, 8)), np.inf)
    for number in range(1 + ROUNDS):
        for name, orientations in times if number else itertools.product(names, (1,)):  # the first builds the graphs
            start = time.perf_counter()
            restore(models[name], images[name], orientations=orientations)
            seconds = time.perf_counter() - start
            times[name, orientations] = min(times[name, orientations], seconds)
            print(f"{name}, orientations {orientations}: {seconds:.2f} s", flush=True)
    return {key: 1e9 * seconds / np.prod(SIZE) for key, seconds in times.items()}


def write(path):
    """Times shipped networks of every size with 1 and 8 orientations and writes the table."""
    sizes = {name: architecture(record["network"]) for name, record in sorted(weights.records().items())}
    names = sorted({size: name for name, size in sizes.items()}.values(), key=sizes.get)
    machine = {"height": SIZE[0], "width": SIZE[1], "processor": processor(), "cores": os.cpu_count()}
    rows = [
        {"network": sizes[name], "orientations": orientations, "ms_per_megapixel": round(milliseconds), **machine}
        for (name, orientations), milliseconds in measure(names).items()
    ]
    csv_table.write(path, COLUMNS, rows)


def processor():
    """Returns the name of the processor, from Linux where it is told there."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def draw(path, speeds):
    """Draws the PSNR that blind networks have in results/*.csv against the speeds, rows of `write`, into a PNG."""
    from matplotlib.figure import Figure  # optional, as training is

    task, images, level = SHOWN
    times = {(row["network"], row["orientations"]): float(row["ms_per_megapixel"]) for row in speeds}
    points = {
        (name, orientations): (times[architecture(weights.records()[name]["network"]), orientations], score)
        for (name, *place, orientations), (score, _) in tables.means(task).items()
        if tuple(place) == (images, level, "0") and "-blind-" in name
    }
    published = {
        row["method"]: float(row["psnr"])
        for row in csv_table.read(tables.FOLDER / "anchors.csv")
        if (row["task"], row["images"], row["level"]) == SHOWN
    }
    others = {
        f"{method} (measured elsewhere)": (time / 0.0384, published[method])
        for method, time in OTHERS.items()
        if method in published
    }
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    colors = {name: f"C{i}" for i, name in enumerate(dict.fromkeys(name for name, _ in points))}
    for (name, orientations), place in points.items():
        one = orientations == "1"
        label = f"{name}, {orientations} orientation{'' if one else 's'}"
        axes.plot(*place, "o", color=colors[name], fillstyle="full" if one else "none", label=label)
    for label, place in others.items():
        axes.plot(*place, "x", color=f"C{len(colors) + list(others).index(label)}", label=label)
    axes.set(xscale="log", xlabel="milliseconds per megapixel", ylabel=f"PSNR in dB, {images}, sigma {level}")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def table(speeds):
    """Returns a table of the denoisers of all sigmas, the fastest first: seconds for a megapixel, and PSNR."""
    times = {row["network"]: int(row["ms_per_megapixel"]) for row in speeds if row["orientations"] == "1"}
    means = tables.means("denoise")
    lines = [
        "| network | seconds for a megapixel | " + " | ".join(f"sigma {level}" for level in LEVELS) + " |",
        "|---|---|" + "---|" * len(LEVELS),
    ]
    rows = []
    for name, record in weights.records().items():
        network = record["network"]
        if network["task"] == "denoise" and network["level"] in ("blind", "jpeg"):
            places = [(name, CHOICE[network["channels"]], level, "0", "1") for level in LEVELS]
            cells = [f"{means[place][0]:.2f}" if place in means else "" for place in places]
            time = times[architecture(network)]
            rows.append(
                (network["channels"] == 1, time, f"| {stem(network)} | {time / 1000:.1f} | {' | '.join(cells)} |")
            )
    return "\n".join([*lines, *(line for *_, line in sorted(rows))]) + "\n"


def write_table():
    """Replaces the README's table of denoisers."""
    tables.write_section("denoisers", "recipes.speed", table(csv_table.read(tables.RESULTS / "speed.csv")))


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m recipes.speed", description=__doc__.splitlines()[0])
    parser.add_argument("--draw-only", action="store_true", help="from the speeds that were measured before")
    options = parser.parse_args(arguments)
    path = tables.RESULTS / "speed.csv"
    if not options.draw_only:
        write(path)
    draw(tables.RESULTS / "speed.png", csv_table.read(path))
    write_table()


if __name__ == "__main__":
    main()
