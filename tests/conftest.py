import gc
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from keras_rednet.model import RED30
from keras_rednet.weights import save

settings.register_profile("steady", deadline=None, derandomize=True, database=None)  # machines are noisy
settings.load_profile("steady")

RECORD = {"recipe": {}, "commit": "test", "training_images": [], "validation_images": [], "patches": 0}


def section(name, program, text):
    """Returns what a program writes between the marks of a README, marks included."""
    return f"<!-- {name}: written by `python -m {program}` -->\n\n{text}\n<!-- end of {name} -->"


def pytest_collection_finish():
    """To search all of TensorFlow for garbage again and again took a tenth of the tests' time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


@pytest.fixture(autouse=True)
def seed():
    """Every run draws the same: of 4 feature maps, now and then a layer draws none that lives."""
    keras.utils.set_random_seed(0)


@pytest.fixture
def mixed_bfloat16():
    """A script that trains in mixed precision."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def channels_first():
    """A keras.json that puts channels first."""
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.fixture
def floatx16():
    """A keras.json whose numbers are of 16 bits."""
    keras.config.set_floatx("float16")
    yield
    keras.config.set_floatx("float32")


@pytest.fixture
def test_images():
    """The folder of the literature's test images."""
    if "KERAS_REDNET_DATA" not in os.environ:
        pytest.skip("KERAS_REDNET_DATA names no folder of test images")
    return Path(os.environ["KERAS_REDNET_DATA"])


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of six small photographs, cut from the sample that the package ships."""
    import keras_rednet

    folder = tmp_path_factory.mktemp("photos")
    with Image.open(Path(keras_rednet.__file__).parent / "samples" / "chelsea.png") as sample:
        for i in range(6):
            sample.crop((60 * i, 30 * i, 60 * i + 90, 30 * i + 70)).save(folder / f"photo{i}.png")
    return folder


@pytest.fixture(scope="session")
def fast_weights(tmp_path_factory):
    """Files of weights of the fast RED30, {channels: path}: gray darkens an image by 0.1, colour by 0.2 of white."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {}
    for channels in (1, 3):
        model = RED30(channels=channels, downsample_at=(1,), weights=None)
        model.get_layer("deconv15").bias.assign(np.full(channels, {1: -0.1, 3: -0.2}[channels]))
        paths[channels] = folder / f"{channels}.npz"
        save(model, paths[channels], {**RECORD, "validation_psnr": {}})
    return paths


@pytest.fixture(scope="session")
def fast_networks(fast_weights):
    """The networks of these weights, {channels: network}: of one that stays, the deployment graph is made once."""
    return {
        channels: RED30(channels=channels, downsample_at=(1,), weights=path) for channels, path in fast_weights.items()
    }
