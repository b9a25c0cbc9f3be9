"""TFLite files give what the Keras model gives, run in one piece by LiteRT's kernels, and describe themselves."""

import hashlib
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from test_model import VARIANTS, with_random_weights

from keras_rednet import REDNet, export_tflite
from keras_rednet import tflite as module
from keras_rednet.fold import fold
from keras_rednet.model import size_multiple

FAST = {"downsample_at": (1,)}


def network(filters=16, **options):
    return with_random_weights(REDNet(10, filters=filters, **options))


def pixels(*shape):
    """Returns a corrupted photograph in 8-bit steps: a smooth picture and noise."""
    random = np.random.default_rng(sum(shape))
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    smooth = 0.5 + 0.4 * np.sin(rows / 9 + columns / 13)[..., None]
    return np.rint(255 * np.clip(smooth + random.normal(0, 0.1, shape), 0, 1)).astype(np.float32) / 255


def calibration(channels=1):
    return [pixels(48, 48 + i, channels) for i in range(4)]


def run(path, image):
    """Restores float32 [1, h, w, c] with a file."""
    interpreter = Interpreter(str(path), num_threads=1)
    integers = interpreter.get_input_details()[0]["dtype"] == np.uint8
    restored = interpreter.get_signature_runner("restore")(
        image=np.rint(image * 255).astype(np.uint8) if integers else image
    )["restored"]
    return restored / np.float32(255) if integers else restored


def expected(model, image):
    return np.clip(model.predict(image, verbose=0), 0, 1)


FEW = ("plain", "at conv1", "residual at conv5", "conv decoder", "5x5 RGB at conv1")  # tests/test_fold.py has all


@pytest.mark.parametrize(
    "variant", [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS]
)
def test_equals_the_model(variant, tmp_path):
    model = with_random_weights(REDNet(20, filters=4, **VARIANTS[variant]))
    export_tflite(model, tmp_path / "model.tflite")
    multiple = size_multiple(model)
    for height, width in ((multiple, multiple), (5 * multiple, 6 * multiple)):
        image = pixels(height, width, model.input_shape[-1])[None]
        np.testing.assert_allclose(run(tmp_path / "model.tflite", image), expected(model, image), atol=1e-5)


@pytest.mark.parametrize("size", [None, (32, 48)])
@pytest.mark.parametrize(("quantize", "limit"), [("float16", 2e-3), ("dynamic", 0.02), ("int8", 0.02)])
def test_quantized_files(quantize, limit, size, tmp_path):
    model = network(channels=3, **FAST)
    samples = calibration(3) if quantize == "int8" else None
    described = export_tflite(model, tmp_path / "model.tflite", quantize=quantize, size=size, calibration=samples)
    image = pixels(32, 48, 3)[None]
    restored = run(tmp_path / "model.tflite", image)
    assert restored.min() >= 0
    assert restored.max() <= 1
    assert np.mean(np.abs(restored - expected(model, image))) < limit
    assert np.mean(np.abs(expected(model, image) - image)) > 4 * limit
    assert described["type"] == ("uint8" if (quantize, size) == ("int8", None) else "float32")


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_a_policy_of_mixed_precision_does_not_reach_it(mixed_bfloat16, quantize, tmp_path):
    export_tflite(REDNet(10, filters=4, **FAST), tmp_path / "m.tflite", quantize=quantize, calibration=calibration())
    image = pixels(32, 48, 1)[None]  # which a fresh network returns
    np.testing.assert_allclose(run(tmp_path / "m.tflite", image), image, atol=1e-6)


@pytest.mark.parametrize(
    ("downsample_at", "quantize", "size"),
    [
        ((), None, None),
        ((1,), None, (32, 48)),
        ((2, 4), None, None),
        ((), "float16", (32, 48)),
        ((1,), "dynamic", None),
        ((), "int8", (32, 48)),
        ((1,), "int8", None),
        ((2, 4), "int8", (32, 48)),
    ],
)
def test_runs_in_one_piece(downsample_at, quantize, size, tmp_path):
    model = network(downsample_at=downsample_at)
    samples = calibration() if quantize == "int8" else None
    export_tflite(model, tmp_path / "model.tflite", quantize=quantize, size=size, calibration=samples)
    counts = module.operators((tmp_path / "model.tflite").read_bytes())
    assert counts["CONV_2D"] == 10
    assert set(counts) <= module.OPERATORS
    interpreter = Interpreter(str(tmp_path / "model.tflite"), num_threads=1)
    interpreter.get_signature_runner("restore")(
        image=np.zeros((1, 32, 48, 1), interpreter.get_input_details()[0]["dtype"])
    )
    ran = [operator["op_name"] for operator in interpreter._get_ops_details()]
    assert ran.count("DELEGATE") == 1


def test_pixels_pass_the_8_bit_file_as_they_are(tmp_path):
    model = REDNet(10, filters=4, skips=None)  # fresh: returns its input
    export_tflite(model, tmp_path / "model.tflite", quantize="int8", calibration=calibration())
    interpreter = Interpreter(str(tmp_path / "model.tflite"))
    scales = [interpreter.get_input_details()[0]["quantization"], interpreter.get_output_details()[0]["quantization"]]
    assert scales == [(pytest.approx(1 / 255), 0)] * 2
    image = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    restored = interpreter.get_signature_runner("restore")(image=image)["restored"]
    assert np.abs(restored.astype(int) - image).max() <= 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_evening_out_the_channels_keeps_the_function(variant, monkeypatch):
    monkeypatch.setattr(module, "VALUES", 10_000)
    model = with_random_weights(REDNet(20, filters=4, **VARIANTS[variant]))
    kernel, bias = model.get_layer("conv1").get_weights()
    kernel[..., 0] = bias[0] = 0  # a dead channel
    model.get_layer("conv1").set_weights([kernel, bias])
    graph, multiple = fold(model), size_multiple(model)
    samples = [pixels(8 * multiple, 8 * multiple, model.input_shape[-1])]
    before = [layer.get_weights() for layer in graph.layers if layer.weights]
    values = module._values(graph, samples)
    module._even_out(graph, values)
    after = [layer.get_weights() for layer in graph.layers if layer.weights]
    assert not any(np.allclose(old[0], new[0], rtol=1e-3) for old, new in zip(before, after, strict=True))
    np.testing.assert_allclose(graph(samples[0][None]), model(samples[0][None]), atol=1e-4)
    for name, found in module._values(graph, samples).items():
        np.testing.assert_allclose(values[name], found, atol=1e-4 * max(1, np.abs(found).max()))


def test_8_bits_hold_channels_of_all_sizes(tmp_path):
    model, losses = network(), []
    image = pixels(32, 48, 1)[None]
    given = expected(model, image)
    factors = np.float32(2.5) ** np.linspace(-1, 1, 16)  # the function stays
    for uneven in (False, True):
        if uneven:
            (kernel, bias), (following, last) = (model.get_layer(name).get_weights() for name in ("conv1", "conv2"))
            model.get_layer("conv1").set_weights([kernel * factors, bias * factors])
            model.get_layer("conv2").set_weights([following / factors[:, None], last])
            np.testing.assert_allclose(expected(model, image), given, atol=1e-5)
        export_tflite(model, tmp_path / "model.tflite", quantize="int8", calibration=calibration())
        losses.append(np.mean((run(tmp_path / "model.tflite", image) - given) ** 2))
    assert losses[1] < 1.5 * losses[0]


def test_the_file_makes_up_for_what_the_rounding_of_its_weights_takes(tmp_path, monkeypatch):
    model = network()
    for layer in (layer for layer in model.layers if layer.weights):
        kernel, bias = layer.get_weights()
        step = np.abs(kernel).max() / 127
        kernel[np.abs(kernel) < 40 * step] = 0.45 * step  # which is rounded to nothing
        layer.set_weights([kernel, bias])
    image = pixels(32, 48, 1)[None]
    given, errors = expected(model, image), []
    for rounded in (module._round_weights, lambda graph, samples: None):
        monkeypatch.setattr(module, "_round_weights", rounded)
        export_tflite(model, tmp_path / "model.tflite", quantize="int8", calibration=calibration())
        errors.append(abs(np.mean(run(tmp_path / "model.tflite", image) - given)))
    assert errors[0] < 0.3 * errors[1]


def test_weights_are_rounded_for_what_they_read():
    random = np.random.default_rng(0)
    read = 0.5 + random.normal(size=(2000, 1)) + 0.1 * random.normal(size=(2000, 27))  # alike, as neighbours are
    weights = random.normal(size=(27, 8)).astype("float32")
    rounded = module._rounded(weights, read.T @ read / len(read))
    steps = 127 * rounded / np.abs(weights).max(0)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
    np.testing.assert_allclose(np.abs(rounded).max(0), np.abs(weights).max(0), rtol=1e-6)
    nearest = np.rint(127 * weights / np.abs(weights).max(0)) * np.abs(weights).max(0) / 127
    errors = [np.mean((read @ (weights - some)) ** 2) for some in (rounded, nearest)]
    assert errors[0] < 0.3 * errors[1]
    assert not module._rounded(np.zeros((9, 2), "float32"), np.zeros((9, 9))).any()  # nothing is read, or weighted


def test_a_network_whose_weights_are_rounded_for_what_they_read_loses_less(monkeypatch):
    model = with_random_weights(REDNet(10, filters=16))
    samples, errors = calibration(), []

    def nearest(weights, moments):
        step = np.abs(weights).max(0) / 127
        return np.rint(weights / step).astype("float32") * step

    for rounded in (module._rounded, nearest):
        monkeypatch.setattr(module, "_rounded", rounded)
        graph = fold(model)
        module._round_weights(graph, samples)
        image = pixels(40, 48, 1)[None]  # none of the samples, nor drawn by their seeds
        errors.append(np.mean((graph(image) - model(image)) ** 2))
    assert errors[0] < 0.8 * errors[1]


@pytest.mark.parametrize("variant", FEW)
def test_means_and_moments_are_of_what_the_layers_read(variant):
    graph = fold(with_random_weights(REDNet(10, filters=4, **VARIANTS[variant])))
    rows = np.random.default_rng(0).random((32, 1, graph.input_shape[-1]), dtype=np.float32)
    samples = [np.repeat(rows, 32, axis=1)]  # alike across, but not down: taps taken for others would show
    values = keras.Model(graph.input, [layer.output for layer in graph.layers])(samples[0][None])
    values = dict(zip((layer.name for layer in graph.layers), values, strict=True))
    sources = module._sources(graph)
    for name, (mean, moments) in module._read(graph, samples).items():
        layer = graph.get_layer(name)
        kernel, bias = layer.get_weights()
        weights = kernel.reshape(len(mean), -1)
        expected, squared = mean @ weights, np.sum(weights * (moments @ weights), axis=0)
        layer.set_weights([kernel, np.zeros_like(bias)])
        layer.activation = keras.activations.linear
        given = layer(values[sources[name][0]]).numpy()[0]
        phases = (-1, given.shape[-1])  # of an up-sampling layer; of others one
        expected, squared = expected.reshape(phases).mean(0), squared.reshape(phases).mean(0)
        np.testing.assert_allclose(given.mean((0, 1)), expected, atol=0.2 * given.std())  # strides skip some
        np.testing.assert_allclose(np.mean(given**2, axis=(0, 1)), squared, rtol=0.3)


def test_layers_with_rounded_weights_give_what_they_gave_on_average():
    graph = fold(with_random_weights(REDNet(10, filters=8)))
    samples = [pixels(16, 16, 1)]

    def given():
        means = {name: mean for name, (mean, _) in module._read(graph, samples).items()}
        weights = {name: graph.get_layer(name).get_weights() for name in means}
        return means, weights

    means, before = given()
    module._round_weights(graph, samples)
    _, after = given()
    for name, mean in means.items():
        (kernel, bias), (rounded, corrected) = before[name], after[name]
        assert np.abs(kernel - rounded).max() > 0
        lost = mean @ (kernel - rounded).reshape(len(mean), -1)
        np.testing.assert_allclose(corrected, bias + lost, atol=1e-6)
        assert np.abs(lost).max() > 1e-5


def test_the_means_of_what_a_kernel_reads():
    graph = fold(with_random_weights(REDNet(10, filters=2, downsample_at=(1,))))
    light = np.full((30, 30, 1), 0.5, "float32")
    mean, moments = module._read(graph, [light, light])["conv1"]
    assert mean.shape == (9,)
    assert 0.4 < mean.min() <= mean[4] == 0.5  # the window of a border reads zeros
    np.testing.assert_allclose(np.diag(moments), 0.5 * mean)


def test_photographs_are_calibrated_beside_drawings():
    photographs = 20 * calibration()
    drawings = module.with_drawings(iter(photographs), "denoise")[len(photographs) :]
    assert len(drawings) == len(photographs) / 8
    assert len(module.with_drawings(photographs[:1], "denoise")) == 1 + 6  # of every kind, white and black
    light = [drawing.mean() for drawing in drawings[:6]]
    assert min(light[::2]) > 0.5 > max(light[1::2])
    assert all(drawing.dtype == np.float32 and np.ptp(drawing) > 0.9 for drawing in drawings)
    assert len(module.with_drawings(photographs, "super_resolution")) == len(photographs)


def test_the_8_bit_ranges_leave_out_the_rarest_values(tmp_path):
    model = network()
    samples = [0.5 + 0.05 * (sample - 0.5) for sample in calibration()]
    samples[0][20:22, 20:22] = [[[0], [1]], [[1], [0]]]  # one speck
    export_tflite(model, tmp_path / "model.tflite", quantize="int8", calibration=samples)
    graph = fold(model)
    module._even_out(graph, module._values(graph, samples))
    maps = keras.Model(graph.input, graph.get_layer("conv1").output)
    values = np.concatenate([np.ravel(maps(sample[None])) for sample in samples])
    content = module.flatbuffer_utils.read_model_from_bytearray(bytearray((tmp_path / "model.tflite").read_bytes()))
    tensors = content.subgraphs[0].tensors
    first = next(o.outputs[0] for o in content.subgraphs[0].operators if len(o.inputs) == 3)  # the first convolution
    range_of_first = 255 * tensors[first].quantization.scale[0]
    assert range_of_first == pytest.approx(np.percentile(values, 99.99), rel=0.1)
    assert range_of_first < 0.8 * values.max()


def test_the_8_bit_file_is_a_quarter_as_large(tmp_path):
    sizes = {}
    for quantize in (None, "float16", "dynamic", "int8"):
        samples = calibration() if quantize == "int8" else None
        export_tflite(network(64), tmp_path / "model.tflite", quantize=quantize, calibration=samples)
        sizes[quantize] = (tmp_path / "model.tflite").stat().st_size
    assert sizes["float16"] < 0.55 * sizes[None]
    assert sizes["dynamic"] < 0.3 * sizes[None]
    assert sizes["int8"] < 0.3 * sizes[None]


def test_refuses_what_is_no_red_net(tmp_path):
    image = keras.Input((None, None, 1))
    wrapped = keras.Model(image, network(4)(image))
    plain = keras.Sequential([image, keras.layers.Conv2D(1, 3, padding="same", name="conv2d")])
    named = keras.Sequential([image, keras.layers.BatchNormalization(name="conv1_bn")])  # as other networks name theirs
    for model in (wrapped, plain, named):
        with pytest.raises(ValueError, match="must hold the layers of a RED-Net only"):
            export_tflite(model, tmp_path / "model.tflite")
    with pytest.raises(ValueError, match="must have 1 or 3 channels. Received: 2 channels"):
        export_tflite(REDNet(10, filters=4, channels=2, skips=None), tmp_path / "model.tflite")
    assert not any(tmp_path.iterdir())


def test_makes_the_folder(tmp_path):
    export_tflite(network(4), tmp_path / "new" / "folder" / "model.tflite")
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["model.json", "model.tflite"]


def test_metadata_cannot_replace_what_the_file_says_of_itself(tmp_path):
    metadata = {"type": "uint8", "size": None, "task": "denoise", "sha256": "0", "luminance": "Y"}
    with pytest.raises(ValueError, match="what the file says of itself. Received: luminance, sha256, size, type"):
        export_tflite(network(4), tmp_path / "model.tflite", metadata=metadata)
    assert not any(tmp_path.iterdir())


def test_metadata_inside_and_beside(tmp_path):
    model = network(**FAST)
    path = tmp_path / "model.tflite"
    described = export_tflite(model, path, size=(32, 48), metadata={"task": "denoise", "licence": "MIT"})
    beside = json.loads(path.with_suffix(".json").read_text())
    assert beside == described
    assert beside.pop("sha256") == hashlib.sha256(path.read_bytes()).hexdigest()
    content = module.flatbuffer_utils.read_model_from_bytearray(bytearray(path.read_bytes()))
    entries = {entry.name: content.buffers[entry.buffer].data for entry in content.metadata}
    assert b"min_runtime_version" in entries
    assert json.loads(bytes(entries[b"keras_rednet"])) == beside
    wanted = {"task": "denoise", "channels": 1, "size_multiple": 2, "size": [32, 48], "licence": "MIT"}
    assert wanted == {key: beside[key] for key in wanted}
    assert beside["halo"] >= 2 * (10 - 2) + 2


@pytest.mark.parametrize(("channels", "color"), [(1, "ycbcr"), (1, "rgb"), (3, "luminance"), (3, "channels")])
def test_refuses_a_color_that_no_program_knows(channels, color, tmp_path):
    with pytest.raises(ValueError, match=rf"`color` in the metadata of a network of {channels} .* Received: '{color}'"):
        export_tflite(REDNet(10, filters=4, channels=channels), tmp_path / "model.tflite", metadata={"color": color})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("path", "options", "words"),
    [
        ("model.bin", {}, "`path` must end in .tflite. Received"),
        ("model.tflite", {"quantize": "int4"}, "`quantize` must be one of .* Received: quantize='int4'"),
        ("model.tflite", {"size": (31, 48)}, r"multiples of 2 pixels, or None. Received: size=\(31, 48\)"),
        ("model.tflite", {"size": (32,)}, "`size` must be"),
        ("model.tflite", {"size": 32}, "`size` must be"),
        ("model.tflite", {"size": (32.0, 48.0)}, "`size` must be"),
        ("model.tflite", {"quantize": "int8"}, "`calibration` must be corrupted images .* Received: None"),
        ("model.tflite", {"quantize": "int8", "calibration": []}, "at least an image. Received: none"),
        ("model.tflite", {"quantize": "int8", "calibration": [np.zeros((8, 8, 3))]}, r"images \[h, w, 1\] of at least"),
        ("model.tflite", {"quantize": "int8", "calibration": [np.zeros((8, 8))]}, r"Received: shape=\(8, 8\)"),
        ("model.tflite", {"quantize": "int8", "calibration": [np.full((8, 8, 1), 255)]}, "Received: 255 to 255"),
    ],
)
def test_bad_arguments_write_nothing(path, options, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        export_tflite(network(4, **FAST), tmp_path / path, **options)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_replaced_keeps_its_metadata(tmp_path, monkeypatch):
    path = tmp_path / "model.tflite"
    export_tflite(network(**FAST), path)
    before = [file.read_bytes() for file in (path, path.with_suffix(".json"))]
    write = Path.write_bytes

    def full(file, content):
        write(file, content[:100])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        export_tflite(network(**FAST), path, quantize="float16")
    assert [file.read_bytes() for file in (path, path.with_suffix(".json"))] == before


def test_numpys_sizes_are_sizes(tmp_path, monkeypatch):
    described = export_tflite(network(**FAST), tmp_path / "model.tflite", size=np.array([32, 48]))
    assert list(described["size"]) == [32, 48]
    monkeypatch.setattr(module, "_converted", lambda *arguments: pytest.fail("has been converted"))
    with pytest.raises(TypeError, match="not JSON serializable"):
        export_tflite(network(**FAST), tmp_path / "other.tflite", metadata={"level": np.int64(10)})
    assert not (tmp_path / "other.tflite").exists()


def test_a_graph_that_is_not_accelerated_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "fold", lambda model: model)  # transposed convolutions and shape arithmetic
    with pytest.raises(RuntimeError, match="The converter made operators .*TRANSPOSE_CONV"):
        export_tflite(network(4), tmp_path / "model.tflite")
    assert not list(tmp_path.iterdir())
