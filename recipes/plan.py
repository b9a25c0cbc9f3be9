"""What a billion photographs cost: `python -m recipes.plan` writes the README's table from the benchmarks' CSV files.

Everything is measured on single machines (tests/benchmark/results) and multiplied: no fleet was run.
"""

import math
import statistics
from pathlib import Path

from keras_rednet.restoration import WINDOW_VALUES
from recipes import csv_table
from recipes.tables import write_section

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "tests" / "benchmark" / "results"
PHOTOS, MEGAPIXELS = 10**9, 12
CORES, GIGABITS = 64, 25  # of a machine, and of its network
DAYS = 30
INFERENCE_THREADS = 2  # of the machine on which inference.csv was measured
LARGE = 2.4  # megapixels, enough for many tiles
WINDOW, HALO = round((WINDOW_VALUES / 64) ** 0.5), 30  # pixels that RED30 takes at a time, and loses on each side
TILE, FAST_HALO = 1024, 60  # of the int8 file of the fast RED30, as inference.csv has it
GRAY = "red30-fast-denoise-blind-gray"
MOST_PICTURES = 10**7  # of a command
PATCH = 96**2 / 1e6  # megapixels of a patch of training-h200.csv: gray RED30's v3, mixed_bfloat16, batches of 64, JAX


def read(name):
    return csv_table.read(RESULTS / name)


def costs():
    """Returns ({network: core seconds per megapixel, files included}, those of decoding and encoding the files)."""
    codec = sum(float(row["core seconds per megapixel"]) for row in read("batch.csv") if "JPEG" in row["what"])
    usual = {"tile": "auto", "orientations": "1"}
    rows = [row for row in read("restore.csv") if usual.items() <= row.items() and float(row["megapixels"]) == LARGE]
    found = {
        f"{row['network']}, float32": int(row["threads"]) * float(row["seconds per megapixel"]) + codec for row in rows
    }
    (int8,) = [row for row in read("inference.csv") if (row["network"], row["form"]) == ("RED30 fast", "TFLite int8")]
    tile = INFERENCE_THREADS * float(int8[f"{TILE}x{TILE} ms"]) / 1e3
    found[f"RED30 fast, int8 TFLite, tiles of {TILE}x{TILE}"] = tile / ((TILE - 2 * FAST_HALO) ** 2 / 1e6) + codec
    return found, codec


def _rednet():
    """Returns the row of `rednet` on many pictures."""
    (row,) = [row for row in read("batch.csv") if row["what"] == "rednet" and int(row["pictures"]) > 1]
    return row


def bfloat16():
    """Returns how many times as fast as in float32 the fast network is in bfloat16, where a processor has it."""
    rows = [row for row in read("precision.csv") if row["network"].startswith(GRAY)]
    return statistics.median(float(row["times as fast"]) for row in rows)


def bytes_per_megapixel():
    row = _rednet()
    return tuple(int(row[column]) / float(row["megapixels"]) for column in ("bytes in", "bytes out"))


def trained():
    """Returns the megapixels a second that gray RED30 was trained on by a GPU, of its median epoch.

    A step of training holds a restoration, its gradient and an update, so the network alone is no slower.
    """
    return PATCH * statistics.median(float(row["patches_per_second"]) for row in read("training-h200.csv"))


def table():
    """Returns the table and what follows from it, in Markdown."""
    total = PHOTOS * MEGAPIXELS
    read_bytes, written_bytes = bytes_per_megapixel()
    cost, codec = costs()
    gpu, halos = trained(), (WINDOW / (WINDOW - 2 * HALO)) ** 2
    lines = [
        f"| gray network, a plane | core seconds per megapixel | machines of {CORES} cores for {DAYS} days | "
        "megapixels per second and machine | MB/s read and written by each | "
        f"of its {GIGABITS} Gbit/s | of its time in JPEG files |",
        "|---|---|---|---|---|---|---|",
    ]
    for what, seconds in cost.items():
        machines = total * seconds / (CORES * DAYS * 86400)
        speed = CORES / seconds
        traffic = speed * (read_bytes + written_bytes) / 1e6
        shares = f"{traffic * 8 / 1e3 / GIGABITS:.1%} | {codec / seconds:.1%}"
        lines.append(f"| {what} | {seconds:.2f} | {machines:,.0f} | {speed:.1f} | {traffic:.0f} | {shares} |")
    moved = total * (read_bytes + written_bytes) / 1e15
    kept = int(read("listing.csv")[0]["bytes of each"])
    lines += [
        "",
        f"{PHOTOS:,} photographs of {MEGAPIXELS} megapixels, {moved:.1f} PB read and written as JPEG, and for the fast "
        f"RED30 {total * cost['RED30 fast, float32'] / 3600e6:.1f} million core hours, on however many machines. "
        f"In a machine the processors saturate first, by far. Together, in {DAYS} days, the machines move "
        f"{PHOTOS / (DAYS * 86400):,.0f} photographs and {moved * 1e6 / (DAYS * 86400):.1f} GB a second, more than one "
        f"file server's {GIGABITS} Gbit/s ({GIGABITS / 8:.1f} GB/s): the folders lie on several, or on an object store "
        f"that is mounted. A command lists its pictures in {kept / 1e3:.1f} kB for each, "
        f"{MOST_PICTURES * kept / 1e9:.0f} GB for {MOST_PICTURES:,}, so {PHOTOS // MOST_PICTURES} manifests "
        f"(text files that name them) are restored one after the other. "
        f"Files take {codec:.3f} core seconds per megapixel: {CORES} cores feed accelerators that restore "
        f"{CORES / codec:,.0f} megapixels a second before these hold them up. "
        f"In batch.csv, measured on another day, `rednet` took {float(_rednet()['core seconds per megapixel']):.1f}. "
        f"On a processor that has bfloat16 the fast RED30 was {bfloat16():.1f} times as fast with `--precision "
        "bfloat16` ([precision.csv](tests/benchmark/results/precision.csv)).",
        "",
        f"On a GPU only training was timed: an H200 took in {gpu:.1f} megapixels a second for gray "
        f"RED30, in bfloat16, augmented by 16 cores ([training-h200.csv](tests/benchmark/results/training-h200.csv)). "
        f"A step of training holds a restoration and more, so the network takes at most {1 / gpu:.3f} s per "
        f"megapixel there; with the halos of windows of {WINDOW}x{WINDOW} pixels the billion needs at most "
        f"{math.ceil(halos * total / gpu / (DAYS * 86400)):,} such GPUs for {DAYS} days, if windows reach them in "
        "bfloat16 and in batches, while `restore` sends one at a time; "
        f"files keep {codec * gpu:.1f} cores of each busy.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    write_section("plan", "recipes.plan", table())
