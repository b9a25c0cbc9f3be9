import contextlib
import csv
import dataclasses
import io
import json
import os
import re
import shutil
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import RECORD
from PIL import Image
from test_model import with_random_weights

from keras_rednet import RED10, RED20, RED30, dataset, weights
from keras_rednet.model import TASK_CHANNELS, TASK_LEVELS
from recipes import ship, train
from recipes.recipe import stem


def smoke(name="red10-fast-denoise-blind-gray"):
    """A recipe made small, in float32: processors that have no bfloat16 take many times as long to emulate it."""
    return dataclasses.replace(train.RECIPES[name].smoke(), precision="float32")


RUNS = (
    "denoise-paper",
    "red10-fast-super-resolution-blind-gray",
    "red10-fast-deblur-disk-color",
)


@pytest.mark.parametrize("name", RUNS)
def test_recipes_train(name, photos, tmp_path):
    recipe = train.RECIPES[name].smoke()
    training, validation = train.split([photos])
    model = train.train(recipe, training, validation, tmp_path)
    last = f"deconv{recipe.depth // 2}"
    assert any(np.abs(weight).max() > 0 for weight in model.get_layer(last).get_weights())
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(float(row["patches_per_second"]) > 0 for row in rows)
    record = json.loads((tmp_path / "weights.json").read_text())
    assert set(record["validation_psnr"]) == set(recipe.validation)
    assert record["recipe"]["seed"] == recipe.seed
    assert record["training_images"] == [path.name for path in training]
    assert list((tmp_path / "tensorboard").iterdir())


def test_recipes_are_called_by_what_they_make():
    for name, recipe in train.RECIPES.items():
        assert name in (recipe.name, f"{recipe.name}-last", "denoise-paper")
        assert recipe.channels == (3 if recipe.color == "rgb" else 1)


# Every kind of corruption by one network, and every network by one corruption.
KINDS = {
    (re.sub(r"[\d.]+", "", repr(recipe.corruption)), recipe.color): name
    for name, recipe in train.RECIPES.items()
    if "red10-fast" in name
}
STEPS = {*KINDS.values(), *(name for name in train.RECIPES if name.endswith("denoise-blind-gray"))}


@pytest.mark.parametrize("name", sorted(STEPS))
def test_takes_two_steps(name, photos):
    recipe = train.RECIPES[name].smoke()
    model = recipe.build()
    before = model.get_weights()
    images = dataset.from_files(dataset.list_images(photos))
    options = {"color": recipe.color, "batch_size": 2, "patches_per_image": 1, "patch_size": recipe.patch_size}
    epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
    patches = dataset.training_patches(images, recipe.corruption, epoch=epoch, seed=1, **options)
    model.compile("adam", recipe.loss, jit_compile=False, run_eagerly=True)
    losses = [model.train_on_batch(*batch) for batch in patches.take(2)]
    assert np.isfinite(losses).all()
    changed = [np.any(old != new) for old, new in zip(before, model.get_weights(), strict=True)]
    assert np.mean(changed) > 0.9


def test_too_few_patches_for_a_batch(photos, tmp_path):
    recipe = dataclasses.replace(smoke("denoise-paper"), batch_size=99)
    with pytest.raises(ValueError, match="a batch of 99 patches. Received: 4 patches from each image"):
        train.train(recipe, *train.split([photos]), tmp_path)


def test_training_learns(photos, tmp_path):
    recipe = smoke("red30-fast-denoise-blind-gray")
    recipe = dataclasses.replace(
        recipe, filters=8, epochs=6, patches_per_image=40, learning_rate=5e-3, ema_momentum=0.9
    )
    train.train(recipe, *train.split([photos]), tmp_path)
    with (tmp_path / "history.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["sigma 30"]) > 18.6 + 3  # the noisy input has 18.6 dB


def test_split_holds_out_every_20th_and_no_test_image(tmp_path):
    names = [f"{i:03}.png" for i in range(45)]
    for name in (*names, "302003.jpg", "12003.jpg", "67079.jpg", "t65.bmp"):
        Image.new("L", (11, 11)).save(tmp_path / name)
    with pytest.warns(UserWarning, match="Left out 4 files by their names, which test images have .*302003.jpg"):
        training, validation = train.split([tmp_path])
    assert [path.name for path in validation] == ["000.png", "020.png", "040.png"]
    assert sorted(path.name for path in training + validation) == names


def test_broken_images_are_neither_trained_nor_validated_on(photos, tmp_path):
    for path in photos.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "a first.png").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    Image.new("L", (10, 20)).save(tmp_path / "icon.png")
    Image.new("1", (15_000, 15_000)).save(tmp_path / "scan.png")  # an attack, for Pillow
    with pytest.warns(UserWarning, match=r"4 files.*a first.png.*empty.png.*icon.png \(20x10.*scan.png .*bomb"):
        training, validation = train.split([tmp_path])
    assert [path.name for path in validation] == ["photo0.png"]
    assert [path.name for path in training] == [f"photo{i}.png" for i in range(1, 6)]


def epochs_of(folder):
    path = folder / "history.csv"
    return len(path.read_text().splitlines()) - 1 if path.exists() else 0


def test_a_kill_around_a_backup_loses_nothing_but_the_epoch(photos, tmp_path, monkeypatch, capsys):
    recipe = dataclasses.replace(smoke(), epochs=3, filters=2)
    whole = train.train(recipe, *train.split([photos]), tmp_path / "whole").get_weights()
    backup = train.Backup.on_epoch_end
    for moment in ("before the backup", "behind it"):

        def killed(self, epoch, logs=None, moment=moment):
            if epoch == 0 or moment == "behind it":
                backup(self, epoch, logs)
            if epoch == 1:
                (self.folder / ".part-1-2.npz").write_bytes(b"half")
                raise KeyboardInterrupt

        monkeypatch.setattr(train.Backup, "on_epoch_end", killed)
        monkeypatch.setattr(train, "commit", lambda: "0123-dirty")
        with pytest.raises(KeyboardInterrupt):
            train.train(recipe, *train.split([photos]), tmp_path / moment)
        monkeypatch.undo()
        monkeypatch.setattr(train, "commit", lambda: "4567")
        capsys.readouterr()
        resumed = train.train(recipe, *train.split([photos]), tmp_path / moment).get_weights()
        assert "epoch 1/3" not in capsys.readouterr().out
        for expected, received in zip(whole, resumed, strict=True):
            np.testing.assert_array_equal(received, expected)
        assert json.loads((tmp_path / moment / "weights.json").read_text())["commit"] == "0123-dirty, 4567"


def test_a_kill_while_a_backup_is_written_leaves_the_last_one(photos, tmp_path, monkeypatch):
    recipe = dataclasses.replace(smoke(), filters=2)
    backups, savez = [], np.savez

    def killed(path, **arrays):
        if path.parent.name == "backup":
            backups.append(path)
            if len(backups) == 2:
                raise KeyboardInterrupt
        savez(path, **arrays)

    monkeypatch.setattr(train.np, "savez", killed)
    with pytest.raises(KeyboardInterrupt):
        train.train(recipe, *train.split([photos]), tmp_path)
    assert (tmp_path / "backup" / "1.npz") in list((tmp_path / "backup").iterdir())


def test_keeps_the_averaged_weights_that_were_best(photos, tmp_path, monkeypatch):
    recipe = smoke()
    recipe = dataclasses.replace(recipe, epochs=3, filters=2, validate_every=1, ema_momentum=0.9)
    scores = iter(np.repeat([20.0, 30.0, 25.0], len(recipe.validation)).tolist())
    validate, validated = train.validate, train.Report._validate
    monkeypatch.setattr(train, "validate", lambda *run: (validate(*run), next(scores))[1])
    trained, averaged = [], []

    def _validate(self, epoch):
        trained.append(self.network.get_weights())
        averaged.append(self.averaged.get_weights())
        return validated(self, epoch)

    monkeypatch.setattr(train.Report, "_validate", _validate)
    returned = train.train(recipe, *train.split([photos]), tmp_path).get_weights()
    kept = smoke()
    kept = dataclasses.replace(kept, filters=2, start_from=str(tmp_path / "weights.npz")).build().get_weights()
    assert json.loads((tmp_path / "weights.json").read_text())["epoch"] == 2
    for best, last, saved, given in zip(averaged[1], averaged[2], kept, returned, strict=True):
        np.testing.assert_allclose(saved, best, rtol=1e-3, atol=1e-6)  # float16 on disk
        np.testing.assert_array_equal(given, last)
    for values, others in ((averaged[1], averaged[2]), (averaged[2], trained[2])):
        assert any(np.abs(one - other).max() > 1e-4 for one, other in zip(values, others, strict=True))


def test_validation_leaves_what_is_trained_as_it_is(photos, tmp_path):
    recipe = smoke()
    recipe = dataclasses.replace(recipe, epochs=3, filters=2, ema_momentum=0.9)
    for every in (1, 3):
        run = dataclasses.replace(recipe, validate_every=every)
        train.train(run, *train.split([photos]), tmp_path / str(every))
    one, other = (np.load(tmp_path / name / "backup" / "3.npz") for name in ("1", "3"))
    for name in one.files:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("name", ["red30-fast-deblur-disk-color", "red10-fast-denoise-blind-gray"])
def test_what_a_recipe_says_of_patches_reaches_the_pipeline(name, photos, tmp_path, monkeypatch):
    recipe = dataclasses.replace(train.RECIPES[name], seed=5)
    received = {}

    def training_patches(images, corruption, **options):
        received.update(options, corruption=corruption)
        raise InterruptedError

    monkeypatch.setattr(train.dataset, "training_patches", training_patches)
    with pytest.raises(InterruptedError):
        train.train(dataclasses.replace(recipe, patch_size=32), *train.split([photos]), tmp_path)
    fields = ("color", "patches_per_image", "batch_size", "scale_range", "contrast_range", "grain_range", "seed")
    assert {key: received[key] for key in fields} == {key: getattr(recipe, key) for key in fields}
    assert (received["patch_size"], received["corruption"]) == (32, recipe.corruption)


@pytest.mark.parametrize("precision", train.PRECISIONS)
def test_a_recipe_trains_in_its_precision(precision):
    recipe = smoke()
    model, _ = train.compiled(dataclasses.replace(recipe, precision=precision), 10)
    assert model.get_layer("conv2").compute_dtype == precision.removeprefix("mixed_")
    assert keras.config.dtype_policy().name == "float32"


def test_every_network_of_the_package_has_its_recipe(capsys):
    networks = [
        {"depth": depth, "task": task, "level": level, "filters": 64, "downsample_at": at, "channels": channels}
        for task, levels in TASK_LEVELS.items()
        for level in levels
        for channels in ((1, 3) if task == "denoise" and level == "blind" else (TASK_CHANNELS[task],))
        for depth in (10, 20, 30)
        for at in ((), (1,))
    ]
    networks = [network | ({"channels": 3} if network["level"] == "jpeg" else {}) for network in networks]
    assert {stem(network) for network in networks} <= set(train.RECIPES)
    with pytest.raises(SystemExit):
        train.main(["--list"])
    assert capsys.readouterr().out.split() == list(train.RECIPES)


def test_a_short_run_is_not_all_warm_up():
    recipe = train.RECIPES["red10-fast-denoise-blind-gray"]
    rates = [float(train.compiled(recipe, 300)[1].optimizer._learning_rate(step)) for step in (0, 100, 300)]
    np.testing.assert_allclose(rates, [0, recipe.learning_rate, 0], atol=1e-9)


def test_trains_on_a_tensorflow_data_set(photos, tmp_path):
    images = dataclasses.replace(dataset.from_files(dataset.list_images(photos)), name="photos train image")
    train.train(smoke(), images, train.split([photos])[1], tmp_path)
    assert json.loads((tmp_path / "weights.json").read_text())["training_images"] == "photos train image"


def _precision_of_run(out):
    return json.loads((out / "recipe.json").read_text())["recipe"]["precision"]


@pytest.fixture
def only_begun(monkeypatch):
    """Ends every run where it would cut patches, by KeyboardInterrupt."""

    def begun(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "_patches", begun)


@pytest.fixture
def begin(photos, tmp_path, only_begun):
    """Begins a run by the command line."""

    def main(*options):
        with pytest.raises(KeyboardInterrupt):
            train.main(
                ["red10-fast-denoise-blind-gray", "--smoke", "--data", str(photos), "--out", str(tmp_path), *options]
            )

    return main


def test_a_run_in_whose_folder_another_trains_is_refused(photos, tmp_path):
    words = "Another process is training in .*: wait for it, or choose another --out"
    with weights.locked(tmp_path / ".lock", wait=False), pytest.raises(ValueError, match=words):
        train.train(smoke(), *train.split([photos]), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_run_whose_backup_is_lost_is_not_trained_anew(photos, tmp_path):
    recipe = dataclasses.replace(smoke(), filters=2)
    train.train(recipe, *train.split([photos]), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.glob("*.*") if path.is_file()}
    shutil.rmtree(tmp_path / "backup")
    with pytest.raises(ValueError, match="holds a run of 2 epochs, and the backup of none: it would be trained anew"):
        train.train(recipe, *train.split([photos]), tmp_path)
    assert before == {path: path.read_bytes() for path in before}


def test_trains_where_there_is_no_git(monkeypatch):
    def missing(*arguments, **options):
        raise FileNotFoundError("git")

    monkeypatch.setattr("subprocess.run", missing)
    assert train.commit() == "unknown"


@pytest.mark.parametrize("slow", [True, False])
def test_trains_in_the_precision_that_suits_the_processor(begin, tmp_path, monkeypatch, slow):
    monkeypatch.setattr(train, "emulates_bfloat16", lambda: slow)
    begin()
    assert _precision_of_run(tmp_path) == ("float32" if slow else "mixed_bfloat16")
    (tmp_path / "weights.npz").touch()
    monkeypatch.setattr(train, "emulates_bfloat16", lambda: not slow)  # it goes on elsewhere
    with contextlib.nullcontext() if slow else pytest.warns(UserWarning, match="--precision float32"):
        begin()
    assert _precision_of_run(tmp_path) == ("float32" if slow else "mixed_bfloat16")


@pytest.mark.parametrize(("precision", "warned"), [("mixed_bfloat16", True), ("float32", False)])
def test_a_precision_that_is_asked_for_is_taken_and_warned_of_where_slow(
    begin, tmp_path, monkeypatch, precision, warned
):
    monkeypatch.setattr(train, "emulates_bfloat16", lambda: True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        begin("--precision", precision)
    assert any("--precision float32" in str(warning.message) for warning in caught) == warned
    assert _precision_of_run(tmp_path) == precision


def test_smoke_takes_the_options_that_are_given(photos, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(train, "train", lambda recipe, *others: seen.append(recipe))
    name = "red10-fast-denoise-blind-gray"
    options = ["--batch-size", "6", "--precision", "float32"]
    train.main([name, "--smoke", *options, "--data", str(photos), "--out", str(tmp_path)])
    assert seen == [dataclasses.replace(train.RECIPES[name].smoke(), batch_size=6, precision="float32")]


def test_a_run_that_diverges_ends_and_leaves_its_last_backup(photos, tmp_path):
    def loss(clean, restored):
        return keras.ops.mean(restored - clean) * np.nan

    recipe = dataclasses.replace(smoke(), loss=loss)
    with pytest.raises(ValueError, match=r"must stay finite. Received: nan in epoch 1: .* lower --learning-rate"):
        train.train(recipe, *train.split([photos]), tmp_path)
    assert not list((tmp_path / "backup").iterdir())


def test_an_image_of_a_data_set_that_is_too_small_is_named(photos, tmp_path):
    small = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 90), np.uint8)).save(small, "PNG")
    records = tf.data.Dataset.from_tensor_slices([small.getvalue()] * 2)
    images = dataset.Images("small", records, 2, shuffle_buffer=2)
    recipe = smoke()
    with pytest.raises(
        ValueError,
        match=r"(?s)Training stopped: .*An image of the data set is smaller than",
    ):
        train.train(recipe, images, train.split([photos])[1], tmp_path)


def test_a_folder_holds_one_run_only(photos, tmp_path):
    recipe = smoke()
    train.train(recipe, *train.split([photos]), tmp_path)
    (part := tmp_path / "backup" / ".part-1-2.npz").touch()  # of a process that is just writing it, for instance
    differs = r"holds a run with another recipe: .* another --out. Expected: {'seed': 1}. Received: {'seed': 2}."
    with pytest.raises(ValueError, match=differs):
        train.train(dataclasses.replace(recipe, seed=2), *train.split([photos]), tmp_path)
    assert part.exists()
    training, _ = train.split([photos])
    with pytest.raises(ValueError, match="holds a run with another validation_images"):
        train.train(recipe, training, training[:1], tmp_path)


def test_a_folder_where_nothing_was_trained_takes_another_run(photos, tmp_path):
    training, validation = train.split([photos])
    recipe = smoke()
    with pytest.raises(ValueError, match="raise --patches-per-image"):
        train.train(dataclasses.replace(recipe, batch_size=1000), training, validation, tmp_path)
    assert train.begun(tmp_path, ["batch_size"]) is None
    train.train(recipe, training, validation, tmp_path)
    assert train.begun(tmp_path, ["batch_size"]) == {"batch_size": recipe.batch_size}


def test_a_run_resumes_when_a_newer_version_of_its_start_has_been_shipped(photos, tmp_path, monkeypatch):
    name = "red10-fast-denoise-blind-gray"
    recipe = dataclasses.replace(
        train.RECIPES[name].smoke(), filters=64, start_from=name, patches_per_image=2, precision="float32"
    )
    train.train(recipe, *train.split([photos]), tmp_path)
    monkeypatch.setattr(weights, "versioned", lambda name: f"{name}-v99")
    train.train(recipe, *train.split([photos]), tmp_path)
    assert epochs_of(tmp_path) == 2
    start = json.loads((tmp_path / "recipe.json").read_text())["recipe"]["start_from"]
    assert re.fullmatch(name + r"-v\d", start)
    for lost in ("backup/2.npz", "history.csv"):  # now it would begin with the new one
        (tmp_path / lost).unlink()
    with pytest.raises(ValueError, match="holds a run with another recipe: .* Received: {'start_from': .*-v99'}"):
        train.train(recipe, *train.split([photos]), tmp_path)


def test_a_run_that_goes_on_sees_other_patches(photos, tmp_path, monkeypatch):
    seeds, name = [], "red10-fast-denoise-blind-gray"
    patches = dataset.training_patches

    def spy(*arguments, **options):
        seeds.append(options["seed"])
        return patches(*arguments, **options)

    def stop(*arguments, **options):
        seeds.append(options["seed"])
        raise InterruptedError

    monkeypatch.setattr(dataset, "training_patches", spy)
    fresh = train.RECIPES[name].smoke()
    on = dataclasses.replace(fresh, start_from=str(tmp_path / "fresh" / "weights.npz"))
    images = train.split([photos])
    train.train(fresh, *images, tmp_path / "fresh")
    train.train(on, *images, tmp_path / "on")
    monkeypatch.setattr(dataset, "training_patches", stop)
    shipped = dataclasses.replace(fresh, filters=64, start_from=name)
    for recipe, out in ((on, "on"), (shipped, "shipped")):  # the first resumes
        with pytest.raises(InterruptedError):
            train.train(recipe, *images, tmp_path / out)
    assert seeds[0] == fresh.seed
    assert len(set(seeds[1:4])) == 1  # of the patches, of those that tell dead feature maps, and of the resumed run
    assert len({seeds[0], seeds[1], seeds[-1]}) == 3
    path = tmp_path / "on" / "recipe.json"
    begun = json.loads(path.read_text())
    del begun["patch_seed"]
    path.write_text(json.dumps(begun))
    with pytest.raises(InterruptedError):
        train.train(on, *images, tmp_path / "on")
    assert seeds[-1] == fresh.seed  # of a run that began when there was one for all


def test_warns_where_the_start_was_trained_on_the_validation_images(photos, tmp_path, only_begun):
    training, validation = train.split([photos])
    recipe, start = smoke(), tmp_path / "start.npz"
    record = {"recipe": {"depth": 10, "channels": 1}, "training_images": [path.name for path in training]}
    network = with_random_weights(RED10(filters=recipe.filters, downsample_at=(1,), weights=None))
    weights.save(network, start, {**RECORD, **record, "validation_psnr": {}})
    on = dataclasses.replace(recipe, start_from=str(start))
    with pytest.raises(KeyboardInterrupt), pytest.warns(UserWarning, match="trained on images .*: photo1.png"):
        train.train(on, validation * 2, training[:1], tmp_path / "other")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        with pytest.raises(KeyboardInterrupt):
            train.train(on, training, validation, tmp_path / "same")


def test_an_image_whose_name_is_no_text_validates(photos, tmp_path):
    training, validation = train.split([photos])
    strange = tmp_path / os.fsdecode(b"caf\xe9.png")
    strange.write_bytes(validation[0].read_bytes())
    train.train(smoke(), training, [strange], tmp_path / "run")
    assert epochs_of(tmp_path / "run") == 2


def test_weights_are_validated_in_float32(photos, tmp_path, mixed_bfloat16):
    model = train.train(train.RECIPES["red10-fast-denoise-blind-gray"].smoke(), *train.split([photos]), tmp_path)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}


@pytest.fixture
def pretrained(tmp_path, monkeypatch):
    folder = tmp_path / "pretrained"
    folder.mkdir()
    (folder / "weights.json").write_text("{}")
    monkeypatch.setattr(weights, "PRETRAINED", folder)
    return folder


def test_ships_the_weights_of_a_run_and_only_better_ones(photos, tmp_path, pretrained, monkeypatch):
    monkeypatch.setattr(train, "commit", lambda: "0" * 40)
    recipe = dataclasses.replace(smoke(), filters=64, patches_per_image=2)
    train.train(recipe, *train.split([photos]), tmp_path / "run")
    assert ship.ship(tmp_path / "run") == "red10-fast-denoise-blind-gray-v1"
    network = {"depth": 10, "task": "denoise", "level": "blind", "filters": 64, "downsample_at": (1,), "channels": 1}
    assert weights.find(**network) == "red10-fast-denoise-blind-gray-v1"
    with pytest.raises(ValueError, match="v1 is as good on the validation images .*: expected more than .* Received:"):
        ship.ship(tmp_path / "run")
    content = (tmp_path / "run" / "weights.npz").read_bytes()
    (tmp_path / "run" / "weights.npz").write_bytes(content[:-1])
    with pytest.raises(ValueError, match="do not belong together"):
        ship.ship(tmp_path / "run")
    (tmp_path / "run" / "weights.npz").write_bytes(content)
    record = json.loads((tmp_path / "run" / "weights.json").read_text())
    record["validation_psnr"] = {key: value + 1 for key, value in record["validation_psnr"].items()}
    other = record | {"validation_protocol": record["validation_protocol"] | {"images": ["easy.png"]}}
    (tmp_path / "run" / "weights.json").write_text(json.dumps(other))
    with pytest.raises(
        ValueError, match=r"validated as .*-v1 was: .*'photo0.png'.* Received: .*'easy.png'.* same --data"
    ):
        ship.ship(tmp_path / "run")
    other = record | {"recipe": record["recipe"] | {"architecture": {"skips": None}}}
    (tmp_path / "run" / "weights.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match="Only RED10, RED20 and RED30 are shipped. Received: {'skips': None}"):
        ship.ship(tmp_path / "run")
    for changes, words in (
        ({"commit": "0123-dirty"}, "A run must be of a commit, .* Received: 0123-dirty"),
        ({"commit": "0123-dirty, 4567"}, "A run must be of a commit, .* Received: 0123-dirty, 4567"),
        ({"training_images": ["photo0.png"], "validation_images": ["photo0.png"]}, "must not train on its validation"),
        ({"training_images": ["photo1.png", "mine.png"]}, "says nothing of other images. Received: mine.png"),
        ({"training_images": "div2k"}, "says nothing of other images. Received: div2k"),
    ):
        (tmp_path / "run" / "weights.json").write_text(json.dumps(record | changes))
        with pytest.raises(ValueError, match=words):
            ship.ship(tmp_path / "run")
    record["training_images"].append("t20.bmp")  # of T91, as smaller patches have it
    (tmp_path / "run" / "weights.json").write_text(json.dumps(record))
    assert ship.ship(tmp_path / "run") == "red10-fast-denoise-blind-gray-v2"
    assert [path.name for path in sorted(pretrained.iterdir())] == [
        "red10-fast-denoise-blind-gray-v2.npz",
        "weights.json",
    ]
    weights.load(dataclasses.replace(recipe).build(), "red10-fast-denoise-blind-gray-v2")

    def shipped_beside(*arguments):
        path = pretrained / "weights.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"red10-other-v1": {}}))

    monkeypatch.setattr(ship, "_check_better", shipped_beside)
    with pytest.raises(ValueError, match="Other weights were shipped meanwhile"):
        ship.ship(tmp_path / "run")
    assert set(weights.records()) == {"red10-fast-denoise-blind-gray-v2", "red10-other-v1"}


def test_a_network_is_scored_anew_where_it_was_validated_on_another_corruption(
    photos, tmp_path, pretrained, monkeypatch
):
    monkeypatch.setattr(train, "commit", lambda: "0" * 40)
    name = "red10-fast-denoise-blind-gray"
    recipe = dataclasses.replace(train.RECIPES[name].smoke(), filters=64, patches_per_image=2, precision="float32")
    train.train(recipe, *train.split([photos]), tmp_path / "run")
    ship.ship(tmp_path / "run")
    path = pretrained / "weights.json"
    shipped = json.loads(path.read_text())
    measured = dict(shipped[f"{name}-v1"]["validation_psnr"])
    shipped[f"{name}-v1"]["validation_psnr"]["sigma 30"] -= 5  # easier then
    shipped[f"{name}-v1"]["recipe"]["validation"]["sigma 30"] = "GaussianNoise(sigma_range=(40, 40))"
    path.write_text(json.dumps(shipped))
    run = json.loads((tmp_path / "run" / "weights.json").read_text())
    run["validation_psnr"] = {key: value - 0.01 for key, value in measured.items()}  # beyond what 16 bits change
    (tmp_path / "run" / "weights.json").write_text(json.dumps(run))
    with pytest.raises(ValueError, match=f"{name}-v1 was validated on other corruptions: score it anew with --data"):
        ship.ship(tmp_path / "run")
    with pytest.raises(ValueError, match="v1 is as good on the validation images") as error:
        ship.ship(tmp_path / "run", [photos])
    expected = float(re.search(r"expected more than ([\d.]+) dB", str(error.value))[1])
    assert expected == pytest.approx(np.mean(list(measured.values())), abs=0.01)  # the shipped ones are of 16 bits
    del shipped[f"{name}-v1"]["validation_psnr"]["sigma 70"], shipped[f"{name}-v1"]["recipe"]["validation"]["sigma 70"]
    shipped[f"{name}-v1"]["recipe"]["validation"]["sigma 30"] = run["recipe"]["validation"]["sigma 30"]
    path.write_text(json.dumps(shipped))  # fewer than the run
    with pytest.raises(ValueError, match=f"{name}-v1 was validated on other corruptions: score it anew with --data"):
        ship.ship(tmp_path / "run")
    changed = {**recipe.validation, "sigma 30": train.RECIPES[name].validation["sigma 50"]}
    monkeypatch.setitem(train.RECIPES, name, dataclasses.replace(train.RECIPES[name], validation=changed))
    with pytest.raises(ValueError, match=r"sigma_range=\(30, 30\)\) \(sigma 30\), which the recipe's .* no longer"):
        ship.ship(tmp_path / "run", [photos])


def test_a_network_for_one_level_must_be_better_than_the_blind_one(tmp_path, pretrained):
    model = with_random_weights(RED30(downsample_at=(1,), filters=2, weights=None))
    network = {"depth": 30, "task": "denoise", "filters": 2, "downsample_at": [1], "channels": 1}

    def run(level, scores):
        recipe = network | {"level": level, "validation": {corruption: corruption for corruption in scores}}
        record = {"recipe": recipe, "validation_psnr": scores, "validation_protocol": {"images": ["photo0.png"]}}
        weights.save(model, tmp_path / f"{level}.npz", {**RECORD, **record})
        (tmp_path / f"{level}").mkdir(exist_ok=True)
        for kind in ("npz", "json"):
            (tmp_path / f"{level}.{kind}").replace(tmp_path / f"{level}" / f"weights.{kind}")
        return tmp_path / f"{level}"

    assert ship.ship(run("blind", {"sigma 10": 33.0, "sigma 30": 28.0})).endswith("blind-gray-v1")
    with pytest.raises(ValueError, match=r"blind-gray-v1 is as good .* \(sigma 30\): expected more than 28.030 dB"):
        ship.ship(run(30, {"sigma 30": 28.02}))
    with pytest.raises(ValueError, match="blind-gray-v1 was validated on other corruptions: score it anew"):
        ship.ship(run(30, {"sigma 30": 29.0, "30 rounded": 29.0}))
    assert ship.ship(run(30, {"sigma 30": 28.04})).endswith("denoise-30-gray-v1")
    with pytest.raises(ValueError, match=r"denoise-30-gray-v1 is as good .* expected more than 28.040 dB"):
        ship.ship(run(30, {"sigma 30": 28.04}))
    with pytest.raises(ValueError, match="validated on all that .*-blind-gray-v1 was. Missing: sigma 10"):
        ship.ship(run("blind", {"sigma 30": 29.0}))
    assert ship.ship(run("blind", {"sigma 10": 33.0, "sigma 30": 28.1})).endswith("blind-gray-v2")
    with pytest.raises(ValueError, match=r"blind-gray-v2 is as good .* expected more than 28.130 dB"):
        ship.ship(run(30, {"sigma 30": 28.12}))
    assert ship.ship(run(30, {"sigma 30": 28.14})).endswith("denoise-30-gray-v2")
    assert ship.ship(run("jpeg", {"30 as JPEG": 27.0})).endswith("denoise-jpeg-gray-v1")


@pytest.mark.parametrize("start", ["gray-v1", "gray", "{pretrained}/gray-v1.npz"])
def test_a_recipe_starts_from_weights(pretrained, start):
    gray = with_random_weights(RED30(downsample_at=(1,), weights=None))
    _ship(gray, 30, pretrained)
    recipe = train.RECIPES["red30-fast-denoise-blind-gray"]
    started = dataclasses.replace(recipe, start_from=start.format(pretrained=pretrained)).build()
    for expected, received in zip(gray.get_weights(), started.get_weights(), strict=True):
        np.testing.assert_allclose(received, expected, atol=1e-3)  # float16 on disk


def test_starting_from_weights_that_are_down_sampled_elsewhere_is_warned_of(pretrained):
    _ship(with_random_weights(RED30(weights=None)), 30, pretrained)
    recipe = dataclasses.replace(train.RECIPES["red30-fast-denoise-blind-gray"], start_from="gray")
    with pytest.warns(
        UserWarning, match=r"gray is down-sampled at \(\), this network at \(1,\): its feature maps mean"
    ):
        recipe.build()


@pytest.mark.parametrize("start", ["gray", "{pretrained}/gray-v1.npz"])
@pytest.mark.parametrize(("depth", "other"), [(20, 30), (30, 20)])
def test_a_recipe_starts_from_another_depth(pretrained, start, depth, other):
    gray = with_random_weights({20: RED20, 30: RED30}[depth](weights=None))
    _ship(gray, depth, pretrained)
    recipe = train.RECIPES[f"red{other}-denoise-blind-gray"]
    started = dataclasses.replace(recipe, start_from=start.format(pretrained=pretrained)).build()
    for layer, in_other in (("conv10", "conv10"), (f"deconv{depth // 2}", f"deconv{other // 2}")):
        weights_of = gray.get_layer(layer).get_weights(), started.get_layer(in_other).get_weights()
        for expected, received in zip(*weights_of, strict=True):
            np.testing.assert_allclose(received, expected, atol=1e-3)  # float16 on disk


def test_a_color_recipe_starts_from_a_gray_network_of_another_depth(pretrained):
    gray = with_random_weights(RED20(weights=None))
    _ship(gray, 20, pretrained)
    recipe = dataclasses.replace(train.RECIPES["red30-denoise-blind-color"], start_from="gray")
    image = np.repeat(np.random.default_rng(1).random((1, 80, 80, 1), dtype=np.float32), 3, axis=-1)
    mean = image[..., :1]
    added = gray.predict(mean, verbose=0) - mean
    inside = np.s_[:, 30:-30, 30:-30]  # where RED30 computes what RED20 does
    assert np.abs(added[inside]).max() > 0.1
    received = recipe.build().predict(image, verbose=0)
    np.testing.assert_allclose(received[inside], (image + added)[inside], rtol=1e-2, atol=1e-2)  # float16 on disk


def test_a_gray_recipe_does_not_start_from_a_color_network(pretrained):
    _ship(with_random_weights(RED30(channels=3, weights=None)), 30, pretrained, channels=3)
    recipe = dataclasses.replace(train.RECIPES["red30-denoise-blind-gray"], start_from="gray")
    with pytest.raises(ValueError, match=r"conv1.*expected \(3, 3, 1, 64\).*\(3, 3, 3, 64\)"):
        recipe.build()


def _ship(model, depth, pretrained, channels=1):
    recipe = {"depth": depth, "channels": channels}
    weights.save(model, pretrained / "gray-v1.npz", {**RECORD, "recipe": recipe, "validation_psnr": {}})
    record = json.loads((pretrained / "gray-v1.json").read_text())
    (pretrained / "weights.json").write_text(json.dumps({"gray-v1": record}))


@pytest.mark.parametrize(
    ("start", "recorded"),
    [
        ("/home/me/runs/gray/weights.npz", "gray/weights.npz"),
        ("red30-denoise-blind-gray", "red30-denoise-blind-gray-v"),
    ],
)
def test_a_record_names_the_run_it_went_on_from_but_no_folder_of_the_machine(start, recorded):
    recipe = dataclasses.replace(train.RECIPES["red30-denoise-blind-gray"], start_from=start)
    assert train.describe(recipe, [], [])["recipe"]["start_from"].rstrip("0123456789") == recorded


def test_beside_a_data_set_the_first_images_by_name_validate(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(train.dataset, "from_tfds", lambda name, **options: excluded.append(options) or name)
    monkeypatch.setattr(train, "train", lambda recipe, *images: given.extend(images))
    given, excluded = [], []
    run = ["red10-fast-denoise-blind-gray", "--data", str(photos), "--out", str(tmp_path), "--tfds"]
    train.main([*run, "x"])
    assert given == ["x", sorted(photos.iterdir()), str(tmp_path)]
    train.main([*run, "bsds500:1.0.0", "--feature", "picture"])
    assert excluded == [
        {"feature": "image", "exclude_ids": ()},
        {"feature": "picture", "exclude_ids": train.TEST_IMAGES},
    ]


@pytest.mark.parametrize("numbers", [["--processes", "2"], ["--process", "1"]])
def test_several_processes_need_a_coordinator(tmp_path, numbers, capsys):
    with pytest.raises(SystemExit):
        train.main(["red30-denoise-blind-gray", "--data", str(tmp_path), "--out", str(tmp_path / "run"), *numbers])
    assert "several processes need --coordinator" in capsys.readouterr().err


def test_a_batch_is_split_between_devices(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(train.distribute, "replicas", lambda: 4)
    recipe = smoke()
    with pytest.raises(ValueError, match="split between 4 devices, .* Received: batch_size=2"):
        train.train(recipe, *train.split([photos]), tmp_path / "run")
