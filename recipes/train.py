"""Trains a recipe: `python -m recipes.train red30-fast-denoise-blind-gray --data FOLDER... --out RUN`.

Run it again with the same arguments after an interruption and it goes on from the last finished epoch, to the same
weights: bit for bit on processors, up to the order in which they add on GPUs. In the output folder:

    recipe.json      the recipe, seed, data, commit and versions with which the run began
    history.csv      a row per epoch: loss, learning rate, patches per second, validation PSNR by corruption
    weights.npz      the averaged weights that were best on the validation images, with weights.json, their record
    backup/          the last finished epoch, for a resumed run
    tensorboard/     the scalars and restored pictures
"""

import argparse
import contextlib
import dataclasses
import functools
import importlib.metadata
import importlib.util
import json
import re
import subprocess
import time
import warnings
import zlib
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_rednet import dataset, restore, weights
from keras_rednet.evaluation import Protocol, evaluate
from keras_rednet.geometry import ORIENTATIONS
from keras_rednet.metrics import SSIM_WINDOW
from keras_rednet.precision import computing_in, emulates_bfloat16
from recipes import csv_table, deblock, deblur, denoise, distill, distribute, inpaint, super_resolution
from recipes.bound import bound
from recipes.eight_bits import rounded
from recipes.recipe import record_of
from recipes.revive import revive

RECIPES = {
    name: recipe
    for task in (denoise, super_resolution, deblock, deblur, inpaint)
    for name, recipe in task.RECIPES.items()
}

VALIDATION_EVERY = 20  # every 20th image, by name, is held out of training
VALIDATION_IMAGES = 8  # of those are scored during training
VALIDATION_CROP = 240  # pixels, centred: seconds instead of minutes
NUMBERS = {
    "epochs": int,
    "patch_size": int,
    "batch_size": int,
    "patches_per_image": int,
    "learning_rate": float,
    "teacher_orientations": int,
}
PRECISIONS = ("mixed_bfloat16", "float32")
MEASURED_STEPS = 10
REVIVAL_PATCHES = 128  # tell which feature maps of earlier weights are dead

# Of bsds500/train: photographs that are, cropped or rescaled, in Set5, Set12 (found by recipes/leaks.py) and a test set
# that is not used here. Of T91: a second copy.
TEST_IMAGES = ("302003", "12003", "67079", "t65")


def split(folders):
    """Returns (training paths, validation paths) of image folders: every 20th by name is held out, no test image.

    Files that are no images, or too small to be scored, are left out, and a warning names them.
    """
    paths = [path for folder in folders for path in dataset.list_images(folder)]
    if named := [str(path) for path in paths if path.stem in TEST_IMAGES]:
        message = "Left out %d files by their names, which test images have in BSDS500 and T91: %s"
        warnings.warn(message % (len(named), ", ".join(named)), stacklevel=2)
    paths = [path for path in paths if path.stem not in TEST_IMAGES]
    paths = dataset.usable(paths, patch_size=SSIM_WINDOW)
    paths.sort(key=lambda path: path.name)
    validation = paths[::VALIDATION_EVERY]
    held_out = set(validation)
    return [path for path in paths if path not in held_out], validation


def train(recipe, training, validation, out):
    """Trains `recipe` with model.fit, or resumes, and returns the trained network.

    Args:
        recipe: `Recipe`.
        training: paths of clean images, or `dataset.Images`. Files that are broken or smaller than a patch are left
            out, and a warning names them.
        validation: paths of clean images.
        out: the folder of the run, see above; made if missing.

    Returns:
        keras.Model: float32, with the averaged weights of the last epoch.

    Raises:
        ValueError: `out` holds another recipe's run, or one that another process is training, or whose backup is lost.
        ImportError: TensorBoard is not installed.
    """
    dataset.keep_tensorflow_off_gpus()
    if importlib.util.find_spec("tensorboard") is None:
        raise ImportError('Training needs what the extra [train] brings: pip install "keras_rednet[cpu,train]".')
    if recipe.precision == "mixed_bfloat16" and emulates_bfloat16():
        warnings.warn(
            "This processor is no match for bfloat16: steps take many times as long as in float32 (16 times on an "
            "AMD EPYC with AVX2 only). Start a new run with --precision float32.",
            stacklevel=2,
        )
    if not isinstance(training, dataset.Images):
        training = dataset.usable(training, patch_size=recipe.patch_size)
    out = Path(out)
    description = describe(recipe, training, validation)
    _check_same_everywhere(description)
    first = distribute.shard()[0] == 0  # the only process that writes, or needs what was written
    with contextlib.ExitStack() as stack:
        if first:
            out.mkdir(parents=True, exist_ok=True)
            try:  # two processes would replace each other's results
                stack.enter_context(weights.locked(out / ".lock", wait=False))
            except BlockingIOError:
                words = f"Another process is training in {out}: wait for it, or choose another --out."
                raise ValueError(words) from None
        return _train(recipe, training, validation, out, description)


def _train(recipe, training, validation, out, description):
    """Trains in a folder that is there, for `train`; `description` says what the run is."""
    process, processes = distribute.shard()
    first = process == 0
    backup = Backup(out / "backup", first)
    if first:
        _check_backup(out, backup.epoch)
        description = _described(out / "recipe.json", description, recipe, begun=backup.epoch > 0)
    (seed,) = distribute.from_first([np.int32(description.get("patch_seed", 0))])
    if backup.epoch:  # its weights are in the backup
        recipe = dataclasses.replace(recipe, start_from=None)
    elif recipe.start_from:
        _warn_of_seen(recipe, validation)
    keras.utils.set_random_seed(recipe.seed)
    with computing_in("float32"):
        averaged = recipe.build()
    epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
    images = training if isinstance(training, dataset.Images) else dataset.from_files(training)
    patches = _patches(recipe, images, epoch, int(seed), (process, processes))
    steps = int(patches.cardinality())
    if not steps:
        raise ValueError(
            f"An epoch must hold a batch of {recipe.batch_size} patches. Received: {recipe.patches_per_image} patches "
            "from each image, which are too few; raise --patches-per-image."
        )
    if recipe.start_from:
        some = _patches(recipe, images, epoch, int(seed), (0, 1)).take(-(-REVIVAL_PATCHES // recipe.batch_size))
        count = revive(averaged, np.concatenate([batch for batch, _ in some]), recipe.seed)
        print(f"redrew {count} dead feature maps", flush=True)
    with distribute.scope():
        model, trained = compiled(recipe, steps * recipe.epochs)
        model.set_weights(averaged.get_weights())
        backup.restore(model, trained)
        crops = clean_crops(validation, recipe.color)
        report = Report(recipe, model, averaged, crops, out, steps, description, first)
        callbacks = [EpochNumber(epoch), report, backup]
        options = {"epochs": recipe.epochs, "initial_epoch": backup.epoch, "shuffle": False, "verbose": 0}
        try:
            trained.fit(patches, callbacks=callbacks, **options)
        except tf.errors.OpError as error:  # of the pipeline: an image of a data set that is broken or too small
            raise ValueError(f"Training stopped: {error.message}") from error
        report.average_weights()
    return averaged


def _check_backup(out, epoch):
    """Raises ValueError where a run went further than its backup: to repeat so much would replace its weights."""
    reached = max((int(row["epoch"]) for row in csv_table.read(out / "history.csv")), default=0)
    if reached > epoch + 1:  # an interruption repeats one at most
        raise ValueError(
            f"{out} holds a run of {reached} epochs, and the backup of {epoch or 'none'}: it would be trained anew "
            "from there. Choose another --out, or bring back its backup/."
        )


def _patch_seed(recipe):
    """Returns the seed of patches and corruptions: weights that are gone on from have seen those of their own run."""
    if recipe.start_from is None:
        return recipe.seed
    start = origin(recipe.start_from, of_these_bytes=True)
    return zlib.crc32(f"{recipe.seed} {start}".encode()) & 0x7FFFFFFF


def _warn_of_seen(recipe, validation):
    """Warns of validation images on which the weights that a run begins with were trained."""
    seen = record_of(recipe.start_from)["training_images"]
    if both := sorted({path.name for path in validation} & set(seen)):
        warnings.warn(
            f"{recipe.start_from} was trained on images of this validation, whose scores will be too good: "
            f"{', '.join(both[:5])}. With its own --data, none of them is.",
            stacklevel=3,
        )


def _patches(recipe, images, epoch, seed, shard):
    devices = distribute.replicas()
    if recipe.batch_size % devices:
        raise ValueError(
            f"A batch is split between {devices} devices, so `batch_size` must be a multiple of that. Received: "
            f"batch_size={recipe.batch_size}; choose another --batch-size, or show fewer GPUs (CUDA_VISIBLE_DEVICES)."
        )
    return dataset.training_patches(
        images,
        recipe.corruption,
        color=recipe.color,
        patch_size=recipe.patch_size,
        patches_per_image=recipe.patches_per_image,
        batch_size=recipe.batch_size,
        scale_range=recipe.scale_range,
        contrast_range=recipe.contrast_range,
        grain_range=recipe.grain_range,
        epoch=epoch,
        seed=seed,
        shard=shard,
    )


class EpochNumber(keras.callbacks.Callback):
    """Tells the data pipeline which epoch it is, so that a resumed epoch draws the patches it would have drawn."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch.assign(epoch)


class Backup(keras.callbacks.Callback):
    """Keeps weights and optimizer state of the last finished epoch, in a file that is there whole or not at all.

    Its name is the number of finished epochs. (Keras' BackupAndRestore writes weights and epoch number one after the
    other, in place: killed in between, a run would repeat an epoch or never start again. And HDF5, in which Keras
    saves, crashes Python when the disk is full.)
    """

    def __init__(self, folder, first=True):
        super().__init__()
        self.folder, self.first = folder, first
        epoch = 0
        if first:
            epoch = max((int(path.name.split(".")[0]) for path in folder.glob("[0-9]*.npz")), default=0)
        self.epoch = int(distribute.from_first([np.int32(epoch)])[0])

    def restore(self, model, trained):
        """Gives the network, and the optimizer of what `fit` trains, the last finished epoch, in every process."""
        trained.optimizer.build(trained.trainable_variables)
        self.variables = [*model.variables, *trained.optimizer.variables]
        values = [keras.ops.convert_to_numpy(variable) for variable in self.variables]
        if self.first:
            self.folder.mkdir(exist_ok=True)
        if self.first and self.epoch:
            with np.load(self._path(self.epoch)) as arrays:
                values = [arrays[str(i)] for i in range(len(values))]
        for variable, value in zip(self.variables, distribute.from_first(values), strict=True):
            variable.assign(value)

    def on_epoch_end(self, epoch, logs=None):
        if not self.first:
            return
        with weights.written_whole(self._path(epoch + 1)) as path:
            arrays = {str(i): keras.ops.convert_to_numpy(v) for i, v in enumerate(self.variables)}
            np.savez(path, **arrays)
        self._path(epoch).unlink(missing_ok=True)

    def _path(self, epoch):
        return self.folder / f"{epoch}.npz"


class Report(keras.callbacks.Callback):
    """Scores the averaged weights, keeps the best, and writes what the run did: a line, history.csv, TensorBoard."""

    def __init__(self, recipe, network, averaged, images, out, steps, description, first=True):
        super().__init__()
        self.description, self.first, self.network, self.averaged = description, first, network, averaged
        self.recipe, self.images, self.out, self.steps = recipe, images, out, steps
        self.history = out / "history.csv"
        self.board = tf.summary.create_file_writer(str(out / "tensorboard")) if first else None

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self.start
        if not np.isfinite(logs["loss"]):
            raise ValueError(
                f"The loss must stay finite. Received: {logs['loss']} in epoch {epoch + 1}: the run has diverged; "
                "start another with a lower --learning-rate."
            )
        row = {
            "epoch": epoch + 1,
            "patches": (epoch + 1) * self.steps * self.recipe.batch_size,
            "loss": logs["loss"],
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "patches_per_second": self.steps * self.recipe.batch_size / seconds,
        }
        if (epoch + 1) % self.recipe.validate_every == 0 or epoch + 1 == self.recipe.epochs:
            self.average_weights()
            if self.first:
                with distribute.alone():
                    row |= self._validate(epoch)
        if not self.first:
            return
        self._write(row)
        left = (self.recipe.epochs - epoch - 1) * seconds / 60
        scores = "".join(f"  {name} {row[name]:.2f} dB" for name in self.recipe.validation if name in row)
        print(
            f"epoch {epoch + 1}/{self.recipe.epochs}  loss {row['loss']:.6f}  "
            f"{row['patches_per_second']:.0f} patches/s{scores}  {left:.0f} min left",
            flush=True,
        )

    def _validate(self, epoch):
        scores, pictures = {}, {}
        for name in self.recipe.validation:
            pictures[name] = []
            scores[name] = validate(self._restorer(pictures[name]), self.images, self.recipe, name)
        with self.board.as_default(step=epoch + 1):
            for name, pairs in pictures.items():
                for (image, _), pair in zip(self.images, pairs, strict=True):  # corrupted and restored, side by side
                    tag = f"{name}/{image}".encode(errors="backslashreplace").decode()  # names may hold any bytes
                    tf.summary.image(tag, np.clip(np.concatenate(pair, axis=1), 0, 1)[None])
        mean = float(np.mean(list(scores.values())))
        if mean > self._best():
            self._keep(epoch, scores)
        return {**scores, "validation_mean": mean}

    def average_weights(self):
        """Puts the moving averages into `averaged`; the trained weights stay as they are."""
        trained = self.network.get_weights()
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        self.averaged.set_weights(self.network.get_weights())
        self.network.set_weights(trained)

    def _restorer(self, pictures):
        def restore(corrupted):
            restored = keras.ops.convert_to_numpy(self.averaged(corrupted[None], training=False))[0]
            pictures.append((corrupted, restored))
            return restored

        return restore

    def _best(self):
        return max((float(row["validation_mean"]) for row in self._rows() if row["validation_mean"]), default=-np.inf)

    def _rows(self):
        return csv_table.read(self.history)

    def _write(self, row):
        columns = ["epoch", "patches", "loss", "learning_rate", "patches_per_second"]
        columns += [*self.recipe.validation, "validation_mean"]
        rows = [old for old in self._rows() if int(old["epoch"]) < row["epoch"]]  # a resumed run repeats an epoch
        csv_table.write(self.history, columns, [*rows, row])
        with self.board.as_default(step=row["epoch"]):
            for name in columns[2:]:
                if name in row:
                    tf.summary.scalar(name, row[name])
        self.board.flush()

    def _keep(self, epoch, scores):
        patches = (epoch + 1) * self.steps * self.recipe.batch_size
        validated = {"validation_protocol": protocol(self.images), "validation_psnr": scores}
        progress = {"epoch": epoch + 1, "patches": patches, **validated}
        record = {**self.description, **progress}
        weights.save(self.averaged, self.out / "weights.npz", record)


def validate(restorer, images, recipe, name):
    """Returns the PSNR on the validation images, pairs (name, clean), under one of a recipe's corruptions, by name."""
    rows = evaluate(restorer, images, recipe.validation[name], Protocol(color=recipe.color))
    return float(rows[-1]["psnr"])


def scores(model, images, recipe, names):
    """Returns {name: PSNR of a network under that corruption of a recipe's} on the validation images."""
    return {name: validate(lambda corrupted: restore(model, corrupted), images, recipe, name) for name in names}


def validation_images(data, record, color):
    """Returns the images on which the weights of a record were validated, as `clean_crops` does.

    Args:
        data: folders of their training; ValueError if these hold other images.
    """
    training, validation = split(data)
    for paths in (validation, sorted(training + validation, key=lambda path: path.name)):  # all, where --tfds trained
        images = clean_crops(paths, color)
        if [name for name, _ in images] == record["validation_protocol"]["images"]:
            return images
    raise ValueError("--data must be the folders of the training: their validation images are others.")


def protocol(images):
    """Returns how the validation images, pairs (name, clean), are scored, for a record."""
    return {"images": [name for name, _ in images], "centre_crop": VALIDATION_CROP, "seed": Protocol().seed}


def compiled(recipe, steps):
    """Returns a recipe's fresh network in its dtype policy, and what `fit` trains, perhaps in its place."""
    with computing_in(recipe.precision):
        model = dataclasses.replace(recipe, start_from=None).build()
        teacher = recipe.build_teacher() if recipe.teacher else None
    if recipe.activation_limit:
        bound(model, recipe.activation_limit)
    trained, loss = rounded(model) if recipe.eight_bits else model, recipe.loss
    if teacher:
        orientations = 1 if recipe.teacher_orientations is None else recipe.teacher_orientations
        trained, loss = distill.taught(trained, teacher, orientations), distill.error
    trained.compile(_adam(recipe, steps), loss)  # by XLA, but for TensorFlow on a CPU, where oneDNN is faster
    return model, trained


def seconds_per_step(recipe):
    """Returns how long a training step of a recipe takes on this machine, measured on a few."""
    _, model = compiled(recipe, MEASURED_STEPS)
    batch = np.zeros((recipe.batch_size, recipe.patch_size, recipe.patch_size, recipe.channels), np.float32)
    model.train_on_batch(batch, batch)
    start = time.perf_counter()
    for _ in range(MEASURED_STEPS):
        model.train_on_batch(batch, batch)
    return (time.perf_counter() - start) / MEASURED_STEPS


def _precision(recipe, out):
    """Returns that of the run in the folder `out`, or for a new one a recipe's, but for processors slow at that."""
    if before := begun(out, ["precision"]):
        return before["precision"]
    if recipe.precision == "mixed_bfloat16" and emulates_bfloat16():
        print("trains in float32: this processor is slow at bfloat16", flush=True)
        return "float32"
    return recipe.precision


def begun(out, fields):
    """Returns {field: value} of the recipe of the run in the folder `out`, or None if none has begun there."""
    path = Path(out) / "recipe.json"
    if not (path.exists() and _has_trained(path.parent)):
        return None
    return {field: json.loads(path.read_text())["recipe"][field] for field in fields}


def _has_trained(out):
    """Tells whether anything would be lost if the run in a folder were forgotten."""
    return (out / "weights.npz").exists() or any((out / "backup").glob("*.npz"))


def _adam(recipe, steps):
    rate, warmup = recipe.learning_rate, min(recipe.warmup_steps, steps // 3)  # of few images a run is short
    if recipe.cosine or warmup:
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0,
            warmup_target=rate,
            warmup_steps=warmup,
            decay_steps=max(1, steps - warmup),
            alpha=0.0 if recipe.cosine else 1.0,
        )
    averaging = {"use_ema": True, "ema_momentum": recipe.ema_momentum} if recipe.ema_momentum else {}
    return distribute.adam(rate, recipe.clipnorm, **averaging)


def clean_crops(paths, color):
    """Returns pairs (name, clean) of the middles of the first validation images."""
    crops = []
    for path in paths[:VALIDATION_IMAGES]:
        crop = dataset.middle(dataset.read_image(path, color=color), VALIDATION_CROP)
        crops.append((path.name, crop.astype(np.float32) / 255))
    return crops


def describe(recipe, training, validation):
    """Returns what a run is made of, for its record; arguments as in `train`."""
    return {
        "recipe": {key: _plain(value) for key, value in dataclasses.asdict(recipe).items()}
        | {
            "loss": getattr(recipe.loss, "__name__", recipe.loss),
            "start_from": origin(recipe.start_from),
            "teacher": origin(recipe.teacher, of_these_bytes=True),
            "corruption": repr(recipe.corruption),
            "validation": described_validation(recipe),
        },
        "training_images": training.name if isinstance(training, dataset.Images) else [path.name for path in training],
        "validation_images": [path.name for path in validation],
        "commit": commit(),
        "backend": keras.backend.backend(),
        "versions": {name: importlib.metadata.version(name) for name in ("keras", "numpy", "pillow", *_engines())},
    }


def described_validation(recipe):
    """Returns {name: what a corruption of a recipe's validation is, in words}."""
    return {name: repr(corruption) for name, corruption in recipe.validation.items()}


@functools.cache  # looks into all packages
def _engines():
    """Returns the packages that make the noise and compute, as they are installed."""
    found = importlib.metadata.packages_distributions()
    return [found[name][0] for name in dict.fromkeys(["tensorflow", keras.backend.backend()]) if name in found]


def origin(start_from, of_these_bytes=False):
    """Returns shipped weights with their version, or a run's file without the folders of this machine."""
    if start_from is None or str(start_from).endswith(".npz"):
        name = start_from and "/".join(Path(start_from).parts[-2:])
        return f"{name} {weights.read_record(start_from).get('sha256')}" if name and of_these_bytes else name
    return weights.versioned(start_from)


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


def commit():
    """Returns the commit of this source, or "unknown" where it is installed rather than checked out."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:  # there is no git
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def commits(*parts):
    """Returns the commits of the parts of what was made, each once."""
    return ", ".join(dict.fromkeys(", ".join(parts).split(", ")))


def _check_same_everywhere(description):
    """Raises ValueError in a process whose run is not that of process 0: together they would train nonsense."""
    run = json.dumps([description[key] for key in ("recipe", "training_images")])
    digest = zlib.crc32(run.encode()) & 0x7FFFFFFF
    if (expected := int(distribute.from_first([np.int32(digest)])[0])) != digest:
        raise ValueError(
            "All processes must be started with the same recipe and the same training images, by name. Expected, from "
            f"process 0: checksum {expected}. Received: {digest}, of {run[:300]}..."
        )


def _described(path, description, recipe, begun):
    """Writes a run's description, with the commits of all its parts, and returns it; refuses to mix two runs."""
    before = {}
    if path.exists() and _has_trained(path.parent):
        before = json.loads(path.read_text())
        start, now = (run["recipe"]["start_from"] for run in (before, description))
        if begun and _unversioned(start) == _unversioned(now):
            description["recipe"]["start_from"] = start  # of which a newer version may have been shipped since
        for key in ("recipe", "training_images", "validation_images", "backend"):
            expected, received = _differences(before[key], description[key])
            if expected != received:
                raise ValueError(
                    f"{path.parent} holds a run with another {key}: resume it with the same arguments, or choose "
                    f"another --out. Expected: {expected!r}. Received: {received!r}."
                )
        description = description | {"commit": commits(before["commit"], description["commit"])}
    seed = before.get("patch_seed", recipe.seed) if begun else _patch_seed(recipe)
    blended = before.get("start_blended")
    if recipe.start_from and not begun:
        blended = record_of(recipe.start_from).get("blended")
    description = description | {"patch_seed": seed} | ({"start_blended": blended} if blended else {})
    with weights.written_whole(path) as file:
        file.write_text(json.dumps(description, indent=1))
    return description


def _unversioned(name):
    return name and re.sub(r"-v\d+$", "", name)


def _differences(before, now):
    """Returns what differs between two descriptions, of each its own."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return before, now
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return {key: before.get(key) for key in keys}, {key: now.get(key) for key in keys}


class _List(argparse.Action):
    def __init__(self, **options):
        super().__init__(nargs=0, **options)

    def __call__(self, parser, namespace, values, option_string=None):
        print("\n".join(RECIPES))
        parser.exit()


def main(arguments=None, program="python -m recipes.train"):
    parser = argparse.ArgumentParser(prog=program, description=__doc__.splitlines()[0])
    parser.add_argument("recipe", choices=sorted(RECIPES), metavar="RECIPE", help="see --list")
    parser.add_argument("--list", action=_List, help="print the names of all recipes")
    parser.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="FOLDER",
        help=f"folders of clean images; every {VALIDATION_EVERY}th, by name, is held out to validate",
    )
    parser.add_argument("--tfds", metavar="NAME", help="train on this TensorFlow data set; --data validates")
    parser.add_argument("--feature", default="image", help="its feature that holds the clean image")
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="the folder of the run; an interrupted run resumes"
    )
    parser.add_argument("--start-from", metavar="WEIGHTS", help="go on from shipped weights, or a run's .npz")
    parser.add_argument("--teacher", metavar="WEIGHTS", help="of a better network to learn from, named likewise")
    for name, kind in NUMBERS.items():
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=kind, metavar="NUMBER", help="instead of the recipe's")
    parser.add_argument(
        "--precision", choices=PRECISIONS, help="instead of the recipe's, or float32 on processors slow at bfloat16"
    )
    rounds = "round feature maps as int8 files do: for a last stage; takes half as long again"
    parser.add_argument("--eight-bits", action="store_true", default=None, help=rounds)
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="of process 0, to train on several machines")
    parser.add_argument("--processes", type=int, default=1, metavar="NUMBER", help="that train together")
    parser.add_argument("--process", type=int, default=0, metavar="NUMBER", help="of this one, from 0")
    parser.add_argument("--smoke", action="store_true", help="the same recipe made small: a minute to see that it runs")
    options = parser.parse_args(arguments)
    for name, value in vars(options).items():
        if value == "" or (isinstance(value, list) and "" in value):  # a variable of the shell that is not set
            parser.error(f"--{name.replace('_', '-')} must not be empty")
    for name, kind in NUMBERS.items():
        value, least = getattr(options, name), "at least 1" if kind is int else "above 0"
        if value is not None and not (value >= 1 if kind is int else 0 < value < float("inf")):
            parser.error(f"--{name.replace('_', '-')} must be {least}. Received: {value}")
    if options.smoke and (options.start_from or options.teacher):
        parser.error("--smoke trains a smaller network, which starts afresh: leave out --start-from and --teacher")
    if options.teacher_orientations is not None:
        if not options.teacher:
            parser.error("--teacher-orientations needs --teacher")
        if options.teacher_orientations not in range(1, ORIENTATIONS + 1):
            parser.error(
                f"--teacher-orientations must be 1 to {ORIENTATIONS}. Received: {options.teacher_orientations}"
            )
    if options.coordinator is None and (options.processes, options.process) != (1, 0):
        parser.error("several processes need --coordinator, the address of process 0")
    names = ("start_from", "teacher", "precision", "eight_bits", *NUMBERS)
    changes = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    recipe = RECIPES[options.recipe]
    recipe = dataclasses.replace(recipe.smoke() if options.smoke else recipe, **changes)
    if options.precision is None:
        recipe = dataclasses.replace(recipe, precision=_precision(recipe, options.out))
    together = contextlib.nullcontext()
    if options.coordinator:
        together = distribute.joined(options.coordinator, options.processes, options.process)
    with together:
        dataset.keep_tensorflow_off_gpus()
        training, validation = split(options.data)
        if options.tfds:
            exclude_ids = TEST_IMAGES if options.tfds.startswith("bsds500") else ()
            images = dataset.from_tfds(options.tfds, feature=options.feature, exclude_ids=exclude_ids)
            training, validation = images, sorted(training + validation, key=lambda path: path.name)
        if not training:
            raise ValueError("Training needs at least two images, one of which validates. Received: 1 that is usable.")
        train(recipe, training, validation, options.out)
    return 0


if __name__ == "__main__":
    main()
