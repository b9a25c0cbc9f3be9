"""The programs under export/ do with the artefacts what the package does with its models."""

import dataclasses
import fnmatch
import io
import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ai_edge_litert
import keras
import numpy as np
import pytest
import tensorflow as tf
import tifffile
from conftest import RECORD
from PIL import EpsImagePlugin, Image
from test_model import with_random_weights
from test_tflite import calibration

from export import card, page, parity, saved_model, tflite
from export.litert import restore as litert_restore
from keras_rednet import RED10, REDNet, export_tflite, psnr, restore, weights
from keras_rednet.corruptions import GaussianNoise
from keras_rednet.model import TASK_LEVELS
from recipes import csv_table, evaluate, tables, train

EXPORT = Path(__file__).parent.parent / "export"


def network(**options):
    """Returns a network whose restored values stay within [0, 1], where a file would clip them."""
    model = with_random_weights(REDNet(10, **options))
    last = model.get_layer("deconv5")
    last.set_weights([0.1 * array for array in last.get_weights()])
    return model


def run(*arguments):
    return run_program(sys.executable, *arguments)


def run_program(*arguments):
    return subprocess.run([*map(str, arguments)], capture_output=True, text=True)


@pytest.mark.parametrize("size", [None, (88, 96)])
@pytest.mark.parametrize(
    ("channels", "downsample_at", "color", "task", "restored"),
    [
        (1, (), "gray", "denoise", "channels"),
        (1, (1,), "luminance", "super_resolution", "luminance"),
        (1, (1,), "luminance", "deblock", "ycbcr"),
        (3, (1, 3), "rgb", "denoise", "channels"),
    ],
)
def test_litert_tiles_equal_the_whole_picture(
    channels, downsample_at, color, task, restored, size, tmp_path, monkeypatch
):
    monkeypatch.setattr(litert_restore, "TILE", 24)  # so that files of any size cut tiles, too
    model = network(filters=4, channels=channels, downsample_at=downsample_at)
    export_tflite(model, tmp_path / "model.tflite", size=size, metadata={"color": color, "task": task})
    for shape in ((123, 150, 3), (90, 201)):
        picture = Image.fromarray(np.random.default_rng(0).integers(90, 160, shape, np.uint8))
        picture.save(tmp_path / "photo.png")
        names = [str(tmp_path / name) for name in ("model.tflite", "photo.png", "out.png")]
        monkeypatch.setattr(sys, "argv", ["restore.py", *names])
        litert_restore.main()
        expected = restore(model, np.asarray(picture), color=restored)
        difference = np.abs(np.asarray(Image.open(tmp_path / "out.png")).astype(int) - expected)
        assert np.abs(expected.astype(int) - np.asarray(picture)).max() > 3
        assert difference.max() <= 1
        assert np.mean(difference > 0) < 0.01


def test_litert_clips_planes_for_files_that_take_bytes(tmp_path):
    images = np.random.default_rng(0).random((4, 16, 16, 1), "float32")
    export_tflite(network(filters=4), tmp_path / "model.tflite", quantize="int8", calibration=images)
    runner = litert_restore.Network(tmp_path / "model.tflite")
    for beyond, clipped in ((1.02, 1), (-0.02, 0)):
        received, expected = (runner.restore_planes(np.full((16, 16, 1), x, np.float32)) for x in (beyond, clipped))
        np.testing.assert_array_equal(received, expected)


def test_litert_does_not_replace_the_picture_that_it_restores(photos, tmp_path, monkeypatch):
    export_tflite(network(filters=4), tmp_path / "model.tflite")
    (tmp_path / "own.png").write_bytes((photos / "photo0.png").read_bytes())
    names = ["model.tflite", "own.png", "../" + tmp_path.name + "/own.png"]
    monkeypatch.setattr(sys, "argv", ["restore.py", *(str(tmp_path / name) for name in names)])
    with pytest.raises(SystemExit, match="is the picture to restore: give the restored one another name"):
        litert_restore.main()
    assert (tmp_path / "own.png").read_bytes() == (photos / "photo0.png").read_bytes()


def test_litert_starts_no_program_for_what_is_called_a_picture(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n")
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("starts Ghostscript"))
    with pytest.raises(OSError, match="cannot identify image file"):
        litert_restore.read_picture(tmp_path / "a.png")


@pytest.mark.parametrize(("mode", "words"), [("RGB", None), ("I;16", "16 bits"), ("RGBA", "mode RGBA")])
def test_litert_turns_pictures_upright_and_refuses_what_it_would_spoil(mode, words, tmp_path):
    export_tflite(network(filters=4, channels=3), tmp_path / "model.tflite")
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((30, 40), "uint16") if mode == "I;16" else np.zeros((30, 40, len(mode)), "uint8")
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    done = run(
        EXPORT / "litert" / "restore.py", *(tmp_path / name for name in ("model.tflite", "photo.png", "out.png"))
    )
    if words is None:
        assert done.returncode == 0, done.stderr
        assert Image.open(tmp_path / "out.png").size == (30, 40)
    else:
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "out.png").exists()


def test_litert_reads_16_bits_and_sideways_tiffs_as_they_are(tmp_path):
    (tmp_path / "deep.PNG").write_bytes(tf.io.encode_png(np.zeros((9, 8, 3), np.uint16)).numpy())
    with pytest.raises(ValueError, match=r"deep.PNG: must have 8 bits and no transparency. Received: 16 bits"):
        litert_restore.read_picture(tmp_path / "deep.PNG")
    tifffile.imwrite(tmp_path / "deep.tif", np.full((9, 8, 3), 999, np.uint16), photometric="rgb")
    with pytest.raises(ValueError, match=r"deep.tif: must have 8 bits and no transparency. Received: 16 bits"):
        litert_restore.read_picture(tmp_path / "deep.tif")
    Image.new("RGB", (8, 9)).save(tmp_path / "two.tif", save_all=True, append_images=[Image.new("RGB", (8, 9), "red")])
    with pytest.raises(ValueError, match=r"two.tif: an animation or a file of several pages"):
        litert_restore.read_picture(tmp_path / "two.tif")
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30), np.uint8))
    image.save(tmp_path / "photo.tif", exif=exif.tobytes())
    upright = np.asarray(image.transpose(Image.Transpose.ROTATE_270))
    np.testing.assert_array_equal(litert_restore.read_picture(str(tmp_path / "photo.tif")), upright)


@pytest.mark.parametrize(("name", "least"), [("out.jpg", 42), ("out.WEBP", 99), ("out.bmp", 99)])
def test_litert_writes_files_that_keep_what_was_restored(tmp_path, photos, name, least):
    with Image.open(photos / "photo0.png") as photo:
        before = np.asarray(photo.convert("RGB"))
    litert_restore.write_picture(before, str(tmp_path / name))
    after = np.asarray(Image.open(tmp_path / name).convert("RGB"))
    assert psnr(before, after, data_range=255) > least


@pytest.mark.parametrize("name", ["out.png", "out.xyz", "out.gif"])
def test_litert_leaves_the_picture_that_is_there_when_it_cannot_write_another(tmp_path, monkeypatch, name):
    def interrupted(image, path, **options):
        Path(path).write_bytes(b"half")
        raise OSError("no space left")

    (tmp_path / name).write_bytes(b"there")
    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises((OSError, ValueError), match="no space left|must end as those of BMP, JPEG, .* files do"):
        litert_restore.write_picture(np.zeros((8, 8), np.uint8), str(tmp_path / name))
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(name, b"there")]


def test_litert_leaves_a_file_that_has_the_name_of_its_temporary_one(tmp_path):
    (tmp_path / "out.png.part").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="out.png.part"):
        litert_restore.write_picture(np.zeros((8, 8), np.uint8), str(tmp_path / "out.png"))
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("out.png.part", b"mine")]


def test_litert_names_a_tiff_with_a_page_without_a_size(tmp_path, monkeypatch):
    export_tflite(REDNet(10, filters=4), tmp_path / "model.tflite")
    page = Image.new("L", (8, 9))
    page.save(tmp_path / "photo.tif", save_all=True, append_images=[page])
    content = (tmp_path / "photo.tif").read_bytes()
    first, second, *rest = content.split(bytes([0, 1, 4, 0, 1, 0, 0, 0]))  # how the entry of the width begins
    assert not rest[1:]
    width, other = bytes([0, 1, 4, 0, 1, 0, 0, 0]), bytes([0, 0xF0, 4, 0, 1, 0, 0, 0])
    (tmp_path / "photo.tif").write_bytes(first + width + second + other + rest[0])
    names = [str(tmp_path / name) for name in ("model.tflite", "photo.tif", "out.png")]
    monkeypatch.setattr(sys, "argv", ["restore.py", *names])
    with pytest.raises(SystemExit, match="restore.py: "):
        litert_restore.main()


def test_litert_names_a_damaged_picture(tmp_path):
    export_tflite(REDNet(10, filters=4), tmp_path / "model.tflite")
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)).save(file, "PNG")
    first, second, *_ = content = file.getvalue().split(b"IDAT")
    (tmp_path / "photo.png").write_bytes(b"IDAT".join([first, second]) + b"\xffDAT" + b"IDAT".join(content[2:]))
    files = (tmp_path / name for name in ("model.tflite", "photo.png", "out.png"))
    done = run(EXPORT / "litert" / "restore.py", *files)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("image", "received"),
    [
        (np.zeros((8, 8, 4), np.uint8), r"uint8, shape \[8, 8, 4\]"),
        (np.zeros((8, 8), np.float32), r"float32, shape \[8, 8\]"),
    ],
)
def test_litert_refuses_arrays_that_are_no_pictures(tmp_path, image, received):
    export_tflite(network(filters=4), tmp_path / "model.tflite")
    with pytest.raises(ValueError, match=rf"must be uint8, .* RGB without alpha. Received: {received}"):
        litert_restore.Network(tmp_path / "model.tflite").restore(image)


def test_litert_threads_take_turns(tmp_path):
    model = with_random_weights(REDNet(10, filters=4))
    export_tflite(model, tmp_path / "model.tflite")
    runner = litert_restore.Network(tmp_path / "model.tflite", threads=1)
    images = [np.random.default_rng(i).integers(0, 256, (90 + i, 80 - i), np.uint8) for i in range(32)]
    with ThreadPoolExecutor(8) as executor:
        restored = list(executor.map(runner.restore, images))
    for image, received in zip(images, restored, strict=True):
        assert np.abs(received.astype(int) - restore(model, image)).max() <= 1


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
    assert done.returncode == 1
    assert "model.tflite is no file of keras_rednet" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.png").exists()
    export_tflite(REDNet(10, filters=4), tmp_path / "model.tflite")
    whole = (tmp_path / "model.tflite").read_bytes()
    (tmp_path / "model.tflite").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="model.tflite is damaged"):
        litert_restore.read_metadata(tmp_path / "model.tflite")


@pytest.fixture(scope="module")
def c_program(tmp_path_factory):
    """export/c/restore.c, compiled against the library of LiteRT's wheel."""
    compiler, library = shutil.which("cc"), Path(ai_edge_litert.__file__).parent / "libLiteRt.so"
    if not compiler or sys.platform != "linux":
        pytest.skip("no C compiler, or no Linux, whose wheel of LiteRT has the C library")
    program = tmp_path_factory.mktemp("c") / "restore"
    source = [EXPORT / "c" / "restore.c", library, f"-Wl,-rpath,{library.parent}"]
    options = ["-Wall", "-Wextra", "-Werror", "-O2", "-DTILE=24"]  # so that the pictures here have several tiles
    subprocess.run([compiler, *options, *source, "-o", program], check=True)
    return program


@pytest.mark.parametrize(
    ("channels", "downsample_at", "quantize", "limit", "color"),
    [
        (1, (), None, 0, "gray"),
        (1, (1,), "float16", 1, "gray"),
        (3, (1,), None, 0, "rgb"),
        (1, (1,), "int8", 4, "gray"),
        (3, (1, 3), "dynamic", 2, "rgb"),
        (1, (1,), None, 0, "luminance"),
        (1, (1,), "int8", 4, "luminance"),
    ],
)
def test_the_c_program_restores_as_the_package_does(
    channels, downsample_at, quantize, limit, color, c_program, tmp_path
):
    model = network(filters=16, channels=channels, downsample_at=downsample_at)
    samples = calibration(channels) if quantize == "int8" else None
    export_tflite(model, tmp_path / "model.tflite", quantize=quantize, calibration=samples, metadata={"color": color})
    gray, colours = [(33, 51)] if channels == 1 else [], [(101, 150, 3), (2, 3, 3)]
    for shape in gray if color == "luminance" else gray + colours:
        pixels = np.random.default_rng(0).integers(90, 160, shape, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photo.ppm")
        done = run_program(c_program, *(tmp_path / name for name in ("model.tflite", "photo.ppm", "out.ppm")))
        assert done.returncode == 0, done.stderr
        restored = np.asarray(Image.open(tmp_path / "out.ppm")).astype(int)
        expected = restore(model, pixels, color="luminance" if color == "luminance" else "channels")
        assert np.abs(expected.astype(int) - pixels).mean() > 1
        difference = np.abs(restored - expected)
        assert difference.max() <= limit + 1
        assert np.mean(difference > limit) < 1e-4  # where two ways to add up round to either side


def test_a_file_smaller_than_its_halos_restores_no_tiles(tmp_path):
    export_tflite(network(filters=4), tmp_path / "model.tflite", size=(16, 16))
    with pytest.raises(ValueError, match="needs more than 20 pixels a side. Received: 16"):
        litert_restore.Network(tmp_path / "model.tflite").restore(np.zeros((40, 40), np.uint8))


def test_the_c_program_names_what_it_cannot_take(c_program, photos, tmp_path):
    model, photo = tmp_path / "model.tflite", tmp_path / "photo.ppm"
    Image.new("RGB", (8, 8)).save(photo)
    export_tflite(network(filters=4), model, size=(32, 32))
    attempts = [((model, photo), "a file of fixed size"), ((photo, photo), "not a TFLite file")]
    export_tflite(network(filters=4), tmp_path / "any.tflite", metadata={"color": "luminance"})
    attempts.append(((tmp_path / "any.tflite", photo), "takes a PGM picture"))
    attempts.append(((tmp_path / "any.tflite", photos / "photo0.png"), "not a binary PPM or PGM picture"))
    (tmp_path / "short.ppm").write_bytes(photo.read_bytes()[:-1])
    attempts.append(((tmp_path / "any.tflite", tmp_path / "short.ppm"), "ends too early"))
    (tmp_path / "wide.ppm").write_bytes(b"P6 1000000 1 255 ")
    attempts.append(((tmp_path / "any.tflite", tmp_path / "wide.ppm"), "too large a picture"))
    (tmp_path / "deep.ppm").write_bytes(b"P6\n2 2\n65535\n" + bytes(24))
    attempts.append(((tmp_path / "any.tflite", tmp_path / "deep.ppm"), "not an 8-bit picture"))
    export_tflite(network(filters=4, channels=3), tmp_path / "color.tflite")
    Image.new("L", (8, 8)).save(tmp_path / "gray.pgm")
    attempts.append(((tmp_path / "color.tflite", tmp_path / "gray.pgm"), "a colour network takes a PPM picture"))
    for files, words in attempts:
        done = run_program(c_program, *files, tmp_path / "out.ppm")
        assert done.returncode == 1
        assert words in done.stderr
    assert not (tmp_path / "out.ppm").exists()
    (tmp_path / "out.ppm.part").write_bytes(b"mine")
    done = run_program(c_program, tmp_path / "color.tflite", photo, tmp_path / "out.ppm")
    assert done.returncode == 1
    assert "its .part is there already" in done.stderr
    assert (tmp_path / "out.ppm.part").read_bytes() == b"mine"
    done = run_program(c_program, tmp_path / "any.tflite", photo, f"{tmp_path}/./photo.ppm")
    assert done.returncode == 1
    assert "give the restored picture another name" in done.stderr


NAME = "red10-fast-denoise-blind-gray-v5"


@pytest.fixture
def shipped(photos, tmp_path, monkeypatch):
    """A network that is shipped as NAME, and two photographs that are Set12; returns the folder of the data."""
    keras.utils.set_random_seed(3)  # by which 8 bits cost something that three digits show
    model = RED10(downsample_at=(1,), weights=None)
    last = model.get_layer("deconv5")
    last.set_weights([np.random.default_rng(0).normal(0, 0.05, array.shape) for array in last.get_weights()])
    recipe = dataclasses.asdict(train.RECIPES["red10-fast-denoise-blind-gray"]) | {"corruption": "noise"}
    recipe = {key: value for key, value in recipe.items() if key not in ("validation", "loss")}
    network = {key: recipe[key] for key in ("depth", "task", "level", "filters", "channels")} | {"downsample_at": [1]}
    pretrained, data = tmp_path / "pretrained", tmp_path / "data" / "set12"
    for folder in (pretrained, data, tmp_path / "results"):
        folder.mkdir(parents=True)
    marks = "<!-- losses: written by `python -m export.parity` -->\n<!-- end of losses -->\n"
    (tmp_path / "results" / "README.md").write_text(marks)
    record = {**RECORD, "recipe": recipe, "validation_psnr": {"sigma 10": 30.0}, "network": network, "licence": "MIT"}
    weights.save(model, pretrained / f"{NAME}.npz", record)
    record = weights.read_record(pretrained / f"{NAME}.npz")
    monkeypatch.setattr(weights, "PRETRAINED", pretrained)
    monkeypatch.setattr(weights, "records", lambda: {NAME: record})
    monkeypatch.setattr(tables, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(parity, "NOISE", {"sigma 25": GaussianNoise((25, 25))})
    monkeypatch.setattr(tflite, "PATCH", 32)
    evaluate.network.cache_clear()
    parity._keras.cache_clear()
    for name in ("photo0.png", "photo1.png"):
        (data / name).write_bytes((photos / name).read_bytes())
    return tmp_path / "data"


def test_builds_and_scores_files(shipped, photos, tmp_path):
    images = sorted(photos.iterdir())
    paths = tflite.build(NAME, images, tmp_path / "dist", kinds=("float32", "float16", "int8"))
    metadata = json.loads(paths[0].with_suffix(".json").read_text())
    assert {"task": "denoise", "weights": NAME, "color": "gray"}.items() <= metadata.items()
    rows = {row["precision"]: row for row in parity.parity(tmp_path / "dist", shipped)}
    assert not any(row["verdict"] for row in rows.values())
    assert abs(float(rows["float32"]["loss"])) < 1e-3
    assert float(rows["float32"]["keras"]) == pytest.approx(_keras_psnr(shipped), abs=1e-3)
    assert 0 < abs(float(rows["int8"]["loss"])) < 0.1
    text = card.card(NAME, tmp_path / "dist")
    for path in paths:
        assert f"| {path.name} | {path.stat().st_size:,} |" in text
    assert csv_table.read(tmp_path / "results" / "parity.csv") == [
        {key: str(value) for key, value in row.items()} for _, row in sorted(rows.items())
    ]
    losses = [f"{float(rows[kind]['loss']):z.2f}" for kind in ("float32", "float16", "int8")]
    line = f"| {NAME} | Set12 | sigma 25 | {losses[0]} | {losses[1]} |  | {losses[2]} |  |  |"
    assert line in parity.table(list(rows.values()))


def test_no_files_where_8_bits_are_too_few(photos, tmp_path, monkeypatch):
    def write(model, path, quantize=None, **options):
        path.touch()
        return {"precision": quantize or "float32"}

    monkeypatch.setattr(tflite, "export_tflite", write)
    monkeypatch.setattr(tflite, "network", lambda name: None)
    monkeypatch.setattr(tflite, "samples", lambda recipe, images: [])
    for task, count in (("deblur-motion", 3), ("denoise-jpeg", 5), ("inpaint-scratch", 4)):
        (name,) = (name for name in weights.records() if name.startswith(f"red30-fast-{task}-color-v"))
        folder = tmp_path / task
        folder.mkdir()
        for file in (f"{name}-{kind}.{suffix}" for kind in tflite.KINDS for suffix in ("tflite", "json")):
            (folder / file).touch()  # of an earlier build
        paths = tflite.build(name, sorted(photos.iterdir()), folder)
        assert len(paths) == len(list(folder.glob("*.tflite"))) == len(list(folder.glob("*.json"))) == count


def _keras_psnr(data):
    scores = []
    for i, path in enumerate(sorted((data / "set12").iterdir())):
        clean = np.asarray(Image.open(path).convert("L"), np.float32)[..., None] / 255
        corrupted = np.rint(255 * np.clip(GaussianNoise((25, 25))(clean, (0, i)), 0, 1)).astype(np.uint8)
        restored = restore(evaluate.network(NAME), corrupted)
        scores.append(psnr(clean, restored / np.float32(255), data_range=1.0))
    return np.mean(scores)


def test_a_file_that_loses_too_much_is_not_released(shipped, photos, tmp_path, monkeypatch, capsys):
    paths = tflite.build(NAME, sorted(photos.iterdir()), tmp_path / "dist", kinds=("float16", "int8"))
    monkeypatch.setattr(parity, "LIMITS", {"sigma 25": -10.0})
    parity.main([str(tmp_path / "dist"), "--data", str(shipped)])
    assert not any(path.exists() or path.with_suffix(".json").exists() for path in paths)
    assert "int8.tflite  Set12 sigma 25" in capsys.readouterr().out
    for path, instead in zip(paths, ("float32", "float16"), strict=True):
        line = rf"^\| {re.escape(path.name)} \| \| \| sigma 25: -?0\.\d+, refused: use {instead} \|$"
        assert re.search(line, card.card(NAME, tmp_path / "dist"), re.MULTILINE)
    assert ", not released |" in (tmp_path / "results" / "README.md").read_text()
    monkeypatch.setattr(parity, "LIMITS", {})
    for kind, forgotten in (("float16", [True, False]), ("int8", [True, True])):  # what was refused before is kept
        tflite.build(NAME, sorted(photos.iterdir()), tmp_path / "dist", kinds=(kind,))
        parity.main([str(tmp_path / "dist"), "--data", str(shipped)])
        text = card.card(NAME, tmp_path / "dist")
        assert [f"| {path.name} | | |" not in text for path in paths] == forgotten
        for file in (tmp_path / "dist").glob(f"{NAME}-float16.*"):  # scored, so its row stays beside the next one's
            file.unlink()
    assert [row["file"] for row in csv_table.read(parity.results())] == [path.name for path in paths]


def test_a_file_of_fixed_size_is_scored_on_pictures_that_are_not_smaller(shipped):
    Image.new("L", (100, 72)).save(shipped / "set12" / "larger.png")  # the others are 90 wide and 70 high
    (trial, *_) = parity.trials({"task": "denoise", "color": "gray", "level": "blind"})
    taken = [[name for name, _ in parity._pictures(trial, shipped, size)] for size in (None, (72, 96), (80, 96))]
    assert taken == [["larger.png", "photo0.png", "photo1.png"], ["larger.png"], taken[0]]


def test_a_loss_is_that_of_the_very_file(shipped, photos, tmp_path):
    (path,) = tflite.build(NAME, sorted(photos.iterdir()), tmp_path / "dist", kinds=("float32",))
    parity.main([str(tmp_path / "dist"), "--data", str(shipped)])
    assert " | sigma 25: " in card.card(NAME, tmp_path / "dist")
    metadata = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(metadata | {"sha256": "another"}))
    assert " | another | not scored |" in card.card(NAME, tmp_path / "dist")


def test_files_of_weights_that_are_not_shipped_any_more_are_named(shipped, photos, tmp_path, capsys):
    (path,) = tflite.build(NAME.rpartition("-v")[0], sorted(photos.iterdir()), tmp_path / "dist", kinds=("float32",))
    assert path.name == f"{NAME}-float32.tflite"
    metadata = json.loads(path.with_suffix(".json").read_text())
    others = [metadata | {"weights": "red10-fast-denoise-blind-gray-v1"}, {"task": "denoise"}, None]
    for other in others:  # another version's, one of the Python API, one without
        path.with_suffix(".json").write_text(json.dumps(other)) if other else path.with_suffix(".json").unlink()
        with pytest.raises(SystemExit) as end:
            parity.main([str(tmp_path / "dist"), "--data", str(shipped)])
        assert end.value.code == 2
        words = f"Delete the files of weights that are not shipped, or not any more: {path.name}."
        assert words in capsys.readouterr().err
        with pytest.raises(SystemExit):
            tflite.main(["--data", str(photos), "--out", str(tmp_path / "dist")])
        assert words in capsys.readouterr().err
    assert not (tmp_path / "results" / "parity.csv").exists()


def test_saved_models_lie_where_tf_serving_looks(shipped, tmp_path):
    name, _, version = NAME.rpartition("-v")
    folder = tmp_path / "dist" / name / version
    old = folder / "old"
    old.mkdir(parents=True)
    saved_model.main([name, "--out", str(tmp_path / "dist")])
    assert not old.exists()
    assert f"| {name}/{version}/, the SavedModel |" in card.card(NAME, tmp_path / "dist")
    about = json.loads((folder / "assets.extra" / "keras_rednet.json").read_text())
    assert about == {
        "restores": "channels",
        "channels": 1,
        "precision": "float32",
        "most_pixels": None,
        **weights.about(NAME, weights.record(NAME)),
    }
    assert (about["weights"], about["task"], about["level"], about["color"]) == (NAME, "denoise", "blind", "gray")
    loaded = tf.saved_model.load(str(folder))
    image = np.random.default_rng(0).random((1, 9, 7, 1), np.float32)
    expected = evaluate.network(NAME).predict(image, verbose=0)
    restored = loaded.signatures["serving_default"](image=tf.constant(image))["restored"].numpy()
    np.testing.assert_allclose(restored, expected, atol=1e-5)


def test_a_saved_model_stays_until_the_next_one_is_there(shipped, tmp_path, monkeypatch):
    def interrupted(model, directory, **options):
        assert (folder / "served").exists()
        directory.mkdir()
        raise OSError("disk full")

    folder = tmp_path / "dist" / NAME.replace("-v", "/")
    folder.mkdir(parents=True)
    (folder / "served").touch()
    monkeypatch.setattr(saved_model, "export_saved_model", interrupted)
    with pytest.raises(OSError, match="disk full"):
        saved_model.build(NAME, tmp_path / "dist")
    assert list(folder.iterdir()) == [folder / "served"]
    assert list((tmp_path / "dist").iterdir()) == [folder.parent]


@pytest.mark.parametrize(
    ("about", "levels"),
    [
        ({"task": "denoise", "level": "blind", "color": "gray"}, {"sigma 10", "sigma 25", "sigma 50"}),
        (
            {"task": "denoise", "level": "jpeg", "color": "rgb"},
            {"sigma 10", "sigma 25", "sigma 50", "10 as JPEG", "30 as JPEG", "50 as JPEG"},
        ),
        ({"task": "super_resolution", "level": 3, "color": "luminance"}, {"scale 3"}),
        (
            {"task": "super_resolution", "level": "jpeg", "color": "rgb"},
            {f"scale {scale}{kind}" for scale in (2, 3, 4) for kind in ("", " as JPEG")},
        ),
        (
            {"task": "deblock", "level": "blind", "color": "luminance"},
            {f"quality {quality}" for quality in (10, 20, 40, 80)},
        ),
        ({"task": "deblur", "level": "disk", "color": "rgb"}, {"disk"}),
        ({"task": "inpaint", "level": "text", "color": "rgb"}, {"text 10", "text 20"}),
    ],
)
def test_what_is_scored(about, levels):
    trials = list(parity.trials(about))
    assert {trial.level for trial in trials} == levels
    assert {trial.protocol.color for trial in trials} == {about["color"]}
    assert len({hash(trial) for trial in trials}) == len(levels)


def test_the_page_takes_one_of_the_shipped_networks_for_each_job():
    taken = [
        record["network"]
        for name, record in weights.records().items()
        if any(fnmatch.fnmatch(name, pattern) for pattern in page.FILES)
    ]
    jobs = sorted((network["task"], network["channels"]) for network in taken)
    assert jobs == [
        ("deblock", 1),
        ("deblock", 3),
        ("denoise", 1),
        ("denoise", 3),
        ("super_resolution", 1),
        ("super_resolution", 3),
    ]


@pytest.mark.parametrize("task", TASK_LEVELS)
def test_files_are_compared_at_the_levels_that_their_network_is_for(task):
    for level in TASK_LEVELS[task]:
        levels = [trial.level for trial in parity.trials({"task": task, "color": "rgb", "level": level})]
        assert levels, f"{task} {level} would be released without a score"
        if isinstance(level, int):
            assert [name.split()[1] for name in levels] == [str(level)]


def test_builds_from_files_of_fixed_size_only(tmp_path):
    with pytest.raises(ValueError, match=r"must hold TFLite files of fixed size, called red30-fast-denoise-jpeg-color"):
        page.build(tmp_path, tmp_path / "web")
    names = [f"red30-fast-denoise-jpeg-gray-v{version}" for version in (1, 2)]
    for name in names:
        about = {"task": "denoise", "color": "gray", "precision": "int8", "size": [8, 8]}
        (tmp_path / f"{name}.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match=rf"takes one file. Received: {names[0]}.tflite and {names[1]}.tflite"):
        page.build(tmp_path, tmp_path / "web")
    assert not (tmp_path / "web").exists()


def test_the_page_needs_npm(tmp_path, monkeypatch):
    about = {"task": "denoise", "color": "gray", "precision": "int8", "size": [8, 8]}
    (tmp_path / "red30-fast-denoise-jpeg-gray-v1.json").write_text(json.dumps(about))
    monkeypatch.setattr(page.shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match="needs npm"):
        page.build(tmp_path, tmp_path / "web")
    assert not (tmp_path / "web").exists()


def test_a_card_says_what_validated():
    protocol = {"images": ["a.png", "b.png"], "centre_crop": 240, "seed": 0}
    assert card._where({"validation_protocol": protocol}) == " on the middle 240x240 pixels of 2 images"
    assert card._where({}) == ""
