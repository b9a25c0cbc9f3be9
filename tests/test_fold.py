import keras
import numpy as np
import pytest
from test_model import VARIANTS, with_random_weights

from keras_rednet import ssim
from keras_rednet.fold import fold
from keras_rednet.model import REDNet, size_multiple


@pytest.mark.parametrize("variant", VARIANTS)
def test_equals_the_model(variant):
    model = with_random_weights(REDNet(20, filters=4, **VARIANTS[variant]))
    folded = fold(model)
    multiple = size_multiple(model)
    image = np.random.default_rng(1).random((2, 8 * multiple, 9 * multiple, model.input_shape[-1]), "float32")
    expected = keras.ops.convert_to_numpy(model(image))
    assert np.std(expected - image) > 0.01
    np.testing.assert_allclose(keras.ops.convert_to_numpy(folded(image)), expected, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_holds_convolutions_only(variant):
    folded = fold(REDNet(20, filters=4, **VARIANTS[variant]))
    assert not [layer for layer in folded.layers if isinstance(layer, keras.layers.Conv2DTranspose)]
    assert not {"pad", "crop"} & {layer.name for layer in folded.layers}


def test_drops_the_identity_behind_symmetric_sums_only():
    names = {
        kind: {layer.name for layer in fold(REDNet(10, filters=4, skips=kind)).layers} for kind in VARIANTS_OF_SKIPS
    }
    assert not {name for name in names["symmetric"] if name.endswith("_relu")}
    assert {"skip_conv3_relu", "skip2_relu"} <= names["residual"]


@pytest.mark.parametrize("downsample_at", [(), (1,)])
def test_channels_are_last_whatever_keras_is_set_to(channels_first, downsample_at):
    model = with_random_weights(REDNet(10, filters=4, channels=3, downsample_at=downsample_at))
    image = np.random.default_rng(0).random((1, 8, 10, 3), "float32")
    restored = keras.ops.convert_to_numpy(model(image))
    assert restored.shape == image.shape
    np.testing.assert_allclose(keras.ops.convert_to_numpy(fold(model)(image)), restored, atol=1e-5)
    assert ssim(np.zeros((40, 50, 3)), np.ones((40, 50, 3)), data_range=1.0) < 0.1


def test_a_network_that_is_compiled_with_a_loss_of_ones_own():
    model = with_random_weights(REDNet(10, filters=4))
    model.compile("adam", loss=lambda clean, restored: keras.ops.mean(keras.ops.abs(clean - restored)))
    folded = fold(model)
    assert not folded.compiled
    image = np.random.default_rng(0).random((1, 8, 10, 1), "float32")
    np.testing.assert_allclose(folded.predict(image, verbose=0), model.predict(image, verbose=0), atol=1e-5)


def test_images_are_float32_whatever_keras_is_set_to(floatx16):
    model = REDNet(10, filters=4, channels=3)  # fresh, so that it returns its input
    image = np.linspace(0, 1, 4 * 5 * 3, dtype="float32").reshape(1, 4, 5, 3)
    for network in (model, fold(model)):
        assert network.input.dtype == "float32"
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(network(image)), image)


def _conv(name, **options):
    return keras.layers.Conv2D(1, **{"kernel_size": 3, "padding": "same", "name": name, **options})


OTHER_LAYERS = {
    "normalization": keras.layers.BatchNormalization(name="norm"),
    "a convolution that halos do not count": _conv("refine"),
    "dilation": _conv("conv99", dilation_rate=2),
    "no bias": _conv("conv99", use_bias=False),
    "no padding": _conv("conv99", padding="valid"),
    "an even kernel": _conv("conv99", kernel_size=4),
    "stride 3": keras.layers.Conv2DTranspose(1, 3, strides=3, padding="same", name="deconv99"),
    "another padding of that name": keras.layers.ZeroPadding2D(name="pad"),
}


@pytest.mark.parametrize("layer", OTHER_LAYERS.values(), ids=OTHER_LAYERS)
def test_refuses_other_layers(layer):
    model = REDNet(10, filters=4)
    if layer.name == "conv99":
        fold(keras.Model(model.input, _conv("conv99")(model.output)))
    model = keras.Model(model.input, layer(model.output))
    with pytest.raises(ValueError, match=f"only.* Received: {layer.name}, {type(layer).__name__}"):
        fold(model)


def test_refuses_several_outputs():
    model = REDNet(10, filters=4)
    with pytest.raises(ValueError, match="1 inputs, 2 outputs"):
        fold(keras.Model(model.input, [model.output, model.get_layer("conv1").output]))


def test_holds_what_low_rank_adaptation_has_learned():
    model = with_random_weights(REDNet(10, filters=8))
    image = np.random.default_rng(1).random((1, 8, 9, 1), "float32")
    before = keras.ops.convert_to_numpy(model(image))
    model.get_layer("conv3").enable_lora(2)
    model.get_layer("conv3").lora_kernel_b.assign(np.full((2, 8), 0.1))
    expected = keras.ops.convert_to_numpy(model(image))
    assert np.abs(expected - before).max() > 1e-3
    np.testing.assert_allclose(keras.ops.convert_to_numpy(fold(model)(image)), expected, atol=1e-5)


VARIANTS_OF_SKIPS = ("symmetric", "residual")


def test_saves_and_loads(tmp_path):
    folded = fold(with_random_weights(REDNet(10, filters=4, downsample_at=(1,))))
    folded.save(tmp_path / "folded.keras")
    image = np.random.default_rng(0).random((1, 8, 10, 1), "float32")
    loaded = keras.models.load_model(tmp_path / "folded.keras")
    np.testing.assert_array_equal(loaded(image), folded(image))
