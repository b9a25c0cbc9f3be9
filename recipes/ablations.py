"""The paper's comparisons of networks, Fig. 2 and 5-12.

    python -m recipes.ablations fig6 --data bsds500/train t91 --minutes 10

trains every curve of a figure for equally many steps, as many as fit in the minutes together on this machine, and draws
the figure from the histories of the runs: OUT/fig6.png and fig6.csv. Fig. 5 shows what the networks of Fig. 6 restore,
so it takes their runs; the paper's own shows five layers of stride 3. Its Fig. 2 sets 5 convolutions and 5
deconvolutions against 5 and 10 convolutions, this one 10 and 20 layers of one kind against as many of both. The paper's
curves took some 100,000 steps, which is what a GPU is for; after ten minutes of two cores the networks have hardly
begun, and only large differences show.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from keras_rednet import dataset
from keras_rednet.corruptions import GaussianNoise
from keras_rednet.restoration import restore
from keras_rednet.weights import load_file, written_whole
from recipes import contact, csv_table, train
from recipes.recipe import Recipe

NOISE = GaussianNoise((70, 70))  # Sec. 3.2
POINTS = 8  # of a curve

BASE = Recipe(
    task="denoise",
    level=70,
    depth=20,
    channels=1,
    color="gray",
    corruption=NOISE,
    validation={"PSNR": NOISE},
    patch_size=50,
    batch_size=16,
    loss="mse",
    warmup_steps=20,
    precision="float32",
    ema_momentum=0.9,
    validate_every=1,
)


def _with(depth=20, **changes):
    """Returns the basic recipe with other arguments of `REDNet`, or fields of a recipe."""
    fields = {name: changes.pop(name) for name in ("downsample_at", "filters", "patch_size") if name in changes}
    return dataclasses.replace(BASE, depth=depth, architecture=changes, **fields)


_SKIPS = {
    f"RED{depth}, {'no skips' if skips is None else 'skips'}": _with(depth, skips=skips)
    for depth, skips in ((10, None), (20, None), (20, "symmetric"), (30, None), (30, "symmetric"))
}
FIGURES = {
    "fig2": {
        f"{depth} layers, {decoder}": _with(depth, skips=None, decoder=decoder)
        for depth in (10, 20)
        for decoder in ("conv", "deconv")
    },
    "fig5": _SKIPS,
    "fig6": _SKIPS,
    "fig7": {
        f"Block-{step}-{name}": _with(20, skips=skips, skip_step=step)
        for step in (2, 4)
        for name, skips in (("RED", "symmetric"), ("He et al.", "residual"))
    },
    "fig8": {
        f"down-sample at {', '.join(f'conv{k}' for k in at) or 'no layer'}": _with(30, downsample_at=at)
        for at in ((), (1,), (5,), (9,), (5, 9))
    },
    "fig9": {f"{filters} filters": _with(filters=filters) for filters in (32, 64, 128)},
    "fig10": {f"{size}x{size}": _with(kernel_size=size) for size in (3, 5, 7, 9)},
    "fig11": {f"{side}x{side} patches": _with(patch_size=side) for side in (25, 50, 75, 100)},
    "fig12": {f"a skip every {step} layers": _with(30, skip_step=step) for step in (2, 4, 7)},
}


def ablate(figure, paths, minutes, out):
    """Trains the curves of a figure and draws it.

    Args:
        figure: a key of `FIGURES`.
        paths: pair of lists, the clean images for training and for validation.
        minutes: for all curves together, without their validation.
        out: folder, made if missing; runs that are there already go on, for as long as they were begun for.
    """
    curves, out = FIGURES[figure], Path(out)
    training = dataset.usable(paths[0], patch_size=max(recipe.patch_size for recipe in curves.values()))
    folders = {label: out / ("fig6" if figure == "fig5" else figure) / label for label in curves}
    lengths = (train.begun(folder, ("epochs", "patches_per_image")) for folder in folders.values())
    length = next(filter(None, lengths), None) or _length(curves.values(), training, minutes)
    for label, recipe in curves.items():
        print(f"{figure}: {label}", flush=True)
        recipe = dataclasses.replace(recipe, **length)
        train.train(recipe, training, paths[1], folders[label])
    histories = {label: _history(folder) for label, folder in folders.items()}
    _write(out / f"{figure}.csv", histories)
    if figure == "fig5":
        _draw_details(out / "fig5.png", curves, folders, paths[1])
    else:
        column, title = ("loss", "training loss") if figure == "fig6" else ("PSNR", "validation PSNR in dB")
        draw(out / f"{figure}.png", histories, column, title)


def _length(recipes, training, minutes):
    """Returns epochs and patches per image with which all recipes together take so many minutes."""
    seconds = sum(train.seconds_per_step(recipe) for recipe in recipes)
    patches = 60 * minutes / seconds * BASE.batch_size
    per_image = max(-(-BASE.batch_size // len(training)), round(patches / POINTS / len(training)))
    return {"epochs": max(2, round(patches / per_image / len(training))), "patches_per_image": per_image}


def _history(folder):
    rows = csv_table.read(folder / "history.csv")
    return [{key: float(row[key]) for key in ("patches", "loss", "PSNR")} for row in rows]


def _write(path, histories):
    curves = [{"curve": label, **row} for label, rows in histories.items() for row in rows]
    csv_table.write(path, ["curve", "patches", "loss", "PSNR"], curves)


def draw(path, histories, column, title):
    """Draws one column of histories, {label: rows with `patches`}, against the patches seen, into a PNG."""
    from matplotlib.figure import Figure  # optional, as training is

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    for label, rows in histories.items():
        axes.plot([row["patches"] for row in rows], [row[column] for row in rows], marker=".", label=label)
    axes.set(xlabel="patches", ylabel=title)
    axes.grid(alpha=0.3)
    axes.legend()
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _draw_details(path, curves, folders, validation):
    rows = {}
    for i, photo in enumerate(validation[:3]):
        clean = dataset.read_image(photo, color="gray").astype(np.float32) / 255
        corrupted = NOISE(clean, (0, i)).numpy()
        rows[photo.name] = {"clean": clean, "corrupted": corrupted}
        for label, recipe in curves.items():
            model = recipe.build()
            load_file(model, folders[label] / "weights.npz")
            rows[photo.name][label] = restore(model, corrupted)
    with written_whole(path) as temporary:
        contact.sheet(rows).save(temporary, "PNG")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m recipes.ablations", description=__doc__.splitlines()[0])
    parser.add_argument("figure", choices=FIGURES)
    parser.add_argument("--data", nargs="+", required=True, metavar="FOLDER", help="folders of clean images")
    parser.add_argument("--minutes", type=float, default=10, metavar="NUMBER", help="for all curves together")
    parser.add_argument("--out", default="runs/ablations", metavar="FOLDER")
    options = parser.parse_args(arguments)
    ablate(options.figure, train.split(options.data), options.minutes, options.out)


if __name__ == "__main__":
    main()
