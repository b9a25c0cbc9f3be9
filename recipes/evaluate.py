"""Scores the shipped weights on the literature's test images: `python -m recipes.evaluate denoise --data DATASETS`.

DATASETS holds `set12`, `bsd68` and `bsds500`. Rows go to recipes/results/denoise.csv, one per network, image set, sigma
and number of orientations; rows of weights that have not changed are kept. Then the tables in README.md are written
anew from that file, paper_tables.csv (the paper's own numbers) and anchors.csv (other methods').
"""

import argparse
import csv
import functools
from pathlib import Path

import numpy as np
from PIL import Image

from keras_rednet import corruptions, dataset, weights
from keras_rednet.evaluation import Protocol, evaluate
from keras_rednet.model import RED30
from keras_rednet.restoration import restore
from keras_rednet.weights import written_whole
from recipes.recipe import BUILDERS

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"
SIGMAS = (10, 30, 50, 70)
COLUMNS = (
    *("weights", "sha256", "images", "count", "color", "corruption", "level", "orientations", "shave", "quantized"),
    *("seed", "psnr_corrupted", "ssim_corrupted", "psnr", "ssim"),
)


def test_sets(data):
    """Returns {channels: {name: images}}, each images a function that yields (name, clean float32 [h, w, c])."""
    data = Path(data)
    color68 = functools.partial(_named, data / "bsds500" / "val", data / "bsd68_to_bsds500.tsv")
    return {
        1: {
            "Set12": functools.partial(_clean, data / "set12", color="gray"),
            "BSD68": functools.partial(_clean, data / "bsd68", color="gray"),
            "BSD200": functools.partial(_clean, data / "bsds500" / "test", color="gray", half=True),
        },
        3: {"CBSD68": color68},
    }


def _clean(folder, *, color, half=False):
    for path in dataset.list_images(folder):
        pixels = dataset.read_image(path, color=color)
        yield path.name, (_half(pixels) if half else pixels).astype(np.float32) / 255


def _half(pixels):
    """Shrinks a gray image by two, bicubic and rounded: the size of the paper's BSD200 (Sec. 4.5 and 5.2)."""
    image = Image.fromarray(pixels[..., 0])
    return np.asarray(image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC))[..., None]


def _named(folder, table):
    with table.open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            path = folder / row["bsds500_file"]
            yield path.name, dataset.read_image(path, color="rgb").astype(np.float32) / 255


def score_denoising(model, images, sigma, orientations, color):
    """Returns `evaluate`'s rows for additive noise of one sigma, by the protocol of the literature."""
    noise = corruptions.GaussianNoise((sigma, sigma))
    protocol = Protocol(color=color, orientations=orientations)
    return evaluate(functools.partial(restore, model, orientations=orientations), images, noise, protocol), protocol


def write_results(data, orientations):
    """Scores all shipped denoising weights whose row is missing or out of date, and writes results/denoise.csv."""
    path = RESULTS / "denoise.csv"
    rows = _read(path)
    shipped = {name: record for name, record in weights.records().items() if record["network"]["task"] == "denoise"}
    rows = [row for row in rows if row["weights"] in shipped and row["sha256"] == shipped[row["weights"]]["sha256"]]
    done = {tuple(row[key] for key in ("weights", "images", "level", "orientations")) for row in rows}
    for name, record in shipped.items():
        network = record["network"]
        model = _build(network)
        for set_name, images in test_sets(data)[network["channels"]].items():
            for sigma in SIGMAS:
                if (name, set_name, str(sigma), str(orientations)) in done:
                    continue
                row = _row(
                    name, record, set_name, *score_denoising(model, images(), sigma, orientations, _color(network))
                )
                rows.append(row | {"level": sigma})
                print(f"{name}  {set_name}  sigma {sigma}  orientations {orientations}  {row['psnr']} dB", flush=True)
                _write(path, rows)


def print_scores(folder, *, color, orientations):
    """Prints PSNR and SSIM of the fast shipped network on the clean images of a folder."""
    dataset.keep_tensorflow_off_gpus()
    model = RED30("denoise", channels=dataset.COLORS[color], downsample_at=(1,))
    count = len(dataset.list_images(folder))
    print(f"{count} images, {color}, unclipped Gaussian noise, orientations={orientations}; PSNR in dB / SSIM")
    for sigma in SIGMAS:
        mean = score_denoising(model, _clean(folder, color=color), sigma, orientations, color)[0][-1]
        noisy, clean = (f"{mean['psnr' + kind]:.2f} / {mean['ssim' + kind]:.4f}" for kind in ("_corrupted", ""))
        print(f"sigma {sigma}: {noisy} -> {clean}", flush=True)


def _build(network):
    options = {key: network[key] for key in ("level", "channels", "filters")}
    return BUILDERS[network["depth"]](network["task"], downsample_at=tuple(network["downsample_at"]), **options)


def _color(network):
    return "gray" if network["channels"] == 1 else "rgb"


def _row(name, record, set_name, rows, protocol):
    mean = {key: f"{value:.4f}" for key, value in rows[-1].items() if key != "image"}
    choices = {key: getattr(protocol, key) for key in ("color", "orientations", "shave", "quantized", "seed")}
    described = {"weights": name, "sha256": record["sha256"], "images": set_name, "count": len(rows) - 1}
    return {**described, "corruption": "Gaussian noise", **choices, **mean}


def _read(path):
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _write(path, rows):
    rows = sorted(rows, key=lambda row: (row["weights"], row["images"], int(row["orientations"]), int(row["level"])))
    with written_whole(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def tables():
    """Returns the README's result tables in Markdown, made from the CSV files only."""
    results = _read(RESULTS / "denoise.csv")
    return "\n".join(_table(results, images) for images in ("Set12", "BSD68", "BSD200", "CBSD68"))


def _table(results, images):
    found = [row for row in results if row["images"] == images]
    if not found:
        return ""
    first = found[0]
    lines = [
        f"{images}, {first['count']} {first['color']} images, PSNR in dB / SSIM:\n",
        "| | " + " | ".join(f"sigma {sigma}" for sigma in SIGMAS) + " |",
        "|---|" + "---|" * len(SIGMAS),
        _line("noisy", {row["level"]: (row["psnr_corrupted"], row["ssim_corrupted"]) for row in found}),
    ]
    for name, orientations in sorted({(row["weights"], row["orientations"]) for row in found}):
        chosen = [row for row in found if (row["weights"], row["orientations"]) == (name, orientations)]
        label = f"**{name}**" + (", 8 orientations" if orientations == "8" else "")
        lines.append(_line(label, {row["level"]: (row["psnr"], row["ssim"]) for row in chosen}))
    lines += _published(images)
    return "\n".join(lines) + "\n"


def _published(images):
    paper = [row for row in _read(FOLDER / "paper_tables.csv") if row["method"] in ("RED30", "RED30 blind")]
    rows = [{**row, "method": f"{row['method']} (paper, 8 orientations)"} for row in paper]
    rows += _read(FOLDER / "anchors.csv")
    rows = [row for row in rows if row["task"] == "denoise" and row["images"] == images]
    methods = list(dict.fromkeys(row["method"] for row in rows))
    return [
        _line(method, {row["level"]: (row["psnr"], row["ssim"]) for row in rows if row["method"] == method})
        for method in methods
    ]


def _line(label, scores):
    cells = [_cell(*scores[str(sigma)]) if str(sigma) in scores else "" for sigma in SIGMAS]
    return f"| {label} | " + " | ".join(cells) + " |"


def _cell(psnr, ssim):
    return f"{float(psnr):.2f}" + (f" / {float(ssim):.4f}" if ssim else "")


def write_readme(readme=FOLDER.parent / "README.md"):
    """Replaces what stands between the README's marks with `tables()`."""
    begin, end = "<!-- results: written by `python -m recipes.evaluate` -->\n", "<!-- end of results -->"
    before, rest = readme.read_text().split(begin)
    with written_whole(readme) as temporary:
        temporary.write_text(before + begin + "\n" + tables() + "\n" + end + rest.split(end)[1])


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m recipes.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("denoise",))
    parser.add_argument("--data", required=True, metavar="DATASETS", help="the folder of the test images")
    parser.add_argument("--orientations", type=int, choices=(1, 8), nargs="+", default=(1, 8))
    options = parser.parse_args(arguments)
    dataset.keep_tensorflow_off_gpus()
    for orientations in options.orientations:
        write_results(options.data, orientations)
    write_readme()


if __name__ == "__main__":
    main()
