"""The same file gives the same picture, and the same recipe trains, on every backend of Keras that is installed."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from test_model import with_random_weights

from keras_rednet import REDNet, restore

BACKENDS = [name for name in ("tensorflow", "jax", "torch") if name != keras.backend.backend()]
RESTORE = """
import sys
import keras, numpy as np
from keras_rednet import restore
assert keras.backend.backend() == sys.argv[1]
for folder in sys.argv[2:]:
    image = np.load(f"{folder}/image.npy")
    model = keras.models.load_model(f"{folder}/model.keras")
    model.get_layer("conv2").trainable = False  # as for fine-tuning
    np.save(f"{folder}/whole.npy", keras.ops.convert_to_numpy(model(image[None]))[0])
    np.save(f"{folder}/tiled.npy", restore(model, image, tile=16))
"""
THREADS = """
import concurrent.futures, sys
import numpy as np
import keras_rednet.restoration
from keras_rednet import REDNet, restore
images = np.random.default_rng(0).random((4, 61, 75, 1), "float32")
model = REDNet(10, filters=8, downsample_at=(1,))
model.get_layer("deconv5").set_weights([np.full((3, 3, 1, 8), 0.01, "float32"), np.zeros(1, "float32")])
expected = [restore(model, image) for image in images]
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    together = list(pool.map(lambda i: restore(model, images[i % 4]), range(64)))
for i, restored in enumerate(together):
    np.testing.assert_array_equal(restored, expected[i % 4])
assert (keras_rednet.restoration._deployment(model).window_multiple > 1) == (sys.argv[1] == "jax")
"""
TRAIN = """
import dataclasses, sys
import numpy as np
from recipes import train
recipe = dataclasses.replace(train.RECIPES["red10-fast-denoise-blind-gray"].smoke(), precision="float32")
model = train.train(recipe, *train.split([sys.argv[1]]), sys.argv[2])
assert np.abs(model.get_layer("deconv5").get_weights()[0]).max() > 0
"""


def run(backend, program, *arguments):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("backend", BACKENDS)
def test_same_picture(backend, tmp_path):
    variants = ({"downsample_at": (1,)}, {"downsample_at": (2, 4), "channels": 3})
    cases = []
    for i, variant in enumerate(variants):
        model = with_random_weights(REDNet(10, filters=8, **variant))
        image = np.random.default_rng(0).random((61, 75, model.input_shape[-1]), "float32")
        folder = tmp_path / str(i)
        folder.mkdir()
        model.save(folder / "model.keras")
        np.save(folder / "image.npy", image)
        cases.append((folder, image, restore(model, image)))
    run(backend, RESTORE, backend, *(folder for folder, _, _ in cases))
    for folder, image, expected in cases:
        assert np.std(expected - image) > 0.01
        np.testing.assert_allclose(np.load(folder / "whole.npy"), expected, atol=1e-5)
        np.testing.assert_allclose(np.load(folder / "tiled.npy"), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_share_a_network(backend):
    run(backend, THREADS, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_trains(backend, photos, tmp_path):
    run(backend, TRAIN, photos, tmp_path)
