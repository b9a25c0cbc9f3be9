import dataclasses

import keras
import numpy as np
import pytest

from keras_rednet import REDNet
from recipes import train
from recipes.bound import Excess, bound, largest


def test_the_excess_of_values():
    values = np.array([0, 5, 10, 30], "float32").reshape(1, 2, 2, 1)
    assert float(Excess(10)(values)) == pytest.approx(0.005 * np.log(3) / 4)
    assert Excess(**Excess(10).get_config()).limit == 10


def test_the_penalty_is_that_of_an_image_in_batches_of_any_size():
    model = REDNet(10, filters=8)
    bound(model, 0.01)
    image = np.random.default_rng(0).random((1, 24, 24, 1), "float32")
    penalties = []
    for count in (1, 4):
        model(image.repeat(count, axis=0), training=True)
        penalties.append(float(sum(model.losses)))
    assert penalties[0] > 0.001
    assert penalties[1] == pytest.approx(penalties[0], rel=1e-4)


def test_the_largest_value_of_a_feature_map():
    model = REDNet(10, filters=4, downsample_at=(1,))
    for layer in model.layers:
        layer.set_weights([np.zeros_like(value) for value in layer.get_weights()])
    for name, value in {"conv3": 6, "conv4": 7, "deconv2": -8, "deconv5": 9}.items():  # the last one has no rectifier
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([kernel, np.full_like(bias, value)])
    assert largest(model)(np.full((13, 20, 1), 0.5, "float32")) == 7


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_training_brings_feature_maps_down(precision):
    """A network that restores well by feature maps of thousands comes down to the limit, and goes on restoring."""
    keras.config.set_dtype_policy(precision)
    try:
        model = REDNet(10, filters=8)
    finally:
        keras.config.set_dtype_policy("float32")
    for name in ("conv2", "conv3", "conv4"):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([30 * kernel, bias])
    image = np.random.default_rng(0).random((4, 24, 24, 1), "float32")
    largest = keras.Model(model.input, model.get_layer("conv5").output)
    before = float(np.max(np.asarray(largest(image), "float32")))
    assert before > 1000
    bound(model, 8.0)
    model.compile(keras.optimizers.Adam(0.02, global_clipnorm=1.0), "mae", jit_compile=False)
    batches = np.tile(image, (60, 1, 1, 1))
    model.fit(batches, batches, batch_size=4, shuffle=False, verbose=0)
    assert float(np.max(np.asarray(largest(image), "float32"))) < before / 50
    assert np.abs(np.asarray(model(image), "float32") - image).mean() < 0.05


def test_the_time_of_a_step_is_that_of_a_bound_network(monkeypatch):
    limits = []
    monkeypatch.setattr(train, "bound", lambda model, limit: limits.append(limit))
    train.seconds_per_step(
        dataclasses.replace(train.RECIPES["red10-fast-deblur-disk-color"].smoke(), precision="float32")
    )
    assert limits == [8.0]


def test_the_recipes_for_deblurring_are_bound(monkeypatch):
    limits = []
    monkeypatch.setattr(train, "bound", lambda model, limit: limits.append(limit))
    for name in ("red10-fast-deblur-disk-color", "red10-fast-denoise-blind-gray"):
        train.compiled(dataclasses.replace(train.RECIPES[name].smoke(), precision="float32"), 10)
    assert limits == [8.0]
