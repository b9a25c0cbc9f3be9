"""The programs under export/ do with the artefacts what the package does with its models."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_model import with_random_weights
from test_tflite import calibration

from keras_rednet import REDNet, export_tflite, restore

EXPORT = Path(__file__).parent.parent / "export"


def network(**options):
    """Returns a network whose restored values stay within [0, 1], where a file would clip them."""
    model = with_random_weights(REDNet(10, **options))
    last = model.get_layer("deconv5")
    last.set_weights([0.1 * array for array in last.get_weights()])
    return model


def run(*arguments):
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.parametrize("size", [None, (88, 96)])
@pytest.mark.parametrize(
    ("channels", "downsample_at", "color"), [(1, (), "gray"), (1, (1,), "luminance"), (3, (1, 3), "rgb")]
)
def test_litert_tiles_equal_the_whole_picture(channels, downsample_at, color, size, tmp_path):
    model = network(filters=4, channels=channels, downsample_at=downsample_at)
    export_tflite(model, tmp_path / "model.tflite", size=size, metadata={"color": color})
    for shape in ((123, 150, 3), (90, 201)):
        picture = Image.fromarray(np.random.default_rng(0).integers(90, 160, shape, np.uint8))
        picture.save(tmp_path / "photo.png")
        done = run(
            EXPORT / "litert" / "restore.py", *(tmp_path / name for name in ("model.tflite", "photo.png", "out.png"))
        )
        assert done.returncode == 0, done.stderr
        expected = restore(model, np.asarray(picture), color="luminance" if color == "luminance" else "channels")
        difference = np.abs(np.asarray(Image.open(tmp_path / "out.png")).astype(int) - expected)
        assert np.abs(expected.astype(int) - np.asarray(picture)).max() > 3
        assert difference.max() <= 1
        assert np.mean(difference > 0) < 0.01


def test_litert_restores_pictures_smaller_than_the_file_and_8_bit_ones(tmp_path):
    model = with_random_weights(REDNet(10, filters=16, downsample_at=(1,)))
    picture = Image.fromarray(np.rint(255 * calibration()[0][:23, :31, 0]).astype(np.uint8))
    picture.save(tmp_path / "photo.png")
    expected = restore(model, np.asarray(picture)).astype(int)
    for options, limit in (({"size": (64, 64)}, 4), ({"quantize": "int8", "calibration": calibration()}, 4)):
        export_tflite(model, tmp_path / "model.tflite", **options)
        done = run(
            EXPORT / "litert" / "restore.py", *(tmp_path / name for name in ("model.tflite", "photo.png", "out.png"))
        )
        assert done.returncode == 0, done.stderr
        restored = np.asarray(Image.open(tmp_path / "out.png")).astype(int)
        assert np.abs(restored - expected)[:10, :10].mean() < limit
        assert np.abs(expected - np.asarray(picture)).mean() > 2 * limit


def test_litert_refuses_other_files(tmp_path, photos):
    (tmp_path / "model.tflite").write_bytes((photos / "photo0.png").read_bytes())
    done = run(EXPORT / "litert" / "restore.py", tmp_path / "model.tflite", photos / "photo0.png", tmp_path / "out.png")
    assert done.returncode != 0
    assert not (tmp_path / "out.png").exists()
