"""The SavedModel gives what `restore` gives, through TensorFlow in Python and through its C API alone."""

import io
import json
import shutil
import struct
import subprocess
import sysconfig
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from serving_messages import messages, tensor
from test_model import with_random_weights

from keras_rednet import REDNet, export_saved_model, restore
from keras_rednet import saved_model as module
from keras_rednet.fold import fold
from keras_rednet.pictures import _chunk


def network(channels=1, **options):
    return with_random_weights(REDNet(10, filters=4, channels=channels, **options))


EXPORTED = [(1, (), "channels"), (1, (1,), "luminance"), (1, (), "ycbcr"), (3, (1, 3), "channels")]


@pytest.fixture(scope="module", params=EXPORTED)
def exported(request, tmp_path_factory):
    """Returns (model, color, folder)."""
    channels, downsample_at, color = request.param
    model = network(channels, downsample_at=downsample_at)
    directory = tmp_path_factory.mktemp("models") / "7"
    export_saved_model(model, directory, color=color)
    return model, color, directory


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(str(exported[2]))


def pictures():
    """Yields PIL images of every kind, odd sizes and a single pixel."""
    random = np.random.default_rng(0)
    yield Image.fromarray(random.integers(0, 256, (20, 31), np.uint8))
    yield Image.fromarray(random.integers(0, 256, (19, 30, 3), np.uint8))
    yield Image.fromarray(random.integers(0, 256, (9, 8, 4), np.uint8))
    yield Image.fromarray(random.integers(0, 65536, (12, 13), np.uint16))
    yield Image.merge("LA", [Image.fromarray(random.integers(0, 256, (5, 6), np.uint8)) for _ in range(2)])
    yield Image.fromarray(random.integers(0, 256, (1, 1, 3), np.uint8))


def tolerance(picture, color):
    """Returns by how much integers may differ: float32 rounds another way in 16 bits, and in other orders of colour."""
    return 1 if color in ("luminance", "ycbcr") or picture.mode == "I;16" else 0


def encoded(picture, kind="PNG"):
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("size", [(16, 24), (17, 23), (1, 1), (2, 5)])
def test_floats(exported, loaded, size):
    model, _, _ = exported
    image = np.random.default_rng(1).random((2, *size, model.input_shape[-1]), "float32")
    signature = loaded.signatures["serving_default"]
    restored = signature(image=tf.constant(image))["restored"].numpy()
    assert np.abs(restored - image).max() > 0.01
    np.testing.assert_allclose(restored, model.predict(image, verbose=0), atol=1e-5)


def test_a_policy_of_mixed_precision_does_not_reach_it(mixed_bfloat16, tmp_path):
    model = REDNet(10, filters=4, downsample_at=(1,))  # a fresh one returns its input
    export_saved_model(model, tmp_path / "1")
    image = np.random.default_rng(1).random((1, 17, 23, 1), "float32")
    restored = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"](image=tf.constant(image))
    np.testing.assert_array_equal(restored["restored"].numpy(), image)


def test_computes_in_bfloat16_where_that_is_asked_for(tmp_path):
    model = network(downsample_at=(1,))
    image = np.random.default_rng(1).random((1, 17, 23, 1), "float32")
    restored = []
    for version, precision in (("1", "float32"), ("2", "bfloat16")):
        export_saved_model(model, tmp_path / version, precision=precision)
        signature = tf.saved_model.load(str(tmp_path / version)).signatures["serving_default"]
        restored.append(signature(image=tf.constant(image))["restored"].numpy())
        about = json.loads((tmp_path / version / "assets.extra" / "keras_rednet.json").read_text())
        assert about["precision"] == precision
    assert 1e-5 < np.abs(restored[0] - restored[1]).max() < 0.02
    fresh = REDNet(10, filters=4)  # returns its input
    export_saved_model(fresh, tmp_path / "3", precision="bfloat16")
    restored = tf.saved_model.load(str(tmp_path / "3")).signatures["serving_default"](image=tf.constant(image))
    np.testing.assert_array_equal(restored["restored"].numpy(), image)  # the last sum is float32
    with pytest.raises(ValueError, match="`precision` must be one of .* Received: precision='half'"):
        export_saved_model(fresh, tmp_path / "4", precision="half")


def test_bytes(exported, loaded):
    model, _, _ = exported
    image = np.random.default_rng(1).integers(0, 256, (2, 15, 22, model.input_shape[-1]), np.uint8)
    restored = loaded.signatures["restore_uint8"](image=tf.constant(image))["restored"]
    assert restored.dtype == tf.uint8
    for received, one in zip(restored.numpy(), image, strict=True):
        np.testing.assert_array_equal(received, restore(model, one))


def test_files_of_every_kind_in_one_batch(exported, loaded):
    model, color, _ = exported
    signature = loaded.signatures["restore_image_bytes"]
    batch = [encoded(picture) for picture in pictures()]
    restored = signature(image_bytes=tf.constant(batch))["restored_bytes"].numpy()
    for picture, file in zip(pictures(), restored, strict=True):
        received, expected = Image.open(io.BytesIO(file)), restore(model, picture, color=color)
        assert (received.format, received.mode, received.size) == ("PNG", picture.mode, picture.size)
        difference = np.abs(np.asarray(received).astype(int) - np.asarray(expected))
        assert difference.max() <= tolerance(picture, color)


def test_hidden_colours_stay_and_do_not_matter(exported, loaded):
    model, color, _ = exported
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 4), np.uint8)
    picture[..., 3] = 255
    picture[10:, 5:45, 3] = 0
    other = picture.copy()
    other[10:, 5:45, :3] = 0
    files = tf.constant([tf.io.encode_png(x).numpy() for x in (picture, other)])
    restored = loaded.signatures["restore_image_bytes"](image_bytes=files)["restored_bytes"].numpy()
    restored, of_other = (tf.io.decode_png(file).numpy() for file in restored)
    seen = picture[..., 3] > 0
    np.testing.assert_array_equal(restored[seen], of_other[seen])
    np.testing.assert_array_equal(restored[~seen], picture[~seen])
    difference = np.abs(restored[seen].astype(int) - restore(model, picture, color=color)[seen])
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.05  # `restore` rounds what it fills in


def test_refuses_files_of_too_many_pixels_and_the_next_are_restored(tmp_path):
    export_saved_model(network(), tmp_path / "1", most_pixels=600)
    signature = tf.saved_model.load(str(tmp_path / "1")).signatures["restore_image_bytes"]
    fits = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8))
    for kind in ("PNG", "JPEG"):
        large = encoded(Image.new("RGB", (31, 20)), kind)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"at most 600 pixels. Received, .*\n?.*\[20 31\]"):
            signature(image_bytes=tf.constant([encoded(fits), large]))
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"at most 600 pixels"):
            signature(image_bytes=tf.constant([large[:-14]]))  # so it is refused before it is decoded, which fails
    large = encoded(Image.new("RGB", (31, 20)))
    hidden = _chunk(b"prVt", struct.pack(">IIB", 2, 2, 8))  # says 2x2 where the size should stand
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be PNG or JPEG files"):  # for TensorFlow this is one
        signature(image_bytes=tf.constant([large[:8] + hidden + large[8:]]))
    assert len(signature(image_bytes=tf.constant([encoded(fits)]))["restored_bytes"]) == 1
    signature(image_bytes=tf.constant([encoded(fits.convert("I;16"))]))


@pytest.mark.parametrize("kind", ["GIF", "BMP", "WEBP"])
def test_other_files_are_not_decoded(loaded, kind):
    """TensorFlow decodes them, and is told their size by nothing before; of BMPs it takes a palette for gray."""
    signature = loaded.signatures["restore_image_bytes"]
    file = encoded(Image.fromarray(np.zeros((4, 5, 3), np.uint8)), kind)
    for data in (file, b"", b"\x89PN"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="must be PNG or JPEG files. Received"):
            signature(image_bytes=tf.constant([data]))


def test_pixels_that_are_too_many_are_refused_as_well(tmp_path):
    export_saved_model(network(), tmp_path / "1", most_pixels=600)
    signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
    for name, dtype in (("serving_default", tf.float32), ("restore_uint8", tf.uint8)):
        assert signatures[name](image=tf.zeros((3, 20, 30, 1), dtype))["restored"].shape == (3, 20, 30, 1)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"at most 600 pixels"):
            signatures[name](image=tf.zeros((1, 20, 31, 1), dtype))


def test_jpeg_files(exported, loaded):
    model, color, _ = exported
    signature = loaded.signatures["restore_image_bytes"]
    picture = Image.fromarray(
        np.random.default_rng(2).integers(0, 256, (24, 16), np.uint8)
    )  # else decoded less exactly
    file = encoded(picture, "JPEG")
    (restored,) = signature(image_bytes=tf.constant([file]))["restored_bytes"].numpy()
    expected = restore(model, Image.open(io.BytesIO(file)), color=color)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(restored))), np.asarray(expected))


def test_colour_jpeg_files(exported, loaded):
    model, color, _ = exported
    signature = loaded.signatures["restore_image_bytes"]
    smooth = Image.fromarray(np.random.default_rng(2).integers(0, 256, (3, 4, 3), np.uint8)).resize((32, 24))
    file = io.BytesIO()
    smooth.save(file, "JPEG", quality=95, subsampling=0)
    (restored,) = signature(image_bytes=tf.constant([file.getvalue()]))["restored_bytes"].numpy()
    expected, received = restore(model, Image.open(file), color=color), Image.open(io.BytesIO(restored))
    assert received.mode == "RGB"
    assert np.abs(np.asarray(received).astype(int) - np.asarray(expected)).mean() < 2  # other decoders round otherwise
    assert np.asarray(expected).std(axis=2).mean() > 10


def test_holds_no_transposed_convolution_and_its_weights_once(exported):
    model, _, directory = exported
    text = (directory / "saved_model.pb").read_bytes()
    assert b"Conv2D" in text
    assert b"Conv2DBackpropInput" not in text
    arrays = tf.train.load_checkpoint(str(directory / "variables" / "variables")).get_variable_to_shape_map()
    count = sum(np.prod(shape, dtype=int) for name, shape in arrays.items() if name.endswith("VARIABLE_VALUE"))
    assert count == fold(model).count_params()


@pytest.mark.parametrize("exported", [EXPORTED[1], pytest.param(EXPORTED[3], marks=pytest.mark.slow)], indirect=True)
def test_the_c_api_alone(exported, tmp_path):
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler")
    model, color, directory = exported
    program = _compiled(compiler, tmp_path)
    inputs, outputs = [], []
    for i, picture in enumerate(pictures()):
        inputs.append(tmp_path / f"input{i}.png")
        inputs[-1].write_bytes(encoded(picture))
        outputs.append(tmp_path / f"output{i}.png")
    command = [program, directory, *_operations(directory), *outputs, "--", *inputs]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "must be PNG or JPEG files" in done.stdout
    for picture, output in zip(pictures(), outputs, strict=True):
        expected = np.asarray(restore(model, picture, color=color)).astype(int)
        assert np.abs(np.asarray(Image.open(output)) - expected).max() <= tolerance(picture, color)


def _compiled(compiler, folder):
    installed = Path(tf.__file__).parent
    program = folder / "saved_model"
    libraries = [str(path) for path in installed.glob("libtensorflow_*.so.2")]
    if not libraries or sysconfig.get_platform().startswith("win"):
        pytest.skip("this TensorFlow brings no C library")
    source = Path(__file__).with_name("saved_model.c")
    options = ["-I", installed / "include", f"-Wl,-rpath,{installed}", "-o", program]
    subprocess.run([compiler, source, *libraries, *options], check=True)
    return program


def _operations(directory):
    """Returns the names of the operations behind input and output of `restore_image_bytes`."""
    from tensorflow.core.protobuf import saved_model_pb2

    message = saved_model_pb2.SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    signature = message.meta_graphs[0].signature_def["restore_image_bytes"]
    names = signature.inputs["image_bytes"].name, signature.outputs["restored_bytes"].name
    assert all(name.endswith(":0") or name[-2] == ":" for name in names)
    return [name.split(":")[0] for name in names]


def test_warm_up_requests(exported):
    assert _warm_up(exported[2]) == ["serving_default", "restore_uint8", "restore_image_bytes"]


@pytest.mark.parametrize("most_pixels", [1, 600])
def test_warm_up_requests_of_a_server_that_takes_small_pictures_only(most_pixels, tmp_path):
    export_saved_model(network(), tmp_path / "1", most_pixels=np.int64(most_pixels))
    assert len(_warm_up(tmp_path / "1")) == 3


def _warm_up(directory):
    """Runs a SavedModel's warm-up requests, as TF Serving does, and returns the names of their signatures."""
    path = directory / "assets.extra" / "tf_serving_warmup_requests"
    log, signatures = messages()["PredictionLog"], tf.saved_model.load(str(directory)).signatures
    names = []
    for record in tf.data.TFRecordDataset(str(path)):
        request = log.FromString(record.numpy()).predict_log.request
        inputs = {entry.key: tf.make_ndarray(tensor(entry.value)) for entry in request.inputs}
        signatures[request.model_spec.signature_name](**{name: tf.constant(value) for name, value in inputs.items()})
        names.append(request.model_spec.signature_name)
    return names


@pytest.mark.parametrize(
    ("directory", "options", "error", "words"),
    [
        ("new", {}, ValueError, "must end in the version, a whole number.*Received: directory=.*new"),
        (
            "1",
            {"most_pixels": 0},
            ValueError,
            "`most_pixels` must be an integer of at least 1, or None. Received: most_pixels=0",
        ),
        ("1", {"most_pixels": 1.5}, ValueError, "`most_pixels` must be an integer .* Received: most_pixels=1.5"),
        ("1", {"metadata": {"level": np.int64(1)}}, TypeError, "not JSON serializable"),
        (
            "1",
            {"metadata": {"task": "denoise", "precision": "float32", "channels": 3}},
            ValueError,
            "must not replace what the SavedModel says of itself. Received: channels, precision",
        ),
        ("1", {"color": "rgb"}, ValueError, "`color` must be one of .* Received: color='rgb'"),
        ("0", {}, FileExistsError, "is there already: choose a new version"),
    ],
)
def test_bad_arguments_write_nothing(directory, options, error, words, tmp_path):
    (tmp_path / "0").mkdir()
    with pytest.raises(error, match=words):
        export_saved_model(network(), tmp_path / directory, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["0"]


def test_other_channels_and_backends(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="must have 1 or 3 channels. Received: 2 channels"):
        export_saved_model(network(channels=2), tmp_path / "1")
    images = [keras.Input((None, None, 3)) for _ in range(2)]
    for model in (keras.Model(images, keras.layers.add(images)), keras.Sequential(), "denoise"):
        with pytest.raises(ValueError, match="must have one input of images, as a RED-Net has. Received: input shape"):
            export_saved_model(model, tmp_path / "1")
    monkeypatch.setattr(module.keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="set KERAS_BACKEND=tensorflow.*Received: jax"):
        export_saved_model(network(), tmp_path / "1")
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(module, "_write_warm_up", fail)
    with pytest.raises(OSError, match="disk full"):
        export_saved_model(network(), tmp_path / "1")
    assert not list(tmp_path.iterdir())
