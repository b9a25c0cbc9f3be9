"""What trains best: one setting at a time, for equally many minutes or patches, scored on validation images.

    python -m recipes.study denoise --data bsds500/train t91 --minutes 4
    python -m recipes.study deblock --data bsds500/train t91 --patches 6000

The base of "denoise" is the recipe of gray blind denoising up to v6, fast RED30. Every variant differs from it in one
setting, has its own whole schedule, as long as the minutes allow on this machine, and starts from the same seed. "base,
other seed" tells which differences are chance. A variant with several stages shares the budget among them; each stage
starts from the one before. The studies of other tasks tell what down-sampling costs or gives (Sec. 4.5); those of one
channel go on from the gray denoiser that is down-sampled as they are, or whole where there is none.
"super-resolution-on" tells by which loss v1 of that network best goes on.
recipes/results/study-STUDY.csv gets a row per variant when it has ended. Those that are there for the same budget,
recipe and images are kept, as are those of other budgets, and one that was interrupted goes on. Minutes tell what
starts well, not where a day of training ends.
"""

import argparse
import dataclasses
import json
import zlib
from pathlib import Path

import keras

from keras_rednet import dataset, weights
from keras_rednet.corruptions import BicubicResample, JpegCompression
from keras_rednet.metrics import negative_psnr
from recipes import csv_table, deblock, denoise, speed, super_resolution, tables, train
from recipes.recipe import Recipe

EPOCHS = 8  # each ends with a backup
LENGTH = ("epochs", "patches_per_image", "warmup_steps", "validate_every")  # what a budget sets
FAST = dataclasses.replace(  # as up to v6, before half of its patches were rounded
    train.RECIPES["red30-fast-denoise-blind-gray"],
    corruption=denoise.EVEN,
    validation=denoise.WHITE,
)
WHOLE = train.RECIPES["red30-denoise-blind-gray"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawn(Recipe):
    """A recipe whose network starts from other weights.

    Args:
        initial: "glorot" draws the kernels of all inner layers by Glorot's uniform rule; "not halved" leaves those
            behind a sum at He's full variance; "drawn last layer" draws the last layer too, by Glorot's rule.
    """

    initial: str

    def build(self):
        model = super().build()
        layers = [layer for layer in model.layers if layer.name.startswith(("conv", "deconv"))]
        sums = [layer.output for layer in model.layers if isinstance(layer, keras.layers.ReLU)]
        for i, layer in enumerate(layers):
            kernel, bias = layer.get_weights()
            last = i == len(layers) - 1
            if last if self.initial == "drawn last layer" else self.initial == "glorot" and not last:
                kernel = keras.initializers.GlorotUniform(seed=i)(kernel.shape)
            if self.initial == "not halved" and any(layer.input is total for total in sums):
                kernel = kernel * 2**0.5
            layer.set_weights([kernel, bias])
        return model


def _with(**changes):
    return (dataclasses.replace(FAST, **changes),)


def _drawn(initial):
    fields = {field.name: getattr(FAST, field.name) for field in dataclasses.fields(FAST)}
    return (Drawn(**fields, initial=initial),)


DENOISE = {
    "base": _with(),
    "base, other seed": _with(seed=2),
    "rate 5e-4": _with(learning_rate=5e-4),
    "rate 2e-3": _with(learning_rate=2e-3),
    "no warm-up": _with(warmup_steps=0),
    "constant rate": _with(cosine=False),
    "batches of 2": _with(batch_size=2),
    "batches of 16": _with(batch_size=16),
    "batches of 4, then 16": _with() + _with(batch_size=16, learning_rate=5e-4),
    "patches of 48x48, 16 a batch": _with(patch_size=48, batch_size=16),
    "patches of 64x64, 9 a batch": _with(patch_size=64, batch_size=9),
    "patches of 128x128, 2 a batch": _with(patch_size=128, batch_size=2),
    "48x48, then 96x96": _with(patch_size=48, batch_size=16) + _with(learning_rate=5e-4),
    "a trained teacher": _with(teacher=FAST.name),
    "absolute error": _with(loss="mae"),
    "squared error": _with(loss="mse"),
    "no averaging": _with(ema_momentum=None),
    "float32": _with(precision="float32"),
    "last layer drawn": _drawn("drawn last layer"),
    "sums not halved": _drawn("not halved"),
    "Glorot": _drawn("glorot"),
    "RED10": _with(depth=10),
    "RED20": _with(depth=20),
    "RED20, then RED30": _with(depth=20) + _with(learning_rate=5e-4),
}


def _downsampling(recipe, **changes):
    """Returns variants of a recipe of fast RED30, its base, that are down-sampled elsewhere or nowhere."""
    recipe = dataclasses.replace(recipe, **changes)
    whole = {"downsample_at": ()}
    if recipe.start_from:
        whole["start_from"] = WHOLE.name
    return {
        "base": (recipe,),
        "down-sampled at conv5": (dataclasses.replace(recipe, **whole | {"downsample_at": (5,)}),),
        "not down-sampled": (dataclasses.replace(recipe, **whole),),
    }


FROM_DENOISER = {"start_from": FAST.name, "learning_rate": 5e-4}
SCALES = dataclasses.replace(  # as v1 was trained: on pictures that nobody rounded
    train.RECIPES["red30-fast-super-resolution-blind-gray"],
    corruption=BicubicResample((2, 3, 4)),
    validation={f"scale {scale}": resample for scale, resample in super_resolution.SCALES.items()},
    loss="mae",
)
DEBLOCK = dataclasses.replace(  # as v1 was trained
    train.RECIPES["red30-fast-deblock-blind-gray"],
    corruption=JpegCompression((5, 60), random_grid=True),
    validation={f"quality {quality}": deblock.QUALITIES[quality] for quality in (10, 20)},
    loss="mae",
)
# v1 is no longer shipped: to repeat this study take it from commit 8b808eb
SCALES_ON = dataclasses.replace(SCALES, start_from=f"{SCALES.name}-v1", learning_rate=5e-4, precision="float32")
STUDIES = {
    "denoise": DENOISE,
    "deblur-disk": _downsampling(train.RECIPES["red30-fast-deblur-disk-color"]),
    "super-resolution": _downsampling(SCALES, **FROM_DENOISER),
    "super-resolution-on": {
        "base": (SCALES_ON,),
        "decibels": (dataclasses.replace(SCALES_ON, loss=negative_psnr),),
        "squared error": (dataclasses.replace(SCALES_ON, loss="mse"),),
    },
    "deblock": _downsampling(DEBLOCK, **FROM_DENOISER),
}


def study(name, variants, paths, budget, out, result=None):
    """Trains variants for equally long and writes the table.

    Args:
        name: of the study, a key of `STUDIES`.
        variants: names, keys of the study.
        paths: pair of lists, the clean images for training and for validation.
        budget: of each variant, without its validation: a pair (4.0, "minutes") or (6000, "patches").
        out: folder of the runs, made if missing.
        result: the table, a CSV file, or None for the one of the study in recipes/results.
    """
    result = result or tables.RESULTS / f"study-{name}.csv"
    spent = " ".join(map(str, budget))
    wanted = {
        variant: {"variant": variant, "budget": spent, "recipe": _digest(stages, paths)}
        for variant, stages in STUDIES[name].items()
    }
    for variant in variants:
        if wanted[variant] in map(_run, csv_table.read(result)):
            continue
        print(variant, flush=True)
        row = wanted[variant] | _trained(STUDIES[name][variant], paths, budget, Path(out) / name / spent / variant)
        rows = csv_table.read(result)  # another variant may have ended meanwhile
        kept = [old for old in rows if old["budget"] != spent or _run(old) in wanted.values()]
        if len(kept) < len(rows):
            print(f"left out {len(rows) - len(kept)} rows of other recipes or images", flush=True)
        _write(result, [*kept, row], list(STUDIES[name]))


def _run(row):
    return {key: row.get(key) for key in ("variant", "budget", "recipe")}


def _digest(stages, paths):
    """Returns what tells one training from another: a checksum of its images and of its recipes' settings.

    None is a setting that is off and does not count: so recipes stay what they are when there is a new one to set.
    """
    described = [train.describe(recipe, *paths) for recipe in stages]
    settings = [{key: value for key, value in part["recipe"].items() if value is not None} for part in described]
    described = [settings, *(described[0][key] for key in ("training_images", "validation_images"))]
    return f"{zlib.crc32(json.dumps(described).encode()):08x}"


def _trained(stages, paths, budget, folder):
    start, patches, seconds = stages[0].start_from, 0, 0
    amount, unit = budget
    for i, recipe in enumerate(stages):
        training = dataset.usable(paths[0], patch_size=recipe.patch_size)
        length = train.begun(folder / str(i), LENGTH) or _length(recipe, len(training), amount / len(stages), unit)
        recipe = dataclasses.replace(recipe, **length, start_from=start)
        train.train(recipe, training, paths[1], folder / str(i))
        start = str(folder / str(i) / "weights.npz")
        (*_, end) = history = csv_table.read(folder / str(i) / "history.csv")
        patches += int(end["patches"])
        seconds += sum(int(end["patches"]) / len(history) / float(row["patches_per_second"]) for row in history)
    scores = {name: float(end[name]) for name in recipe.validation}
    return {
        **{"patches": patches, "patches_per_second": f"{patches / seconds:.1f}"},
        **{name: f"{score:.3f}" for name, score in scores.items()},
        **{"mean": f"{sum(scores.values()) / len(scores):.3f}", "difference": "", "backend": keras.backend.backend()},
        **{"processor": speed.processor(), "commit": weights.read_record(start)["commit"]},
    }


def _length(recipe, images, amount, unit):
    """Returns the epochs and patches per image that a budget allows, and a warm-up that ends within them."""
    patches = amount
    if unit == "minutes":
        patches *= 60 / train.seconds_per_step(recipe) * recipe.batch_size
    per_image = max(-(-recipe.batch_size // images), round(patches / EPOCHS / images))
    epochs = max(1, round(patches / per_image / images))
    steps = epochs * per_image * images // recipe.batch_size
    warmup = min(recipe.warmup_steps, steps // 5)
    return {"epochs": epochs, "patches_per_image": per_image, "warmup_steps": warmup, "validate_every": epochs}


def _write(path, rows, order):
    columns = list(dict.fromkeys(key for row in [rows[-1], *rows] for key in row))
    bases = {row["budget"]: float(row["mean"]) for row in rows if row["variant"] == "base"}
    rows = [
        row | {"difference": f"{float(row['mean']) - bases[row['budget']]:+.3f}" if row["budget"] in bases else ""}
        for row in rows
    ]
    rows.sort(key=lambda row: (row["budget"], [*order, row["variant"]].index(row["variant"])))
    csv_table.write(path, columns, rows)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m recipes.study", description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=STUDIES, metavar="STUDY", help=", ".join(STUDIES))
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help="all without it")
    parser.add_argument("--data", nargs="+", required=True, metavar="FOLDER", help="folders of clean images")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=4.0, metavar="NUMBER", help="for each variant")
    length.add_argument("--patches", type=int, metavar="NUMBER", help="for each variant, instead of minutes")
    parser.add_argument("--out", default="runs/study", metavar="FOLDER")
    options = parser.parse_args(arguments)
    known = STUDIES[options.study]
    if unknown := set(options.variants) - set(known):
        parser.error(f"name variants of {', '.join(known)}. Received: {', '.join(sorted(unknown))}")
    paths = train.split(options.data)
    budget = (options.patches, "patches") if options.patches else (options.minutes, "minutes")
    study(options.study, options.variants or list(known), paths, budget, options.out)


if __name__ == "__main__":
    main()
