import dataclasses
import json

import keras
import numpy as np
import pytest
from conftest import RECORD
from test_model import with_random_weights

from keras_rednet import RED10, REDNet, geometry, weights
from keras_rednet.metrics import negative_psnr
from recipes import distill, train
from recipes.eight_bits import rounded


def test_the_error_is_that_of_mostly_the_teacher():
    clean, student, teacher = np.random.default_rng(0).random((3, 2, 5, 6, 3), "float32")
    goal = 0.9 * teacher + 0.1 * clean  # |s - goal|^2 is the error, but for what does not depend on s
    squares = (student - goal) ** 2 + (1 - 0.1**2) * (teacher - clean) ** 2
    expected = 10 * np.log10(squares.mean(axis=(1, 2, 3)) + 1e-4)
    received = keras.ops.convert_to_numpy(distill.error(clean, np.concatenate([student, teacher], axis=-1)))
    np.testing.assert_allclose(received, expected, rtol=1e-5)


def test_where_the_student_does_as_the_teacher_a_tenth_of_the_gradient_is_left():
    import tensorflow as tf

    clean, teacher = np.random.default_rng(0).random((2, 2, 5, 6, 1), "float32")
    student = tf.Variable(teacher)
    with tf.GradientTape(persistent=True) as tape:
        plain = negative_psnr(clean, student)
        taught = distill.error(clean, tf.concat([student, teacher], axis=-1))
    np.testing.assert_allclose(taught, plain, rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(taught, student), 0.1 * tape.gradient(plain, student), rtol=1e-4)


def test_only_the_student_learns_and_towards_its_teacher():
    student, teacher = REDNet(10, filters=8), with_random_weights(REDNet(10, filters=4, downsample_at=(1,)))
    before = teacher.get_weights()
    corrupted, clean = np.random.default_rng(0).random((2, 8, 16, 16, 1), "float32")
    trained = distill.taught(student, teacher)
    trained.compile(keras.optimizers.Adam(3e-3), distill.error, jit_compile=False)
    distances = []
    for _ in range(2):
        both = trained.predict(corrupted, verbose=0)
        np.testing.assert_allclose(both[..., :1], student.predict(corrupted, verbose=0), atol=1e-6)
        np.testing.assert_allclose(both[..., 1:], teacher.predict(corrupted, verbose=0), atol=1e-6)
        distances.append(np.mean((both[..., :1] - both[..., 1:]) ** 2))
        batches = (np.tile(images, (80, 1, 1, 1)) for images in (corrupted, clean))
        trained.fit(*batches, batch_size=8, shuffle=False, verbose=0)
    assert distances[1] < distances[0] / 2
    for old, new in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_each_orientation_of_a_teacher_counts_once():
    teacher = with_random_weights(REDNet(10, filters=2, downsample_at=(1,)))
    corrupted = np.random.default_rng(0).random((1, 12, 16, 1), "float32")
    said = [np.asarray(distill.taught(teacher, teacher, n)(corrupted))[..., 1:] for n in range(1, 9)]
    sums = [n * mean for n, mean in enumerate(said, start=1)]
    for n in range(1, 8):
        image = geometry.orient(corrupted[0], n)
        expected = geometry.restore_orientation(np.asarray(teacher(image[None]))[0], n)
        np.testing.assert_allclose((sums[n] - sums[n - 1])[0], expected, atol=1e-4)


@pytest.mark.parametrize("orientations", [0, 9, 1.5])
def test_the_number_of_orientations_is_checked(orientations):
    network = REDNet(10, filters=2)
    with pytest.raises(ValueError, match=f"1 to 8 orientations. Received: orientations={orientations}"):
        distill.taught(network, network, orientations)


@pytest.mark.parametrize(
    ("options", "words"), [(["4"], "needs --teacher"), (["9", "--teacher", "z"], "must be 1 to 8. Received: 9")]
)
def test_orientations_that_no_teacher_has_are_refused(options, words, tmp_path, capsys):
    run = ["red10-denoise-blind-gray", "--data", "x", "--out", str(tmp_path / "run"), "--teacher-orientations"]
    with pytest.raises(SystemExit):
        train.main([*run, *options])
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_recipes_teacher_averages_over_its_orientations(teacher):
    recipe = dataclasses.replace(train.RECIPES["red10-denoise-blind-gray"].smoke(), teacher=str(teacher))
    corrupted = np.random.default_rng(0).random((1, 12, 16, 1), "float32")

    def said(orientations):
        both = train.compiled(dataclasses.replace(recipe, teacher_orientations=orientations), 10)[1]
        return both.predict(corrupted, verbose=0)[..., 1:].astype("float32")

    flipped = train.compiled(recipe, 10)[1].predict(corrupted[:, ::-1], verbose=0)[:, ::-1, :, 1:].astype("float32")
    assert np.abs(flipped - said(None)).max() > 0.01
    np.testing.assert_allclose(said(2), (said(None) + flipped) / 2, atol=1e-2)  # bfloat16
    np.testing.assert_array_equal(said(1), said(None))


def test_a_student_that_trains_for_8_bits_learns_from_a_teacher_too(teacher):
    recipe = train.RECIPES["red10-fast-denoise-blind-gray"].smoke()
    recipe = dataclasses.replace(recipe, teacher=str(teacher), eight_bits=True, precision="float32")
    model, both = train.compiled(recipe, 10)
    with_random_weights(model)
    image = np.random.default_rng(0).random((1, 16, 16, 1), "float32")
    student, _ = np.split(np.asarray(both(image)), 2, axis=-1)
    np.testing.assert_allclose(student, rounded(model)(image), atol=1e-6)
    assert np.abs(student - np.asarray(model(image))).max() > 1e-4


@pytest.fixture
def teacher(tmp_path):
    """The weights of a run that trained a fast RED10 of two feature maps."""
    path = tmp_path / "teacher" / "weights.npz"
    path.parent.mkdir()
    network = with_random_weights(RED10(filters=2, downsample_at=(1,), weights=None))
    recipe = {"task": "denoise", "channels": 1, "depth": 10, "filters": 2, "downsample_at": [1]}
    weights.save(network, path, {**RECORD, "recipe": recipe, "validation_psnr": {}})
    return path


@pytest.mark.slow
def test_a_run_with_a_teacher_resumes_to_the_same_weights(photos, tmp_path, teacher, capsys):
    recipe = train.RECIPES["red10-fast-denoise-blind-gray"].smoke()
    recipe = dataclasses.replace(recipe, teacher=str(teacher), epochs=3)
    images = train.split([photos])
    whole = train.train(recipe, *images, tmp_path / "whole").get_weights()

    class Killed(BaseException):
        pass

    def killed(self, epoch, logs=None):
        on_epoch_end(self, epoch, logs)
        if epoch == 1:
            raise Killed

    on_epoch_end = train.Backup.on_epoch_end
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.Backup, "on_epoch_end", killed)
        with pytest.raises(Killed):
            train.train(recipe, *images, tmp_path / "resumed")
    capsys.readouterr()
    resumed = train.train(recipe, *images, tmp_path / "resumed").get_weights()
    assert "epoch 1/" not in capsys.readouterr().out
    untaught = train.train(dataclasses.replace(recipe, teacher=None), *images, tmp_path / "untaught").get_weights()
    for expected, received in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(received, expected)
    assert any(np.any(one != other) for one, other in zip(whole, untaught, strict=True))
    record = json.loads((tmp_path / "whole" / "weights.json").read_text())
    assert record["recipe"]["teacher"] == f"teacher/weights.npz {weights.read_record(teacher)['sha256']}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("red10-fast-denoise-blind-color", r"must be for \(task, channels\) = \('denoise', 3\). Received: .*, 1\)"),
        ("red10-fast-deblock-blind-gray", r"Received: \('denoise', 1\); choose another"),
        ("denoise-paper", "needs a recipe with the loss `negative_psnr`. Received: loss='mse'"),
    ],
)
def test_a_teacher_must_fit(photos, tmp_path, teacher, name, message):
    recipe = dataclasses.replace(train.RECIPES[name].smoke(), teacher=str(teacher))
    with pytest.raises(ValueError, match=message):
        train.train(recipe, *train.split([photos]), tmp_path / "run")
