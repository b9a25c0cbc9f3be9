import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_rednet.metrics import PSNR, negative_psnr
from keras_rednet.model import RED10, RED20, RED30, REDNet, followed, halo, receptive_radius, size_multiple

VARIANTS = {
    "plain": {},
    "at conv1": {"downsample_at": (1,)},
    "at conv5": {"downsample_at": (5,)},
    "at conv9": {"downsample_at": (9,)},
    "at conv5 and conv9": {"downsample_at": (5, 9)},
    "residual": {"skips": "residual"},
    "residual at conv5": {"skips": "residual", "downsample_at": (5,)},
    "no skips": {"skips": None},
    "conv decoder": {"decoder": "conv"},
    "skip step 4": {"skip_step": 4},
    "5x5 RGB at conv1": {"kernel_size": 5, "channels": 3, "downsample_at": (1,)},
}
SIZES = [(1, 1), (1, 6), (2, 3), (5, 7), (33, 48), (36, 52)]


def with_random_weights(model, seed=0):
    """Gives every weight a value, the zero last layer and the zero biases too, so that no error can hide."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        scale = 0.05 if len(variable.shape) == 1 else (1.5 / np.prod(variable.shape[:3])) ** 0.5
        variable.assign(rng.normal(0, scale, variable.shape))
    return model


@pytest.mark.parametrize(("builder", "count"), [(RED10, 296_641), (RED20, 665_921), (RED30, 1_035_201)])
def test_parameter_counts(builder, count):
    assert builder(weights=None).count_params() == count


@pytest.mark.parametrize(("channels", "count"), [(1, 4_134_785), (3, 4_139_395)])
def test_parameter_count_of_the_authors_released_network(channels, count):
    assert RED30(weights=None, filters=128, channels=channels).count_params() == count


def added_layers(model):
    """Returns {skip: (encoder layer, decoder layer)}, read from the graph."""
    sums = [layer for layer in model.layers if layer.name.startswith("skip") and not layer.name.endswith("_relu")]
    return {layer.name: tuple(tensor._keras_history.operation.name for tensor in layer.input) for layer in sums}


def test_skips_of_red30_and_red20():
    assert added_layers(RED30(weights=None)) == {
        "skip1": ("conv14", "deconv1"),
        "skip3": ("conv12", "deconv3"),
        "skip5": ("conv10", "deconv5"),
        "skip7": ("conv8", "deconv7"),
        "skip9": ("conv6", "deconv9"),
        "skip11": ("conv4", "deconv11"),
        "skip13": ("conv2", "deconv13"),
    }
    assert added_layers(RED20(weights=None)) == {
        "skip2": ("conv8", "deconv2"),
        "skip4": ("conv6", "deconv4"),
        "skip6": ("conv4", "deconv6"),
        "skip8": ("conv2", "deconv8"),
    }
    assert added_layers(RED10(weights=None)) == {}


def test_residual_skips_span_blocks_and_stop_at_a_change_of_resolution():
    assert added_layers(REDNet(10, skips="residual")) == {
        "skip_conv3": ("conv1", "conv3"),
        "skip_conv5": ("skip_conv3_relu", "conv5"),
        "skip2": ("skip_conv5_relu", "deconv2"),
        "skip4": ("skip2_relu", "deconv4"),
    }
    assert list(added_layers(REDNet(10, skips="residual", downsample_at=(2,)))) == ["skip_conv5", "skip2"]


def test_rectification():
    model = RED30(weights=None)
    activations = {layer.name: layer.activation.__name__ for layer in model.layers if "conv" in layer.name}
    assert activations.pop("deconv15") == "linear"
    assert set(activations.values()) == {"relu"}
    assert len(activations) == 29


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", SIZES)
def test_fresh_network_returns_its_input_at_any_size(variant, size):
    model = _fresh(variant)
    corrupted = np.random.default_rng(0).random((2, *size, model.input_shape[-1]), "float32")
    np.testing.assert_array_equal(_run(model, corrupted), corrupted)


_models = {}


def _fresh(variant):
    if variant not in _models:
        _models[variant] = REDNet(20, filters=4, **VARIANTS[variant])
    return _models[variant]


def _run(model, images):
    return keras.ops.convert_to_numpy(model(images))


@pytest.mark.parametrize("variant", ["at conv1", "at conv5 and conv9"])
def test_odd_sizes_equal_the_reflected_image(variant):
    model = with_random_weights(REDNet(20, filters=4, **VARIANTS[variant]))
    image = np.random.default_rng(0).random((1, 33, 50, 1), "float32")
    multiple = size_multiple(model)
    padding = [(0, 0), (0, -33 % multiple), (0, -50 % multiple), (0, 0)]
    whole = _run(model, np.pad(image, padding, mode="reflect"))
    np.testing.assert_allclose(_run(model, image), whole[:, :33, :50], atol=1e-6)


def test_mixed_precision_keeps_the_last_sum_in_float32(mixed_bfloat16):
    model = REDNet(10, filters=4, downsample_at=(1,))
    assert model.get_layer("conv2").compute_dtype == "bfloat16"
    corrupted = np.random.default_rng(0).random((1, 9, 9, 1), "float32")
    restored = _run(model, corrupted)
    assert restored.dtype == np.float32
    np.testing.assert_array_equal(restored, corrupted)


@pytest.mark.parametrize("variant", VARIANTS)
def test_saves_and_loads(variant, tmp_path):
    model = with_random_weights(REDNet(10, filters=4, **{**VARIANTS[variant], **_within_depth_10(variant)}))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    image = np.random.default_rng(0).random((1, 9, 11, model.input_shape[-1]), "float32")
    np.testing.assert_array_equal(_run(loaded, image), _run(model, image))


def _within_depth_10(variant):
    return {"downsample_at": tuple(min(k, 5) for k in VARIANTS[variant].get("downsample_at", ())[:1])}


def test_layer_names():
    names = [layer.name for layer in REDNet(10, downsample_at=(1,)).layers]
    assert names[0] == "corrupted"
    assert names[-1] == "restored"
    assert {"conv1", "conv5", "deconv1", "deconv5", "skip1", "skip3"} <= set(names)


def test_the_mirror_of_a_convolution_that_is_down_sampled_up_samples():
    layers = [layer for layer in REDNet(10, filters=1, downsample_at=(2,)).layers if hasattr(layer, "strides")]
    assert len(layers) == 10
    strided = {layer.name: layer.strides for layer in layers if layer.strides != (1, 1)}
    assert strided == {"conv2": (2, 2), "deconv4": (2, 2)}


@pytest.mark.parametrize(("depth", "radius"), [(10, 10), (20, 20), (30, 30)])
def test_receptive_radius(depth, radius):
    assert receptive_radius(REDNet(depth, filters=1)) == halo(REDNet(depth, filters=1)) == radius
    assert halo(REDNet(depth, filters=1, downsample_at=(1,))) == 2 * radius


@pytest.mark.parametrize("variant", ["plain", "at conv1", "at conv5 and conv9", "5x5 RGB at conv1"])
def test_pixels_beyond_the_receptive_radius_have_no_influence(variant):
    model = with_random_weights(REDNet(20, filters=4, **VARIANTS[variant]))
    radius = receptive_radius(model)
    side = 2 * radius + 40
    image = np.random.default_rng(0).random((1, side, side, model.input_shape[-1]), "float32")
    changed = image.copy()
    changed[:, side // 2, side // 2] += 1
    rows = np.flatnonzero(np.abs(_run(model, changed) - _run(model, image)).max(axis=(0, 2, 3)))
    reach = max(side // 2 - rows.min(), rows.max() - side // 2)
    assert radius // 2 < reach <= radius


def test_layers_are_followed_by_others_and_stay_as_they_are():
    model = with_random_weights(RED10(filters=4, weights=None))
    model.compile("adam", "mse")
    image = np.random.default_rng(0).random((1, 8, 8, 1), "float32")
    before = model.predict(image, verbose=0)
    halved = followed(model, {"restored": keras.layers.Rescaling(0.5)})
    np.testing.assert_allclose(halved(image), before / 2, atol=1e-6)
    assert halved.get_layer("conv1") is model.get_layer("conv1")
    assert not halved.compiled
    np.testing.assert_array_equal(model.predict(image, verbose=0), before)
    with pytest.raises(ValueError, match="must be for layers of the model .*. Received: conv11, conv12"):
        followed(model, dict.fromkeys(("conv12", "conv1", "conv11"), keras.layers.Rescaling(0.5)))
    with pytest.raises(ValueError, match="must be for layers of the model but its input. Received: corrupted"):
        followed(model, {"corrupted": keras.layers.Rescaling(0.5)})


def test_numpys_whole_numbers_are_numbers():
    options = {
        "filters": np.int64(4),
        "kernel_size": np.int32(3),
        "downsample_at": np.int64(1),
        "channels": np.uint8(3),
    }
    model = REDNet(np.int64(10), **options)
    assert model.get_config() == REDNet(10, filters=4, downsample_at=1, channels=3).get_config()
    assert json.loads(model.to_json())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 15}, "`depth` must be an even number of layers, at least 2. Received: depth=15"),
        ({"depth": 10, "filters": 0}, "`filters` must be an integer of at least 1. Received: filters=0"),
        ({"depth": 10, "kernel_size": 4}, "`kernel_size` must be an odd number of pixels. Received: kernel_size=4"),
        ({"depth": 10, "skip_step": 0}, "`skip_step` must be an integer of at least 1. Received: skip_step=0"),
        ({"depth": 10, "downsample_at": (6,)}, "each from 1 to 5. Received: downsample_at=\\(6,\\)"),
        ({"depth": 10, "downsample_at": (1, 1)}, "must hold distinct convolutions"),
        ({"depth": 10, "skips": "symetric"}, "`skips` must be one of .* Received: skips='symetric'"),
        ({"depth": 10, "decoder": "up"}, "`decoder` must be one of .* Received: decoder='up'"),
        (
            {"depth": 10, "decoder": "conv", "downsample_at": (1,)},
            "convolutions cannot up-sample: use decoder='deconv'",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        REDNet(**arguments)


def test_unknown_task_or_level_and_missing_weights():
    with pytest.raises(ValueError, match="`level` of 'denoise' must be one of .* Received: level=13"):
        RED30(level=13, weights=None)
    with pytest.raises(ValueError, match="`task` must be one of .* Received: task='denoising'"):
        RED30(task="denoising")
    with pytest.raises(ValueError, match="no pretrained weights for RED30.*filters=7.*Pass weights=None"):
        RED30(filters=7)


def test_a_model_with_our_loss_loads_where_keras_came_later(tmp_path):
    """As in a process that unpickles it."""
    model = REDNet(10, filters=4, downsample_at=(1,))
    model.compile("adam", negative_psnr, metrics=[PSNR(data_range=1.0)])
    model.save(tmp_path / "model.keras")
    program = "from keras_rednet import restore; import keras, sys; keras.models.load_model(sys.argv[1])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(tmp_path / "model.keras")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1000:]
