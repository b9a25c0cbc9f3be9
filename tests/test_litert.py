"""LiteRT restores with TFLite files what the package restores with the model, in the same tiles."""

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ai_edge_litert import interpreter
from PIL import Image, ImageDraw
from test_model import with_random_weights
from test_tflite import calibration, expected, pixels

from keras_rednet import RED30, REDNet, export_tflite, load_tflite, restore, upscale
from keras_rednet.litert import to_litert
from keras_rednet.tflite import stands, with_drawings


@pytest.fixture(scope="module")
def model():
    """A network whose restored values stay within [0, 1], where a file clips them."""
    model = with_random_weights(REDNet(10, filters=16, downsample_at=(1,)))
    last = model.get_layer("deconv5")
    last.set_weights([0.1 * array for array in last.get_weights()])
    return model


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "model.tflite"
    export_tflite(model, path)
    return path


@pytest.fixture
def file(exported, tmp_path):
    for path in (exported, exported.with_suffix(".json")):
        shutil.copy(path, tmp_path)
    return tmp_path / exported.name


@pytest.mark.parametrize("tile", [16, "auto", None])
@pytest.mark.parametrize("size", [(1, 1), (75, 91)])
def test_restores_as_the_model_does(model, file, size, tile):
    image = pixels(*size, 1)
    whole = expected(model, image[None])[0]
    np.testing.assert_allclose(restore(load_tflite(file), image, tile=tile), whole, atol=1e-5)


def test_takes_colour_and_enlarges(model, file):
    picture = np.rint(100 + 55 * pixels(40, 51, 3)).astype(np.uint8)
    network = load_tflite(file, threads=1)
    for color in ("channels", "luminance"):
        difference = restore(network, picture, color=color).astype(int) - restore(model, picture, color=color)
        assert np.abs(difference).max() <= 1
    assert upscale(network, picture, (80, 102)).shape == (80, 102, 3)


def test_takes_pixels_where_the_file_does(model, tmp_path):
    export_tflite(model, tmp_path / "model.tflite", quantize="int8", calibration=calibration())
    image = pixels(64, 80, 1)
    restored = restore(load_tflite(tmp_path / "model.tflite"), image)
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, expected(model, image[None])[0], atol=0.06)
    np.testing.assert_allclose(255 * restored, np.rint(255 * restored), atol=1e-3)


def test_refuses_16_bits_where_the_file_takes_8(model, tmp_path):
    export_tflite(model, tmp_path / "model.tflite", quantize="int8", calibration=calibration())
    network, deep = load_tflite(tmp_path / "model.tflite"), np.full((20, 30), 999, np.uint16)
    for call in (lambda: restore(network, deep), lambda: upscale(network, Image.fromarray(deep), (40, 60))):
        with pytest.raises(ValueError, match="8 of these would be lost: .* Received: dtype=uint16"):
            call()
    export_tflite(model, tmp_path / "model.tflite", quantize="float16")
    assert restore(load_tflite(tmp_path / "model.tflite"), deep).dtype == np.uint16


def test_converts_a_model(model):
    image = pixels(64, 80, 1)
    restored = restore(to_litert(model), image)
    np.testing.assert_allclose(restored, expected(model, image[None])[0], atol=0.02)
    assert not np.array_equal(restored, expected(model, image[None])[0])


@pytest.mark.parametrize(("task", "level"), [("denoise", "blind"), ("deblock", "blind")])
def test_8_bits_are_too_few_for_denoisers_where_detail_is_hard(task, level):
    """A noisy sky with a few stars; once a denoiser of which this does not hold is shipped, `stands` should know it."""
    model = RED30(task, level=level, downsample_at=(1,))
    random, sky = np.random.default_rng(0), np.full((128, 128), 110.0)
    sky[60:68, 60:68] = 255 * random.integers(0, 2, (8, 8))
    noisy = np.clip(np.rint(sky + random.normal(0, 10 if task == "denoise" else 0, sky.shape)), 0, 255).astype("uint8")
    around = np.ones_like(sky, bool)
    around[50:78, 50:78] = False
    exact, dynamic = (restore(network, noisy)[around] for network in (model, to_litert(model, quantize="dynamic")))
    assert (dynamic.std() > 3 * exact.std() + 1) != stands(task, "dynamic")


def test_8_bits_hold_letters_where_drawings_calibrate_them(tmp_path):
    model, random = RED30("denoise", downsample_at=(1,)), np.random.default_rng(0)
    page = Image.new("L", (96, 96), 255)
    for y in range(0, 96, 12):
        ImageDraw.Draw(page).text((0, y), "to be or not to be 0123", 0)
    noisy = np.clip(np.rint(np.asarray(page) + random.normal(0, 10, (96, 96))), 0, 255).astype("uint8")
    soft = [np.clip(0.5 + 0.3 * (pixels(96, 96, 1) - 0.5) + random.normal(0, 0.1, (96, 96, 1)), 0, 1) for _ in range(8)]
    export_tflite(model, tmp_path / "model.tflite", quantize="int8", calibration=with_drawings(soft, "denoise"))
    difference = restore(load_tflite(tmp_path / "model.tflite"), noisy).astype(float) - restore(model, noisy)
    assert np.std(difference) < 5  # gray levels, and above that without the drawings


@pytest.mark.parametrize(("threads", "variable", "expected"), [(None, "3", 3), (2, "3", 2), (2, "0", 2)])
def test_takes_as_many_threads_as_keras(file, monkeypatch, threads, variable, expected):
    counts = []
    made = interpreter.Interpreter
    monkeypatch.setattr(interpreter, "Interpreter", lambda **how: counts.append(how["num_threads"]) or made(**how))
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", variable)
    load_tflite(file, threads=threads)
    assert counts == [expected]


def test_threads_take_turns(model, file):
    images = [pixels(90 + i, 80 - i, 1) for i in range(32)]
    network = load_tflite(file, threads=1)
    with ThreadPoolExecutor(8) as executor:
        restored = list(executor.map(lambda image: restore(network, image, tile=40), images))
    for image, received in zip(images, restored, strict=True):
        np.testing.assert_allclose(received, expected(model, image[None])[0], atol=1e-5)


@pytest.mark.parametrize("content", ["[]", "not JSON"])
def test_names_the_json_that_is_not_its_own(file, content):
    file.with_suffix(".json").write_text(content)
    with pytest.raises(ValueError, match="model.json is not the JSON file that `export_tflite` wrote"):
        load_tflite(file)


def test_refuses_a_damaged_file(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match="model.tflite is damaged: its sha256 should be [0-9a-f]{64}. Received: "):
        load_tflite(file)


@pytest.mark.parametrize("content", [b"", b"no network", b"\x1c\0\0\0TFL3"])
def test_refuses_what_is_no_file_of_ours(content, tmp_path):
    (tmp_path / "model.tflite").write_bytes(content)
    with pytest.raises(ValueError, match="model.tflite (is no TFLite file|has no metadata of keras_rednet)"):
        load_tflite(tmp_path / "model.tflite")


@pytest.mark.parametrize(
    ("now", "then"),
    [
        (b'"size"', b'"sizz"'),
        (b'"restore"', b'"restorf"'),
        (b'"type": "float32"', b'"type": "floatXX"'),
        (b'"channels": 1', b'"channels": 2'),
        (b'"size_multiple": 2', b'"size_multiple": 0'),
        (b'{"signature', b'["signature'),
    ],
)
def test_refuses_metadata_that_are_damaged(file, now, then):
    file.with_suffix(".json").unlink()
    content = file.read_bytes()
    assert content.count(now) == 1
    file.write_bytes(content.replace(now, then))
    with pytest.raises(ValueError, match="model.tflite is damaged: its metadata describe no network"):
        load_tflite(file)


def test_refuses_a_fixed_size(model, tmp_path):
    export_tflite(model, tmp_path / "model.tflite", size=(32, 48))
    with pytest.raises(ValueError, match=r"is for images of \[32, 48\] pixels. Expected: a file for any size"):
        load_tflite(tmp_path / "model.tflite")


def test_says_what_to_install(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(ImportError, match=r'LiteRT is not installed: pip install "keras_rednet\[litert\]"'):
        load_tflite(file)


def test_a_file_without_its_json_loads(file):
    described = json.loads(file.with_suffix(".json").read_text())
    file.with_suffix(".json").unlink()
    assert load_tflite(file).halo == described["halo"]
