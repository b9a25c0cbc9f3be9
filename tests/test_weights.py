import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import RECORD
from PIL import Image
from test_model import with_random_weights

from keras_rednet import RED10, RED20, RED30, REDNet, psnr, restore, weights
from keras_rednet.model import BUILDERS
from recipes.demo import SAMPLE

COMPLETE = {**RECORD, "validation_psnr": {"sigma 30": 27.5}}


@pytest.fixture
def model():
    return with_random_weights(REDNet(10, filters=4, skips=None))


@pytest.fixture
def saved(model, tmp_path):
    weights.save(model, tmp_path / "w.npz", COMPLETE)
    return tmp_path / "w.npz"


def test_round_trip_is_exact_to_float16(model, saved):
    loaded = RED10(filters=4, weights=saved)
    for before, after in zip(model.get_weights(), loaded.get_weights(), strict=True):
        assert after.dtype == np.float32
        np.testing.assert_array_equal(after, before.astype("float16").astype("float32"))
    with np.load(saved) as arrays:
        assert {array.dtype for array in arrays.values()} == {np.dtype("float16")}


def test_the_record_lies_beside_the_file(saved):
    record = json.loads(saved.with_suffix(".json").read_text())
    assert record["parameters"] == 1261
    assert record["validation_psnr"] == {"sigma 30": 27.5}
    assert len(record["sha256"]) == 64


@pytest.mark.parametrize("missing", weights.RECORD_KEYS)
def test_no_weights_without_a_record(model, tmp_path, missing):
    record = {key: value for key, value in COMPLETE.items() if key != missing}
    with pytest.raises(ValueError, match=f"`record` must say where the weights come from. Missing: .*{missing}"):
        weights.save(model, tmp_path / "w.npz", record)
    assert not list(tmp_path.iterdir())


def test_what_no_record_can_hold_leaves_the_files_that_are_there(model, saved):
    files = {path: path.read_bytes() for path in saved.parent.iterdir()}
    model.get_layer("conv1").bias.assign(np.ones(4))
    with pytest.raises(ValueError, match="`record` must hold what JSON can: .*float32 is not JSON serializable"):
        weights.save(model, saved, {**COMPLETE, "validation_psnr": {"sigma 30": np.float32(27)}})
    with pytest.raises(ValueError, match=r"`model` must be a RED-Net, as REDNet\(\) builds it. Received: Model"):
        weights.save(keras.Model(), saved, COMPLETE)
    assert {path: path.read_bytes() for path in saved.parent.iterdir()} == files


@pytest.mark.parametrize("record", [{}, {"recipe": None}, []])
def test_a_record_without_recipe_is_told(saved, record):
    saved.with_suffix(".json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="needs its record, .*json, beside it, as `save` writes it: it holds (no|a) "):
        weights.read_record(saved)


def test_a_folder_is_not_written_over(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match="folder"), weights.written_whole(tmp_path / "folder"):
        pytest.fail("works for what cannot be written")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("value", [np.nan, 1e6])
def test_refuses_weights_that_float16_cannot_hold(model, tmp_path, value):
    model.get_layer("conv2").bias.assign([0, value, 0, 0])
    with pytest.raises(ValueError, match=r"finite in float16. Received infinite or NaN values in: \['conv2/bias'\]"):
        weights.save(model, tmp_path / "w.npz", COMPLETE)
    assert not list(tmp_path.iterdir())


def test_refuses_a_damaged_file(saved):
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 1
    saved.write_bytes(content)
    with pytest.raises(ValueError, match="do not belong together: expected sha256 [0-9a-f]{64}, received [0-9a-f]{64}"):
        RED10(filters=4, weights=saved)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\3\4 truncated", "array", "flipped bit"])
def test_refuses_what_is_no_file_of_weights(saved, tmp_path, content):
    if content == "array":
        np.save(tmp_path / "a.npy", np.zeros(3))
        content = (tmp_path / "a.npy").read_bytes()
    elif content == "flipped bit":
        content = bytearray(saved.read_bytes())
        content[90] ^= 255  # in the first array
    saved.with_suffix(".json").unlink()
    (tmp_path / "w.npz").write_bytes(content)
    with pytest.raises(ValueError, match="is not a file of weights that `save` wrote"):
        RED10(filters=4, weights=tmp_path / "w.npz")


def test_runs_no_code_from_a_file(tmp_path):
    np.savez(tmp_path / "w.npz", evil=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="is not a file of weights"):
        RED10(filters=4, weights=tmp_path / "w.npz")


def test_refuses_another_network(saved):
    message = (
        r"holds the weights of another network: 19 arrays differ, first 'conv1/bias', expected \(5,\), received \(4,\)"
    )
    with pytest.raises(ValueError, match=message):
        RED10(filters=5, weights=saved)


def test_refuses_a_network_of_other_strides(saved):
    with pytest.raises(ValueError, match=r"another network: expected downsample_at=\[1\], received \[\]"):
        RED10(filters=4, downsample_at=(1,), weights=saved)


@pytest.mark.parametrize("changes", [{"skips": None}, {"skips": "residual"}, {"skip_step": 4}], ids=str)
@pytest.mark.parametrize("suffix", [".npz", ".keras"])
def test_refuses_a_network_of_other_skips(tmp_path, changes, suffix):
    other, path = REDNet(20, filters=4, **changes), tmp_path / f"w{suffix}"
    weights.save(other, path, COMPLETE) if suffix == ".npz" else other.save(path)
    with pytest.raises(
        ValueError, match=r"another network: expected skips={'skip2': 'conv8 \+ deconv2', .*}, received {"
    ):
        RED20(filters=4, weights=path)
    weights.load_file(other, path)


@pytest.mark.parametrize("name", ["w.keras", "w.weights.h5"])
def test_refuses_a_damaged_keras_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"neither zip nor HDF5")
    with pytest.raises(ValueError, match=f"{name} is damaged"):
        RED10(filters=4, weights=tmp_path / name)


def test_refuses_a_keras_file_of_other_strides(tmp_path):
    RED10(filters=4, downsample_at=(1,), weights=None).save(tmp_path / "w.keras")
    with pytest.raises(ValueError, match=r"w.keras holds .*: expected downsample_at=\[\], received \[1\]"):
        RED10(filters=4, weights=tmp_path / "w.keras")


@pytest.mark.parametrize("place", ["between", "behind"])
def test_refuses_a_keras_file_with_more_layers(tmp_path, place):
    """Keras would give each layer the weights of the one that stands in its place."""
    more = keras.layers.Conv2D(4 if place == "between" else 1, 3, padding="same", name="more")

    def call(layer, *arguments, **options):
        outputs = layer(*arguments, **options)
        return more(outputs) if layer.name == {"between": "conv3", "behind": "restored"}[place] else outputs

    keras.models.clone_model(RED10(filters=4, weights=None), call_function=call).save(tmp_path / "w.keras")
    with pytest.raises(ValueError, match=r"another network: expected 10 layers, received 11; .* is more in place of"):
        RED10(filters=4, weights=tmp_path / "w.keras")


def test_refuses_a_keras_file_of_anything_else(tmp_path):
    other = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(1, 3, strides=2, name="conv2d_7")])
    other.save(tmp_path / "w.keras")
    with pytest.raises(ValueError, match="another network: expected 10 layers, received 1; .* is conv2d_7 in place of"):
        RED10(filters=4, weights=tmp_path / "w.keras")


def test_refuses_a_model_that_holds_a_network(model, tmp_path):
    with pytest.raises(ValueError, match="must be a RED-Net itself, not one that holds a RED-Net"):
        weights.save(keras.Sequential([model]), tmp_path / "w.npz", COMPLETE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_takes_keras_files(model, tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    model.save(path) if suffix == ".keras" else model.save_weights(path)
    loaded = RED10(filters=4, weights=path)
    for before, after in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)


def test_refuses_other_files(tmp_path):
    with pytest.raises(ValueError, match="`weights` must be 'pretrained', None or the path of a file. .*no such file"):
        RED10(weights=tmp_path / "none.npz")
    (tmp_path / "w.pkl").touch()
    with pytest.raises(ValueError, match=r"must end in .npz, .weights.h5 or .keras. Received: 'w.pkl'"):
        RED10(weights=tmp_path / "w.pkl")


def test_what_a_killed_process_left_is_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = [tmp_path / f".part-{ended.pid}-{weights._machine()}-{name}" for name in ("a1.png", "b2.png")]
    running = tmp_path / f".part-{os.getppid()}-{weights._machine()}-a1.png"
    elsewhere = tmp_path / f".part-{ended.pid}-{'0' * 8}-a1.png"  # on another machine, who knows whether it runs
    for path in (*left, running, elsewhere, tmp_path / f".part-x-{weights._machine()}-a1.png"):
        path.write_bytes(b"half")
    (folder := tmp_path / f".part-{ended.pid}-{weights._machine()}-1").mkdir()  # of a SavedModel
    (folder / "saved_model.pb").write_bytes(b"half")
    with weights.written_whole(tmp_path / "a[1].png") as temporary:
        temporary.write_bytes(b"whole")
    assert not any(path.exists() for path in (*left, folder))
    assert running.exists()
    assert elsewhere.exists()
    assert (tmp_path / "a[1].png").read_bytes() == b"whole"


def test_what_other_machines_left_is_removed_after_a_day(tmp_path):
    parts = [tmp_path / f".part-{name}-0000-{name}.png" for name in ("1", "2")]
    for part in parts:
        part.touch()
    (folder := tmp_path / ".part-3-0000-3").mkdir()
    (folder / "saved_model.pb").touch()
    theirs = tmp_path / ".part-two-of-my-novel.txt"
    theirs.touch()
    yesterday = time.time() - 25 * 3600
    for path in (parts[1], folder, theirs):
        os.utime(path, (yesterday, yesterday))
    with weights.written_whole(tmp_path / "a.png") as path:
        path.touch()
    assert sorted(tmp_path.iterdir()) == [parts[0], theirs, tmp_path / "a.png"]


def test_what_may_not_be_removed_is_left(tmp_path, monkeypatch):
    part = tmp_path / ".part-1-0000-1.png"
    part.touch()
    os.utime(part, (0, 0))

    def refuse(path, missing_ok=False):
        if path == part:
            raise PermissionError("another user's")

    monkeypatch.setattr(Path, "unlink", refuse)
    with weights.written_whole(tmp_path / "a.png") as path:
        path.touch()
    assert sorted(tmp_path.iterdir()) == [part, tmp_path / "a.png"]


def test_containers_of_a_machine_and_machines_of_one_name_are_told_apart(tmp_path, monkeypatch):
    names = set()
    monkeypatch.setattr(weights, "BOOT", tmp_path / "boot")
    for processes, boot in (("pid:[1]", "a"), ("pid:[2]", "a"), ("pid:[1]", "b")):
        monkeypatch.setattr(os, "readlink", lambda path, processes=processes: processes)
        (tmp_path / "boot").write_text(boot)
        names.add(weights._machine.__wrapped__())
    assert len(names) == 3 or not os.path.lexists("/proc/self/ns/pid")
    (tmp_path / "boot").unlink()  # as on macOS
    numbers = iter((1, 2))
    monkeypatch.setattr("uuid.getnode", lambda: next(numbers))
    assert weights._machine.__wrapped__() != weights._machine.__wrapped__()


def test_a_lock_keeps_others_out_where_there_are_locks(tmp_path, monkeypatch):
    with weights.locked(tmp_path / "lock", wait=False):
        with pytest.raises(BlockingIOError), weights.locked(tmp_path / "lock", wait=False):
            pass
        monkeypatch.setattr(weights, "fcntl", None)
        with weights.locked(tmp_path / "lock", wait=False):
            pass
        monkeypatch.undo()
    with weights.locked(tmp_path / "lock", wait=False):
        pass

    def unsupported(*arguments):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(weights.fcntl, "flock", unsupported)
    with weights.locked(tmp_path / "lock", wait=True):
        pass


def test_a_name_may_be_as_long_as_names_can_be(tmp_path):
    with weights.written_whole(tmp_path / f"{'x' * 251}.png") as temporary:
        temporary.write_bytes(b"whole")
    assert [len(path.name) for path in tmp_path.iterdir()] == [255]


def test_a_folder_is_looked_through_once(tmp_path, monkeypatch):
    looked = []
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: looked.append(folder) or glob(folder, pattern))
    for i in range(3):
        with weights.written_whole(tmp_path / f"{i}.png") as temporary:
            temporary.touch()
    assert looked == [tmp_path]


def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append([path.name for path in tmp_path.iterdir()]))
    with weights.written_whole(tmp_path / "a.png") as temporary:
        temporary.write_bytes(b"whole")
    assert len(synced) == 1
    assert "a.png" not in synced[0]
    assert (tmp_path / "a.png").exists()


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(TypeError), weights.written_whole(path) as temporary:
        temporary.open("w").write(b"bytes, not text")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "before")]


SHIPPED = weights.records()


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_load_and_have_their_record(name):
    record = SHIPPED[name]
    network = record["network"]
    assert set(weights.RECORD_KEYS) <= set(record)
    build = {key: network[key] for key in ("level", "channels", "filters")}
    model = BUILDERS[network["depth"]](network["task"], downsample_at=network["downsample_at"], **build)
    assert model.count_params() == record["parameters"]
    assert not {"302003.jpg", "12003.jpg", "67079.jpg", "t65.bmp"} & set(record["training_images"])
    assert not set(record["training_images"]) & set(record["validation_images"])
    assert weights.find(**network) == name


def test_a_shipped_file_that_is_another_is_refused(tmp_path, monkeypatch):
    name = weights.versioned("red10-fast-denoise-blind-gray")
    content = bytearray((weights.PRETRAINED / f"{name}.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / f"{name}.npz").write_bytes(content)
    (tmp_path / "weights.json").write_bytes((weights.PRETRAINED / "weights.json").read_bytes())
    monkeypatch.setattr(weights, "PRETRAINED", tmp_path)
    with pytest.raises(ValueError, match="do not belong together: expected sha256"):
        weights.load(RED10(downsample_at=(1,), weights=None), name)


def test_the_denoiser_for_jpegs_removes_noise_that_a_jpeg_stores(tmp_path):
    with Image.open(SAMPLE) as image:
        clean = image.convert("RGB").crop((128, 64, 256, 192))
    noise = 25 * np.random.default_rng(0).standard_normal((128, 128, 3))
    noisy = Image.fromarray(np.rint(np.clip(clean + noise, 0, 255)).astype(np.uint8))
    noisy.save(tmp_path / "noisy.jpg", quality=90, subsampling="4:4:4")  # the other, 4:2:0, is in test_cli.py
    with Image.open(tmp_path / "noisy.jpg") as stored:
        restored = restore(RED30(task="denoise", level="jpeg", channels=3, downsample_at=(1,)), stored)
        before, after = (psnr(np.asarray(clean), np.asarray(image), data_range=255) for image in (stored, restored))
    assert after > before + 6


def test_every_file_has_a_record():
    assert {path.stem for path in weights.PRETRAINED.glob("*.npz")} == set(SHIPPED)


def test_missing_weights_list_those_there_are():
    message = r"There are no pretrained weights for RED30\(task='denoise', level=70, channels=1, filters=7\)"
    with pytest.raises(ValueError, match=message) as error:
        RED30(task="denoise", level=70, filters=7)
    assert all(name in str(error.value) for name in SHIPPED)
    with pytest.raises(ValueError, match="`name` must be one of .* Received: name='red31'"):
        weights.load(None, "red31")
