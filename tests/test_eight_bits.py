import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from test_model import with_random_weights

from keras_rednet import REDNet
from recipes import train
from recipes.bound import rectified
from recipes.eight_bits import Rounded, rounded


def test_each_channel_is_rounded_to_255_steps_of_its_range():
    values = np.random.default_rng(0).uniform(-1, 1, (2, 5, 6, 3)).clip(0).astype("float32") * [1, 10, 0]
    received = np.asarray(Rounded()(values.astype("float32")))
    np.testing.assert_array_equal(received[values == 0], 0)
    np.testing.assert_allclose(received.max((0, 1, 2)), values.max((0, 1, 2)), rtol=1e-6)
    for channel, step in enumerate(values.max((0, 1, 2))[:2] / 255):
        steps = received[..., channel] / step
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
        assert 0.4 * step < np.abs(received - values)[..., channel].max() < 0.501 * step


def test_the_gradient_passes_on_and_through_the_length_of_a_step():
    values = tf.Variable(np.array([0, 1, 2.4, 510], "float32").reshape(1, 2, 2, 1))  # in steps of 2: 0, 0.5, 1.2, 255
    weights = np.array([1, 10, 100, 1000], "float32").reshape(1, 2, 2, 1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(weights * Rounded()(values))
    lost = np.array([0, -0.5, -0.2, 0])
    expected = [1, 10, 100, 1000 + weights.ravel() @ lost / 255]
    np.testing.assert_allclose(np.ravel(tape.gradient(loss, values)), expected, rtol=1e-6)


def test_the_rectified_values_of_a_network_are_rounded_and_nothing_else():
    model = with_random_weights(REDNet(10, filters=4, downsample_at=(1,)))
    copy = rounded(model)
    assert [id(v) for v in copy.trainable_variables] == [id(v) for v in model.trainable_variables]
    assert len(copy.layers) == len(model.layers) + len(rectified(model))
    image = np.random.default_rng(0).random((2, 16, 16, 1), "float32")
    lost = np.abs(np.asarray(copy(image)) - np.asarray(model(image)))
    assert 1e-5 < lost.mean() < 0.01
    assert model.layers[-1] is copy.layers[-1]  # restored images are not rounded


def test_a_run_trains_for_8_bits_where_it_is_asked_to(photos, tmp_path, monkeypatch):
    networks = []
    monkeypatch.setattr(train, "rounded", lambda model: networks.append(model) or rounded(model))
    run = ["red10-fast-denoise-jpeg-color", "--smoke", "--epochs", "1", "--data", str(photos), "--out"]
    train.main([*run, str(tmp_path / "plain")])
    assert not networks
    train.main([*run, str(tmp_path / "rounded"), "--eight-bits"])
    assert len(networks) == 1
    recipes = [json.loads((tmp_path / name / "recipe.json").read_text())["recipe"] for name in ("plain", "rounded")]
    assert [recipe["eight_bits"] for recipe in recipes] == [None, True]


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_rounded_feature_maps_train_in_any_precision(precision):
    recipe = dataclasses.replace(
        train.RECIPES["red10-fast-denoise-blind-gray"].smoke(), precision=precision, eight_bits=True, warmup_steps=0
    )
    model, trained = train.compiled(recipe, 10)
    with_random_weights(model)
    before = model.get_weights()
    image = np.random.default_rng(0).random((2, 32, 32, 1), "float32")
    assert np.isfinite(trained.train_on_batch(image, image))
    changed = [np.abs(new - old).max() > 0 for new, old in zip(model.get_weights(), before, strict=True)]
    assert all(changed)
