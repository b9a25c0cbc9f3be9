"""Whatever `rednet` is pointed at: every file is restored whole or named, and nothing else is left behind."""

import os
import resource
import subprocess
import sys

import hostile_pictures
import numpy as np
import pytest
from conftest import RECORD
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from test_model import with_random_weights

from keras_rednet import RED10, REDNet, restore, weights
from keras_rednet.cli import main
from keras_rednet.pictures import read_picture


@pytest.fixture(scope="module")
def tiny_weights(tmp_path_factory):
    """The file of a small network's weights, which `rednet denoise --weights` takes for gray and colour."""
    model = with_random_weights(RED10(filters=4, weights=None))
    recipe = {"task": "denoise", "level": "blind", "depth": 10, "channels": 1, "filters": 4, "downsample_at": []}
    path = tmp_path_factory.mktemp("weights") / "tiny.npz"
    weights.save(model, path, {**RECORD, "recipe": recipe, "validation_psnr": {}})
    return path


@pytest.fixture
def denoise(tiny_weights):
    return lambda *arguments: main(["denoise", *map(str, arguments), "--weights", str(tiny_weights)])


def test_sound_pictures_of_every_kind_are_restored(denoise, tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for size, prefix in (((22, 18), ""), ((1, 1), "pixel-"), ((400, 1), "line-")):
        for name, content in hostile_pictures.sound(size).items():
            (source / (prefix + name)).write_bytes(content)
    assert denoise(source, "-o", out) == 0, capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in source.iterdir())
    for path in source.iterdir():
        before, after = (read_picture(folder / path.name).image for folder in (source, out))
        assert np.shape(before)[:2] == np.shape(after)[:2], path.name


def test_bad_files_are_named_and_nothing_is_left_of_them(denoise, tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    files = hostile_pictures.refused()
    for name, (content, _) in files.items():
        (source / name).write_bytes(content)
    (source / "good.png").write_bytes(hostile_pictures.sound()["rgb.png"])
    assert denoise(source, "-o", out) == 1
    lines = capsys.readouterr().err.splitlines()
    for name, (_, message) in files.items():
        assert [line for line in lines if f"{name}:" in line and message in line], (name, lines)
    assert len(lines) == len(files) + 1
    assert [path.name for path in out.iterdir()] == ["good.png"]


def test_without_standard_error_pictures_are_restored(tiny_weights, photos, tmp_path):
    command = [sys.executable, "-m", "keras_rednet.cli", "denoise", photos, "-o", tmp_path / "out"]
    command = [*map(str, command), "--weights", str(tiny_weights)]
    done = subprocess.run(command, stdout=subprocess.PIPE, preexec_fn=lambda: os.close(2))
    assert done.returncode == 0
    assert len(list((tmp_path / "out").iterdir())) == 6


def test_a_full_disk_is_named_and_leaves_nothing(tiny_weights, photos, tmp_path):
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-m", "keras_rednet.cli", "denoise", photos, "-o", tmp_path / "out"]
    done = subprocess.run(
        [*map(str, command), "--weights", str(tiny_weights)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)),  # bytes a file may have
    )
    assert done.returncode == 1
    assert done.stderr.count("File too large") == 6
    assert list((tmp_path / "out").iterdir()) == []


def test_the_same_command_writes_the_same_bytes(denoise, photos, tmp_path):
    for out in ("a", "b"):
        assert denoise(photos, "-o", tmp_path / out) == 0
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


MODELS = {channels: with_random_weights(REDNet(10, filters=4, channels=channels)) for channels in (1, 3)}
SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 4])) | st.tuples(
    st.integers(1, 40), st.integers(1, 40)
)
FLOATS = {"allow_nan": False, "allow_infinity": False, "min_value": -1, "max_value": 2}
IMAGES = st.one_of(
    arrays.arrays(np.uint8, SHAPES),
    arrays.arrays(np.uint16, SHAPES),
    arrays.arrays(np.float32, SHAPES, elements=st.floats(width=32, **FLOATS)),
    arrays.arrays(np.float16, SHAPES, elements=st.floats(width=16, **FLOATS)),
    arrays.arrays(np.float64, SHAPES, elements=st.floats(**FLOATS)),
)


@settings(deadline=None, max_examples=60)
@given(image=IMAGES, channels=st.sampled_from([1, 3]), flip=st.booleans(), fortran=st.booleans())
def test_any_image_comes_back_of_its_kind(image, channels, flip, fortran):
    expected = restore(MODELS[channels], image)
    assert (expected.shape, expected.dtype) == (image.shape, image.dtype)
    assert np.isfinite(expected).all()
    if image.ndim == 3 and image.shape[2] == 4:
        np.testing.assert_array_equal(expected[..., 3], image[..., 3])
    view = np.asfortranarray(image) if fortran else image.copy()
    view = np.ascontiguousarray(view[::-1])[::-1] if flip else view  # strides below zero
    view.flags.writeable = False
    np.testing.assert_array_equal(restore(MODELS[channels], view), expected)
    np.testing.assert_array_equal(view, image)


@settings(deadline=None, max_examples=60)
@given(
    image=arrays.arrays(
        st.sampled_from([np.int8, np.int32, np.int64, np.uint32, np.bool_, np.complex64, "U3", "O", "M8[s]"]), (4, 5)
    )
)
def test_other_types_are_refused(image):
    with pytest.raises(TypeError, match="`image` must be uint8, uint16 or float. Received: dtype="):
        restore(MODELS[1], image)


@given(shape=st.lists(st.integers(0, 5), max_size=5).map(tuple))
def test_other_shapes_are_refused(shape):
    if len(shape) in (2, 3) and 0 not in shape and (len(shape) == 2 or shape[2] in (1, 3, 4)):
        return
    with pytest.raises(ValueError, match="`image` must have the shape .* Received: shape="):
        restore(MODELS[1], np.zeros(shape, np.uint8))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0, 0), (3, 4, 2)])
def test_values_that_are_not_finite_are_refused(bad, place):
    image = np.zeros((4, 5, 3), np.float32)
    image[place] = bad
    with pytest.raises(ValueError, match="`image` must be finite"):
        restore(MODELS[3], image)


def test_pictures_are_upright_whatever_their_orientation(denoise, tmp_path):
    upright = {name: file for name, file in hostile_pictures.sound().items() if name.startswith("upright")}
    assert len(upright) == 8
    (tmp_path / "in").mkdir()
    for name, content in upright.items():
        (tmp_path / "in" / name).write_bytes(content)
    assert denoise(tmp_path / "in", "-o", tmp_path / "out") == 0
    for name in upright:
        size = Image.open(tmp_path / "out" / name).size
        assert size == (hostile_pictures.SIDES if int(name[7]) < 5 else hostile_pictures.SIDES[::-1])
