import numpy as np
import pytest

from keras_rednet import REDNet
from recipes.grow import add_color, grow, shrink


def trained(depth, **options):
    """Returns a network whose last layer is not the zero it starts with, which would hide all else."""
    model = REDNet(depth, filters=8, **options)
    random = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name.startswith(("conv", "deconv")):
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel + random.normal(0, 0.1, kernel.shape), bias + random.normal(0, 0.1, bias.shape)])
    return model


def test_a_grown_network_computes_what_the_shallow_one_does():
    shallow, deep = trained(8), trained(14)  # 4 and 7 convolutions: conv4 is the middle of one, a skip of the other
    grow(shallow, deep)
    image = np.random.default_rng(1).random((1, 40, 40, 1), dtype=np.float32)
    expected, received = shallow.predict(image, verbose=0), deep.predict(image, verbose=0)
    border = 8  # as far as the zero padding of what follows the new layers reaches
    inside = np.s_[:, border:-border, border:-border]
    assert np.abs(expected - image).max() > 0.1
    np.testing.assert_allclose(received[inside], expected[inside], atol=1e-5)


def test_a_layer_that_up_samples_behind_the_new_ones_is_refused():
    with pytest.raises(ValueError, match="behind the new ones must have stride 1. Received: deconv4, stride 2"):
        grow(REDNet(8, filters=4, downsample_at=(4,)), REDNet(14, filters=4, downsample_at=(4,)))


def test_the_new_layers_get_a_gradient():
    deep = trained(14)
    grow(trained(8), deep)
    deep.compile("sgd", "mse")
    before = deep.get_layer("deconv3").get_weights()
    images = np.random.default_rng(2).random((2, 16, 16, 1), dtype=np.float32)
    deep.fit(images, images, verbose=0)
    for old, new in zip(before, deep.get_layer("deconv3").get_weights(), strict=True):
        assert not np.array_equal(old, new)


def test_a_shrunk_network_computes_what_the_deep_one_does_without_its_middle():
    deep, shallow = trained(14), trained(8)
    shrink(deep, shallow)
    last = deep.get_layer("deconv3")  # its sum with conv4 is what the shallow one's deconv1 starts from
    last.set_weights([np.zeros_like(weight) for weight in last.get_weights()])
    image = np.random.default_rng(1).random((1, 40, 40, 1), dtype=np.float32)
    expected = deep.predict(image, verbose=0)
    assert np.abs(expected - image).max() > 0.1
    np.testing.assert_allclose(shallow.predict(image, verbose=0), expected, atol=1e-5)


@pytest.mark.parametrize("downsample_at", [(), (1,)])
def test_a_network_for_colour_starts_as_the_gray_one_and_sees_colours(downsample_at):
    gray, color = (trained(8, channels=channels, downsample_at=downsample_at) for channels in (1, 3))
    add_color(gray, color)
    image = np.random.default_rng(1).random((1, 20, 20, 1), dtype=np.float32)
    expected = gray.predict(image, verbose=0)
    assert np.abs(expected - image).max() > 0.1
    of_gray = color.predict(np.repeat(image, 3, axis=-1), verbose=0)
    np.testing.assert_allclose(of_gray, np.repeat(expected, 3, axis=-1), atol=1e-5)
    kernel = color.get_layer("conv1").kernel.numpy()
    shares = kernel / kernel.sum(axis=2, keepdims=True)
    assert np.std(shares, axis=-1).min() > 0.1  # no two filters mix the channels alike


@pytest.mark.parametrize("depths", [(8, 8), (14, 8), (6, 14)])
def test_networks_that_do_not_fit(depths):
    first, second = (REDNet(depth, filters=2) for depth in depths)
    for put in (lambda: grow(first, second), lambda: shrink(second, first)):
        with pytest.raises(ValueError, match=f"Received: {depths[0]} layers for the shallower one and {depths[1]}"):
            put()
