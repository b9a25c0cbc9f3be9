import numpy as np
import pytest

from keras_rednet import REDNet
from recipes.revive import revive


@pytest.fixture
def images():
    return np.random.default_rng(0).random((2, 16, 16, 1), dtype=np.float32)


@pytest.fixture
def model(images):
    model = REDNet(6, filters=8)
    kernel, bias = model.layers[-2].get_weights()
    model.layers[-2].set_weights([kernel + 0.1, bias])  # an untrained last layer is zero and would hide all else
    return model


def kill(model, name, maps):
    kernel, bias = model.get_layer(name).get_weights()
    bias[maps] = -100
    model.get_layer(name).set_weights([kernel, bias])


@pytest.mark.parametrize("name", ["conv1", "conv3", "deconv2"])
def test_dead_maps_live_again_and_the_network_computes_what_it_did(model, images, name):
    kill(model, name, [1, 5, 6])
    before = model.predict(images, verbose=0)
    assert revive(model, images, seed=0) >= 3
    np.testing.assert_allclose(model.predict(images, verbose=0), before, atol=1e-6)
    bias = model.get_layer(name).get_weights()[1]
    assert np.all(bias == 0)
    assert revive(model, images, seed=1) < 3  # most of the redrawn ones are above zero somewhere


def test_maps_that_a_skip_adds_and_living_maps_stay(model, images):
    for name in ("conv2", "deconv1"):  # are added
        kill(model, name, [0])
    kill(model, "conv1", [5])
    revive(model, images, seed=0)
    kill(model, "conv1", [5])  # all others live by now
    before = {name: model.get_layer(name).get_weights() for name in ("conv1", "conv2", "deconv1", "deconv2")}
    assert revive(model, images, seed=1) == 1
    after = {name: model.get_layer(name).get_weights() for name in before}
    others = np.arange(8) != 5
    np.testing.assert_array_equal(after["conv1"][0][..., others], before["conv1"][0][..., others])
    np.testing.assert_array_equal(after["conv1"][1][others], before["conv1"][1][others])
    assert not np.array_equal(after["conv1"][0][..., 5], before["conv1"][0][..., 5])
    np.testing.assert_array_equal(after["conv2"][0][:, :, others], before["conv2"][0][:, :, others])
    for name in ("conv2", "deconv1"):
        assert after[name][1][0] == -100
    for old, new in zip(before["deconv2"], after["deconv2"], strict=True):
        np.testing.assert_array_equal(new, old)


def test_a_map_that_lives_in_one_place_stays(model):
    kernel, bias = (np.zeros_like(array) for array in model.get_layer("conv1").get_weights())
    kernel[1, 1, 0], bias[:] = 1, -0.5  # above zero where a pixel is above a half
    model.get_layer("conv1").set_weights([kernel, bias])
    images = np.zeros((2, 64, 64, 1), np.float32)
    images[1, 20, 30] = 1
    before = model.predict(images, verbose=0)
    revive(model, images, seed=0)
    np.testing.assert_array_equal(model.get_layer("conv1").get_weights()[1], bias)
    np.testing.assert_allclose(model.predict(images, verbose=0), before, atol=1e-6)


def test_a_network_that_is_all_alive_is_not_changed(images):
    model = REDNet(4, filters=4)
    for layer in model.layers:
        if layer.name.startswith(("conv", "deconv")):
            kernel, bias = layer.get_weights()
            layer.set_weights([np.abs(kernel), bias])
    before = model.get_weights()
    assert revive(model, images, seed=0) == 0
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
