import contextlib
import errno
import json
import os
import pty
import shutil
import subprocess
import sys
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import RECORD
from PIL import Image
from test_model import with_random_weights

from keras_rednet import RED10, RED20, RED30, REDNet, cli, dataset, quiet, restore, upscale, weights
from keras_rednet import photos as photo_module
from keras_rednet.cli import main
from keras_rednet.corruptions import JpegCompression
from keras_rednet.metrics import psnr
from keras_rednet.photos import Restorer, Work
from keras_rednet.pictures import ORIENTATION, read_picture
from keras_rednet.weights import read_record, records, save
from recipes import csv_table, evaluate
from recipes.demo import SAMPLE
from recipes.experiments import EXPERIMENTS
from recipes.tables import RESULTS


@pytest.fixture
def denoise(fast_networks, monkeypatch):
    """Runs `rednet denoise` with networks of the tests in the place of the shipped ones."""
    monkeypatch.setattr(photo_module, "RED30", lambda task, *, channels, **options: fast_networks[channels])
    return lambda *arguments: main(["denoise", *map(str, arguments)])


def test_restores_a_photo(denoise, photos, fast_networks, tmp_path, capsys):
    out = tmp_path / "clean.png"
    assert denoise(photos / "photo0.png", "-o", out) == 0
    with Image.open(photos / "photo0.png") as photo, Image.open(out) as restored:
        np.testing.assert_array_equal(np.asarray(restored), restore(fast_networks[3], np.asarray(photo)))
        assert not np.array_equal(np.asarray(restored), np.asarray(photo))
    assert f"photo0.png -> {out}" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [out]


def test_restores_a_folder_and_goes_on_after_a_broken_file(denoise, photos, tmp_path, capsys):
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    for i, name in enumerate(("a.png", "c.png", "sub/a.png")):
        (source / name).write_bytes((photos / f"photo{i}.png").read_bytes())
    (source / "b.png").write_bytes((photos / "photo3.png").read_bytes()[:500])
    (source / "notes.txt").write_text("no picture")
    assert denoise(source, "-o", tmp_path / "out") == 1
    written = sorted(
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()
    )
    assert written == ["a.png", "c.png", "sub/a.png"]
    errors = capsys.readouterr().err
    assert f"{source / 'b.png'}: damaged" in errors
    assert "1 of 4 pictures failed, 3 done" in errors


def test_gray_photos_use_the_gray_network(denoise, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65535, (20, 30), "uint16")
    Image.fromarray(pixels).save(tmp_path / "deep.png")
    assert denoise(tmp_path / "deep.png", "-o", tmp_path / "out.png") == 0
    with Image.open(tmp_path / "out.png") as restored:
        assert restored.mode == "I;16"
        darker = pixels - np.asarray(restored).astype(int)
        assert abs(np.median(darker[pixels > 10_000]) - 6554) < 20  # by 0.1 of white, as the gray test weights do


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("rgb.png", "RGB", {}),
        ("palette.png", "P", {}),
        ("alpha.png", "RGBA", {}),
        ("lossless.webp", "RGB", {"lossless": True}),
        ("lossy.webp", "RGB", {"quality": 90}),  # of which G is apart from R and B by 1
        ("stored.jpg", "RGB", {"quality": 95}),
    ],
)
def test_gray_photos_that_are_stored_as_colour_are_gray_too(name, mode, options, denoise, tmp_path):
    """A network for colour knows noise that differs between the channels, and takes other noise for detail."""
    gray = np.random.default_rng(0).integers(60, 200, (40, 56), "uint8")
    picture = Image.merge("RGB", 3 * [Image.fromarray(gray)])
    (picture.quantize(32) if mode == "P" else picture.convert(mode)).save(tmp_path / name, **options)
    assert denoise(tmp_path / name, "-o", tmp_path / "out.png") == 0
    with Image.open(tmp_path / name) as before, Image.open(tmp_path / "out.png") as after:
        assert after.mode == ("RGBA" if mode == "RGBA" else "RGB")
        before, after = (np.asarray(picture.convert("RGB")).astype(int) for picture in (before, after))
    assert np.abs(np.median(before - after, axis=(0, 1)) - 25.5).max() <= 1.5  # 0.1 of white; colour 0.2
    assert (after == after[..., :1]).all()


@pytest.mark.parametrize("kind", ["sepia", "clipped", "deep", "duotone", "cut-out", "colour", "two colours"])
def test_toned_photos_are_denoised_as_gray_ones_are(kind, denoise, tmp_path):
    rng = np.random.default_rng(0)
    dtype, white = (np.uint16, 65535) if kind == "deep" else (np.uint8, 255)
    gray = rng.integers(0.25 * white, 0.75 * white, (40, 56)) * (255 / white)
    if kind == "clipped":
        gray = 1.8 * gray - 60
    curves = [1.07 * gray + 5, 0.9 * gray, 0.7 * gray - 3]
    if kind == "duotone":  # blue falls six times as fast as green rises
        curves[1:] = 0.2 * gray, 240 - 1.2 * gray
    toned = np.clip(curves, 0, 255)
    toned = np.rint(toned.transpose(1, 2, 0) * (white / 255))
    if kind == "colour":
        toned[3, 4, 2] += 3
    if kind == "two colours":  # one G beside any R and B
        toned[..., 1], toned[..., 2] = 90, rng.permuted(toned[..., 2])
    if kind == "cut-out":
        toned = np.dstack([toned, np.full_like(gray, 255)])
        toned[:5] = rng.integers(0, 256, (5, 56, 4)) * (1, 1, 1, 0)
    (tmp_path / "photo.png").write_bytes(tf.io.encode_png(toned.astype(dtype)).numpy())
    assert denoise(tmp_path / "photo.png", "-o", tmp_path / "out.png") == 0
    before, after = (np.asarray(read_picture(tmp_path / name).image) for name in ("photo.png", "out.png"))
    taken = np.median(before[5:, :, :3].astype(float) - after[5:, :, :3], axis=(0, 1)) / white
    np.testing.assert_allclose(taken, 0.2 if "colour" in kind else 0.1, atol=0.01)


@pytest.mark.parametrize("command", ["denoise", "deblock"])
def test_gray_photos_that_are_stored_as_colour_are_restored_as_the_gray_ones_are(command, tmp_path):
    """Of 16 bits, and where a transparent colour is none of gray, which stays."""
    gray = np.random.default_rng(0).integers(60, 200, (40, 56), "uint8")
    colours = np.dstack([gray, gray, gray, np.full_like(gray, 255)])
    colours[:5] = (255, 0, 255, 0)
    seen = np.where(np.arange(40)[:, None] < 5, 255, gray).astype(np.uint8)
    for name, pixels in (("gray", np.dstack([seen, colours[..., 3]])), ("colours", colours)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    content = tf.io.encode_png(np.repeat(gray[..., None].astype(np.uint16) * 257, 3, axis=2)).numpy()
    (tmp_path / "deep.png").write_bytes(content)
    toned = np.dstack([gray.astype(np.uint16) * 257 + i for i in (0, 100, 200)])
    (tmp_path / "toned.png").write_bytes(tf.io.encode_png(toned).numpy())
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "deep-gray.png")
    assert main([command, str(tmp_path), "-o", str(tmp_path / "out")]) == 0
    read = {path.stem: read_picture(path).image for path in (tmp_path / "out").iterdir()}
    gray, colours = (np.asarray(read[name]) for name in ("gray", "colours"))
    np.testing.assert_array_equal(colours[5:], gray[5:][..., [0, 0, 0, 1]])
    assert (colours[:5] == (255, 0, 255, 0)).all()
    np.testing.assert_array_equal(read["deep"], np.repeat(np.asarray(read["deep-gray"])[..., None], 3, axis=2))
    assert abs(np.median(read["toned"], axis=(0, 1)) - np.median(toned, axis=(0, 1))).max() < 8000
    assert (np.ptp(read["toned"], axis=2) > 0).mean() > 0.9


@pytest.mark.parametrize(
    ("command", "weights"),
    [
        ("deblock", "red30-fast-deblock-10-gray"),
        ("denoise", "red30-fast-denoise-10-gray"),
        ("denoise", "red10-fast-denoise-jpeg-color"),
    ],
)
def test_networks_that_are_named_restore_gray_as_one_plane_too(command, weights, tmp_path):
    gray = np.random.default_rng(0).integers(60, 200, (40, 56), "uint8")
    for name, pixels in (("gray", gray), ("colours", np.dstack([gray, gray, gray]))):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    assert main([command, str(tmp_path), "-o", str(tmp_path / "out"), "--weights", weights]) == 0
    gray, colours = (np.asarray(Image.open(tmp_path / "out" / f"{name}.png")) for name in ("gray", "colours"))
    np.testing.assert_array_equal(colours, np.dstack([gray, gray, gray]))


def test_gray_noise_in_a_good_jpeg_is_white_though_it_is_stored_as_colour(monkeypatch, fast_networks, tmp_path):
    gray = Image.fromarray(np.random.default_rng(0).integers(100, 120, (40, 56), "uint8"))
    taken = []

    def network(task, *, level, channels, **options):
        taken.append((level, channels))
        return fast_networks[channels]

    monkeypatch.setattr(photo_module, "RED30", network)
    for name, quality in (("good.jpg", 95), ("coarse.jpg", 80)):
        Image.merge("RGB", 3 * [gray]).save(tmp_path / name, quality=quality, subsampling="4:2:0")
        assert main(["denoise", str(tmp_path / name), "-o", str(tmp_path / "out.png"), "--overwrite"]) == 0
    assert taken == [("blind", 1), ("jpeg", 1)]


@pytest.mark.parametrize("name", ["noisy.jpg", "noisy.webp", "noisy.png"])
def test_noise_in_lossy_files_is_removed_too(name, tmp_path):
    """Where colour is stored at half the resolution, noise is no longer white, and the blind network leaves it."""
    with Image.open(SAMPLE) as sample:
        clean = np.asarray(sample.crop((100, 0, 260, 120)), float)
    noisy = np.clip(clean + 20 * np.random.default_rng(0).normal(size=clean.shape), 0, 255)
    Image.fromarray(np.uint8(np.round(noisy))).save(tmp_path / name, quality=90)
    assert main(["denoise", str(tmp_path / name), "-o", str(tmp_path / "clean.png")]) == 0
    with Image.open(tmp_path / name) as damaged, Image.open(tmp_path / "clean.png") as restored:
        before, after = (psnr(clean, np.asarray(x.convert("RGB")), data_range=255) for x in (damaged, restored))
    assert after > before + 5


def test_litert_leaves_what_is_sharp_as_keras_does(tmp_path):
    with Image.open(SAMPLE) as sample:
        sample.crop((300, 100, 428, 228)).save(tmp_path / "sharp.png")
    restored = {}
    for engine in ("keras", "litert"):
        run = ["deblur", str(tmp_path / "sharp.png"), "-o", str(tmp_path / f"{engine}.png"), "--kernel", "disk"]
        assert main([*run, "--engine", engine]) == 0
        restored[engine] = np.asarray(Image.open(tmp_path / f"{engine}.png")).astype(int)
    assert np.abs(restored["keras"] - restored["litert"]).max() <= 1


def test_most_pixels_are_for_saved_models(own_weights, tmp_path, capsys):
    run = ["export", str(own_weights), "--most-pixels", "600"]
    assert main([*run, "-o", str(tmp_path / "model.tflite")]) == 2
    assert "--most-pixels and --precision are for SavedModels. Received: -o" in capsys.readouterr().err
    assert main([*run, "-o", str(tmp_path / "1")]) == 0
    restored = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    channels = read_record(own_weights)["recipe"]["channels"]
    assert restored(image=tf.zeros((1, 20, 30, channels)))["restored"].shape == (1, 20, 30, channels)
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 600 pixels"):
        restored(image=tf.zeros((1, 20, 31, channels)))


@pytest.mark.parametrize(("command", "quantize"), [("deblock", "dynamic"), ("denoise", None), ("deblur", None)])
def test_litert_takes_8_bit_weights_where_they_stand(command, quantize, restore_with, photos, tmp_path, monkeypatch):
    converted = []

    def to_litert(model, quantize):
        converted.append(quantize)
        return model

    monkeypatch.setattr("keras_rednet.litert.to_litert", to_litert)
    run = [command, photos / "photo0.png", *(["--kernel", "disk"] if command == "deblur" else [])]
    assert restore_with(*run, "-o", tmp_path / "a.png", "--engine", "litert")[0] == 0
    assert converted == [quantize]
    assert restore_with(*run, "-o", tmp_path / "b.png")[0] == 0
    assert converted == [quantize]


@pytest.mark.parametrize("command", [["denoise"], ["upscale", "--scale", "2"]])
def test_orientations_and_tiles(command, restore_with, photos, tmp_path, monkeypatch):
    received = []
    for name in ("restore", "upscale"):
        function = getattr(photo_module, name)
        monkeypatch.setattr(
            photo_module, name, lambda *args, f=function, **how: received.append(how) or f(*args, **how)
        )
    for number, option in enumerate(([], ["--orientations", "8", "--tile", "48"])):
        out = tmp_path / f"{number}.png"
        assert restore_with(*command, photos / "photo0.png", "-o", out, *option)[0] == 0
    assert [(how["orientations"], how["tile"]) for how in received] == [(1, "auto"), (8, 48)]


def test_an_interrupt_is_told(denoise, photos, tmp_path, monkeypatch, capsys):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Restorer, "restore_files", interrupted)
    assert denoise(photos, "-o", tmp_path / "out") == 130
    assert capsys.readouterr().err == "rednet: interrupted; what is finished is kept\n"


def test_keeps_alpha_and_depth(denoise, tmp_path):
    deep = np.random.default_rng(0).integers(0, 65535, (20, 30, 4), "uint16")
    (tmp_path / "deep.png").write_bytes(tf.io.encode_png(deep).numpy())
    assert denoise(tmp_path / "deep.png", "-o", tmp_path / "out.png") == 0
    restored = tf.io.decode_png((tmp_path / "out.png").read_bytes(), dtype=tf.uint16).numpy()
    np.testing.assert_array_equal(restored[..., 3], deep[..., 3])
    assert len(np.unique(restored[..., :3])) > 256


def test_keeps_metadata_and_turns_the_picture_upright(denoise, photos, tmp_path):
    exif = Image.Exif()
    exif[0x010F], exif[ORIENTATION] = "Camera maker", 6
    with Image.open(photos / "photo0.png") as photo:
        photo.save(tmp_path / "a.jpg", exif=exif, icc_profile=b"a profile")
    assert denoise(tmp_path / "a.jpg", "-o", tmp_path / "b.jpg") == 0
    with Image.open(tmp_path / "b.jpg") as restored:
        assert restored.size == (70, 90)
        assert restored.getexif().get(ORIENTATION, 1) == 1
        assert restored.getexif()[0x010F] == "Camera maker"
        assert restored.info["icc_profile"] == b"a profile"


def test_a_picture_is_not_restored_in_its_place(denoise, photos, tmp_path, capsys):
    shutil.copy(photos / "photo0.png", tmp_path / "own.png")
    assert denoise(tmp_path / "own.png", "-o", tmp_path / "own.png") == 1
    assert "own.png is the picture to restore: choose another --output, or add --overwrite" in capsys.readouterr().err


def test_never_overwrites_unless_asked(denoise, photos, tmp_path, capsys):
    out = tmp_path / "clean.png"
    out.write_bytes(b"precious")
    assert denoise(photos / "photo0.png", "-o", out) == 1
    assert out.read_bytes() == b"precious"
    assert "is there already: add --overwrite to replace it" in capsys.readouterr().err
    assert denoise(photos / "photo0.png", "-o", out, "--overwrite") == 0
    assert Image.open(out).size == (90, 70)


def test_resume_does_the_rest(denoise, photos, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "photo2.png").write_bytes(b"precious")
    assert denoise(photos, "-o", out, "--resume") == 0
    assert (out / "photo2.png").read_bytes() == b"precious"
    assert sorted(path.name for path in out.iterdir()) == [f"photo{i}.png" for i in range(6)]
    printed = capsys.readouterr().out
    assert printed.startswith("1 of 6 pictures are there already\n")
    assert "photo2.png" not in printed
    assert denoise(photos, "-o", out, "--resume") == 0
    assert capsys.readouterr().out == "6 of 6 pictures are there already\n"


def test_reports_every_picture_in_order(denoise, photos, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for i in range(6):
        content = (photos / f"photo{i}.png").read_bytes()
        (tmp_path / "in" / f"{i}.png").write_bytes(content if i % 3 else content[:500])
    assert denoise(tmp_path / "in", "-o", tmp_path / "out") == 1
    printed = capsys.readouterr()
    assert [line.split()[0][-5:] for line in printed.out.splitlines()] == ["1.png", "2.png", "4.png", "5.png"]
    assert [line.split(": ")[1][-5:] for line in printed.err.splitlines()[:-1]] == ["0.png", "3.png"]


def test_a_name_in_no_encoding_stops_nothing(denoise, photos, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for name in (b"a.png", b"caf\xe9.png", b"z.png"):
        (tmp_path / "in" / os.fsdecode(name)).write_bytes((photos / "photo0.png").read_bytes())
    assert denoise(tmp_path / "in", "-o", tmp_path / "out") == 0
    assert len(list((tmp_path / "out").iterdir())) == 3
    assert r"caf\udce9.png -> " in capsys.readouterr().out


def test_what_cannot_be_written_is_told_before_the_work(denoise, photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("keras_rednet.photos.restore", lambda *arguments, **options: pytest.fail("restored in vain"))
    (tmp_path / "blocked").touch()
    assert denoise(photos, "-o", tmp_path / "blocked" / "out") == 1
    assert capsys.readouterr().err.count("Not a directory") == 6
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert denoise(photos, "-o", tmp_path / "out") == 1
    assert capsys.readouterr().err.count("out cannot be written to: choose another folder.") == 6


def test_a_folder_that_cannot_be_read_is_never_there_already(denoise, tmp_path, monkeypatch, capsys):
    for folder in ("in/sub", "out/sub"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr("keras_rednet.photos._pictures", lambda folder, output: [folder / "sub"])
    assert denoise(tmp_path / "in", "-o", tmp_path / "out", "--resume") == 1
    assert "in/sub: a folder that cannot be read" in capsys.readouterr().err


def test_odd_names_and_what_is_no_file(denoise, photos, tmp_path, capsys):
    folder = tmp_path / "in"
    (folder / "folder.png").mkdir(parents=True)
    for name in ("with space.png", "new\nline.png", "фото 写真.png", "folder.png/A.PNG"):
        (folder / name).write_bytes((photos / "photo0.png").read_bytes())
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "round").symlink_to(folder, target_is_directory=True)
    os.mkfifo(folder / "pipe.png")
    assert denoise(folder, "-o", tmp_path / "out") == 1
    out = tmp_path / "out"
    written = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert written == {"with space.png", "new\nline.png", "фото 写真.png", "folder.png/A.PNG"}
    lines = capsys.readouterr().err.splitlines()
    assert "Too many levels of symbolic links" in lines[0]
    assert lines[1].endswith("pipe.png: not a file.")
    assert lines[2] == "rednet: 2 of 6 pictures failed, 4 done"


def test_a_folder_that_cannot_be_read_is_named(denoise, photos, tmp_path, monkeypatch, capsys):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("secret"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    (tmp_path / "in" / "secret").mkdir(parents=True)
    (tmp_path / "in" / "a.png").write_bytes((photos / "photo0.png").read_bytes())
    monkeypatch.setattr(os, "scandir", refuse)
    assert denoise(tmp_path / "in", "-o", tmp_path / "out") == 1
    assert "secret" in capsys.readouterr().err
    assert (tmp_path / "out" / "a.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.png", "-o", "out.png"], "No such file"),
        (["photo.png", "-o", "out.xyz"], "the name must end in one of"),
        (["alpha.png", "-o", "out.jpg"], "JPEG cannot hold transparency"),
    ],
)
def test_says_what_is_wrong_and_leaves_nothing(denoise, photos, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.png").write_bytes((photos / "photo0.png").read_bytes())
    Image.new("RGBA", (20, 20)).save("alpha.png")
    before = sorted(tmp_path.iterdir())
    assert denoise(*arguments) == 1
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_two_photos_of_one_name_are_refused_before_any_work(denoise, photos, tmp_path, capsys):
    (tmp_path / "photo0.png").write_bytes((photos / "photo1.png").read_bytes())
    assert denoise(photos / "photo0.png", tmp_path / "photo0.png", "-o", tmp_path / "out") == 2
    assert "would both become" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_names_that_differ_in_their_case_only(denoise, photos, tmp_path, monkeypatch, capsys):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "A.png"):
        (tmp_path / "in" / name).write_bytes((photos / "photo0.png").read_bytes())
    command = [tmp_path / "in", "-o", tmp_path / "out" / "sub"]
    assert denoise(*command) == 0
    assert len(list((tmp_path / "out" / "sub").iterdir())) == 2
    capsys.readouterr()
    find = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: find(path) or find(str(path).lower()))  # as some disks do
    command[-1] = tmp_path / "other" / "sub"
    for option in ("--overwrite", "--resume"):
        assert denoise(*command, option) == 2
        assert "on a disk that ignores case: rename one" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_names_that_differ_in_how_accents_are_written(denoise, photos, tmp_path, monkeypatch, capsys):
    (tmp_path / "in").mkdir()
    for form in ("NFC", "NFD"):
        shutil.copy(
            photos / "photo0.png",
            tmp_path / "in" / unicodedata.normalize(form, "caf\N{LATIN SMALL LETTER E WITH ACUTE}.png"),
        )
    assert denoise(tmp_path / "in", "-o", tmp_path / "out") == 0
    assert len(list((tmp_path / "out").iterdir())) == 2
    find = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: find(unicodedata.normalize("NFC", str(path))))  # as macOS does
    assert denoise(tmp_path / "in", "-o", tmp_path / "other") == 2
    assert "on a disk that ignores how accents are written: rename one" in capsys.readouterr().err


def test_every_two_of_several_alike_names_are_compared(tmp_path, monkeypatch):
    names = ["\xc9.png", "\xe9.png", unicodedata.normalize("NFD", "\xe9.png")]
    jobs = [(tmp_path / "in" / name, tmp_path / name) for name in names]
    monkeypatch.setattr(photo_module, "_ignores", lambda folder, kind: False)
    photo_module.refuse_doubles(jobs)
    photo_module.refuse_doubles([(tmp_path / "in" / name, tmp_path / name) for name in ("\u212b.png", "\xc5.png")])
    monkeypatch.setattr(photo_module, "_ignores", lambda folder, kind: kind == photo_module.ACCENTS)
    with pytest.raises(ValueError, match="on a disk that ignores how accents are written"):
        photo_module.refuse_doubles(jobs)


def test_a_picture_that_is_named_twice_is_restored_once(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(photos)
    both = [Path("photo0.png"), photos / "photo0.png"]
    assert photo_module.jobs(both, str(tmp_path)) == [(both[0], tmp_path / "photo0.png")]


def test_what_macos_keeps_beside_a_picture_is_none(denoise, photos, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes((photos / "photo0.png").read_bytes())
    (tmp_path / "in" / "._a.png").write_bytes(b"attributes")
    assert denoise(tmp_path / "in", "-o", tmp_path / "out") == 0


def test_an_engine_that_is_missing_is_told_once(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    assert main(["denoise", str(photos), "-o", str(tmp_path / "out"), "--engine", "litert"]) == 2
    assert capsys.readouterr().err == 'rednet: LiteRT is not installed: pip install "keras_rednet[litert]".\n'


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mine.keras", "Weights must be named as `rednet weights` does, or be the weights.npz"),
        ("none.npz", "none.npz: there is no such file."),
    ],
)
def test_weights_that_are_none(photos, tmp_path, name, words, capsys):
    (tmp_path / "mine.keras").touch()
    command = ["denoise", str(photos), "-o", str(tmp_path / "out"), "--weights", str(tmp_path / name)]
    assert main(command) == 2
    assert words in capsys.readouterr().err


def test_memory_that_an_evaluation_has_not_is_told(photos, monkeypatch, capsys):
    def fail(*arguments, **options):
        raise MemoryError("choose a smaller `tile`")

    monkeypatch.setattr(cli, "_evaluate", fail)
    assert main(["evaluate", "denoise", "--data", str(photos)]) == 2
    assert capsys.readouterr().err == "rednet: choose a smaller `tile`\n"


def test_an_output_folder_inside_the_input_is_no_input(denoise, photos, tmp_path):
    for name in ("a.png", "out/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((photos / "photo0.png").read_bytes())
    assert denoise(tmp_path, "-o", tmp_path / "out", "--overwrite") == 0
    assert not (tmp_path / "out" / "out").exists()


@pytest.mark.parametrize("absolute", ["input", "output", "neither"])
def test_a_folder_inside_the_output_is_an_input(denoise, photos, tmp_path, monkeypatch, absolute):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "holiday" / "out").mkdir(parents=True)
    (tmp_path / "holiday" / "a.png").write_bytes((photos / "photo0.png").read_bytes())
    root = tmp_path if absolute == "input" else ""
    assert denoise(f"{root}/holiday" if root else "holiday", "-o", ".") == 0
    assert (tmp_path / "a.png").exists()
    out = tmp_path / "holiday" / "out" if absolute == "output" else "holiday/out"
    for _ in range(2):
        assert denoise(f"{root}/holiday" if root else "holiday", "-o", out, "--overwrite") == 0
    assert [path.name for path in (tmp_path / "holiday" / "out").iterdir()] == ["a.png"]


@pytest.mark.parametrize("tile", ["0", "-3", "big"])
def test_a_bad_tile_is_refused_at_once(denoise, photos, tmp_path, capsys, tile):
    with pytest.raises(SystemExit):
        denoise(photos / "photo0.png", "-o", tmp_path / "out.png", "--tile", tile)
    assert f"--tile: must be auto or at least 1, in pixels, received {tile}" in capsys.readouterr().err


def test_pictures_in_other_formats_are_told(denoise, photos, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.HEIC", "b.heic", "c.nef", "notes.txt"):
        (tmp_path / "in" / name).touch()
    Image.open(photos / "photo0.png").save(tmp_path / "in" / "d.jfif", format="JPEG")
    with pytest.warns(UserWarning, match=r"Left out pictures of .*in, in formats that are not read: 2 .heic, 1 .nef$"):
        assert denoise(tmp_path / "in", "-o", tmp_path / "out") == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["d.jfif"]


def test_an_empty_folder_is_an_error(denoise, tmp_path, capsys):
    assert denoise(tmp_path, "-o", tmp_path / "out") == 2
    assert "no pictures in" in capsys.readouterr().err


def test_a_network_of_ones_own_is_built_as_its_record_says(photos, tmp_path, capsys):
    model = with_random_weights(RED20(channels=3, filters=6, weights=None))
    recipe = {"task": "denoise", "level": "blind", "depth": 20, "channels": 3, "filters": 6, "downsample_at": []}
    save(model, tmp_path / "w.npz", {**RECORD, "recipe": recipe, "validation_psnr": {}})
    run = ["denoise", str(photos / "photo0.png"), "-o", str(tmp_path / "out.png"), "--weights", str(tmp_path / "w.npz")]
    assert main(run) == 0
    with Image.open(photos / "photo0.png") as photo, Image.open(tmp_path / "out.png") as restored:
        expected = restore(RED20(channels=3, filters=6, weights=tmp_path / "w.npz"), np.asarray(photo))
        np.testing.assert_array_equal(np.asarray(restored), expected)
    (tmp_path / "w.json").unlink()
    assert main([*run, "--overwrite"]) == 2
    assert "needs its record, w.json, beside it" in capsys.readouterr().err


def test_a_shipped_network_by_name(photos, tmp_path, monkeypatch, capsys):
    save(with_random_weights(RED20(weights=None)), tmp_path / "red20-v1.npz", {**RECORD, "validation_psnr": {}})
    recipe = {"task": "denoise", "level": "blind", "depth": 20, "channels": 1, "filters": 64, "downsample_at": []}
    record = read_record(tmp_path / "red20-v1.npz") | {"recipe": recipe, "network": recipe}
    monkeypatch.setattr("keras_rednet.weights.PRETRAINED", tmp_path)
    monkeypatch.setattr("keras_rednet.weights.records", lambda: {"red20-v1": record})
    run = ["denoise", str(photos / "photo0.png"), "-o", str(tmp_path / "out.png"), "--weights"]
    assert main([*run, "red20"]) == 0
    with Image.open(photos / "photo0.png") as photo, Image.open(tmp_path / "out.png") as restored:
        expected = restore(RED20(weights=tmp_path / "red20-v1.npz"), np.asarray(photo))
        np.testing.assert_array_equal(np.asarray(restored), expected)
    assert main([*run, "red21"]) == 2
    assert "`name` must be one of ['red20-v1']. Received: name='red21'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "level", "option", "value"),
    [("deblur", "disk", "--kernel", "motion"), ("inpaint", "scratch", "--remove", "text")],
)
def test_refuses_weights_of_another_kind(command, level, option, value, photos, tmp_path, capsys):
    model = RED10(command, level=level, filters=4, weights=None)
    recipe = {"task": command, "level": level, "depth": 10, "channels": 3, "filters": 4, "downsample_at": []}
    save(model, tmp_path / "w.npz", {**RECORD, "recipe": recipe, "validation_psnr": {}})
    run = [command, str(photos / "photo0.png"), "-o", str(tmp_path / "out.png"), "--weights", str(tmp_path / "w.npz")]
    assert main([*run, option, value]) == 2
    assert f"w.npz is trained to {command} {level}. Expected: {value}." in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()
    assert main([*run, option, level]) == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [("[]", "w.npz needs its record, w.json, beside it"), ('{"recipe": {}}', "must say which network it is. Missing")],
)
def test_names_a_record_that_is_none(content, words, own_weights, photos, tmp_path, capsys):
    own_weights.with_suffix(".json").write_text(content)
    run = ["deblock", str(photos / "photo0.png"), "-o", str(tmp_path / "out.png"), "--weights", str(own_weights)]
    assert main(run) == 2
    assert words in capsys.readouterr().err


@pytest.fixture
def own_weights(tmp_path):
    """The file of a small network of a training run, for luminance."""
    model = with_random_weights(RED10("deblock", filters=4, weights=None))
    recipe = {"task": "deblock", "level": "blind", "depth": 10, "channels": 1, "filters": 4, "downsample_at": []}
    recipe["color"] = "luminance"
    save(model, tmp_path / "w.npz", {**RECORD, "recipe": recipe, "validation_psnr": {}})
    return tmp_path / "w.npz"


@pytest.mark.parametrize(
    ("command", "missing", "changed", "words"),
    [
        ("export", "color", {}, "must say what its network restores. Missing in its recipe: ['color']"),
        ("deblock", None, {"depth": 14}, "must name a depth of 10, 20, 30, or the `architecture` of its network"),
    ],
)
def test_names_what_a_record_of_ones_own_lacks(command, missing, changed, words, own_weights, photos, tmp_path, capsys):
    record = own_weights.with_suffix(".json")
    content = json.loads(record.read_text())
    content["recipe"] = {k: v for k, v in content["recipe"].items() if k != missing} | changed
    record.write_text(json.dumps(content))
    run = {"export": [own_weights, "-o", tmp_path / "m.tflite"]}
    run["deblock"] = [photos / "photo0.png", "-o", tmp_path / "out.png", "--weights", own_weights]
    assert main([command, *map(str, run[command])]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("[mo]*"))


def test_a_single_picture_and_a_folder_to_be(denoise, photos, tmp_path, capsys):
    assert denoise(photos / "photo0.png", "-o", tmp_path / "cleaned") == 1
    assert (
        "cleaned: the name must end in one of .bmp, .jpg, .jpeg, .jfif, .png, .tif, .tiff, .webp, or in / for a folder"
        in (capsys.readouterr().err)
    )
    assert not list(tmp_path.iterdir())


def test_exports_tflite(own_weights, photos, tmp_path, capsys):
    run = ["export", str(own_weights), "-o", str(tmp_path / "out" / "model.tflite"), "--quantize", "int8"]
    assert main([*run, "--size", "48x32", "--calibration", str(photos)]) == 0
    metadata = json.loads((tmp_path / "out" / "model.json").read_text())
    about = {"task": "deblock", "color": "luminance", "precision": "int8", "size": [32, 48]}
    assert about == {key: metadata[key] for key in about}
    assert metadata["weights_sha256"] == read_record(own_weights)["sha256"]
    assert "BT.601" in metadata["luminance"]
    assert "no picture larger" not in capsys.readouterr().err
    assert main(["export", str(own_weights), "-o", str(tmp_path / "small.tflite"), "--size", "8x8"]) == 0
    assert "restores no picture larger than that: for tiles of one, sides must be above" in capsys.readouterr().err
    fast = ["export", "red30-fast-deblock-blind-gray", "-o", str(tmp_path / "fast.tflite")]
    assert main([*fast, "--size", "47x32"]) == 2
    assert "--size must be WIDTHxHEIGHT, multiples of 2 pixels. Received: --size 47x32" in capsys.readouterr().err
    before = (tmp_path / "out" / "model.tflite").read_bytes()
    assert main(run) == 2
    assert "is there already: add --overwrite" in capsys.readouterr().err
    assert main([*run, "--overwrite"]) == 2
    assert "needs --calibration FOLDER" in capsys.readouterr().err
    assert (tmp_path / "out" / "model.tflite").read_bytes() == before


def test_an_exported_file_names_the_version_of_its_weights(tmp_path):
    assert main(["export", "red10-fast-denoise-blind-gray", "-o", str(tmp_path / "model.tflite")]) == 0
    named = json.loads((tmp_path / "model.json").read_text())["weights"]
    assert named in records()
    assert named.startswith("red10-fast-denoise-blind-gray-v")


@pytest.mark.parametrize(
    ("name", "quantize", "others"),
    [
        ("red30-fast-deblur-motion-color", "dynamic", "float16"),
        ("red30-fast-deblur-motion-color", "int8", "float16"),
        ("red30-fast-denoise-blind-gray", "dynamic", "float16 or int8"),
        ("red30-fast-inpaint-text-color", "int8", "float16 or dynamic"),
    ],
)
def test_exports_no_8_bit_file_where_8_bits_are_too_few(photos, tmp_path, name, quantize, others, capsys):
    run = ["export", name, "-o", str(tmp_path / "model.tflite"), "--quantize", quantize]
    assert main([*run, *(["--calibration", str(photos)] if quantize == "int8" else [])]) == 2
    assert f"use --quantize {others}, or none. Received: --quantize {quantize}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [None, "96x96"])
@pytest.mark.parametrize("lost", ["", "-512x512"])
def test_says_where_8_bits_lost_more_than_is_released(size, lost, photos, tmp_path, monkeypatch, capsys):
    name = weights.versioned("red30-fast-denoise-blind-color")
    rows = csv_table.read(RESULTS / "parity.csv")
    for row in rows:
        row["verdict"] = "refused: use float16" if row["file"] == f"{name}{lost}-int8.tflite" else ""
    monkeypatch.setattr(csv_table, "read", lambda path: rows)
    monkeypatch.setattr("keras_rednet.tflite.export_tflite", lambda *arguments, **options: None)
    run = ["export", name, "-o", str(tmp_path / "model.tflite"), "--quantize", "int8"]
    assert main([*run, "--calibration", str(photos), *(["--size", size] if size else [])]) == 0
    warned = "dB of Set5 at sigma 10, more than is released" in capsys.readouterr().err
    assert warned == (bool(size) == bool(lost))


def test_calibration_is_for_int8_only(photos, tmp_path, capsys):
    run = ["export", "red30-fast-denoise-blind-gray", "-o", str(tmp_path / "model.tflite")]
    assert main([*run, "--quantize", "float16", "--calibration", str(photos)]) == 2
    assert "--calibration is for --quantize int8" in capsys.readouterr().err


def test_memory_that_runs_out_costs_its_picture_only(photos, tmp_path, monkeypatch, capsys):
    def scarce(network, image, **options):
        if np.asarray(image).tobytes() == first:
            raise MemoryError("Not enough memory for tiles of 70x90 pixels: choose a smaller `tile`.")
        return image

    with Image.open(photos / "photo0.png") as picture:
        first = np.asarray(picture).tobytes()
    monkeypatch.setattr("keras_rednet.photos.restore", scarce)
    assert main(["denoise", str(photos), "-o", str(tmp_path / "out")]) == 1
    assert "photo0.png: Not enough memory for tiles of 70x90 pixels" in capsys.readouterr().err
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_calibration_takes_pictures_of_the_whole_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "CALIBRATION", 3)
    for i in range(7):
        Image.new("L", (8, 8), 10 * i).save(tmp_path / f"{i}.png")
    samples = cli._calibration(tmp_path, REDNet(10, filters=4), {"color": "luminance", "task": "super_resolution"})
    assert [round(sample.mean() * 255) for sample in samples] == [0, 20, 40]


@pytest.mark.parametrize(
    "arguments",
    [
        ["denoise", "", "-o", "out/"],
        ["denoise", "photo.png", "-o", "out/", "--weights", ""],
        ["denoise", "photo.png", "-o", "", "--overwrite"],
        ["evaluate", "denoise", "--data", ""],
        ["export", "red30-fast-denoise-blind-gray", "-o", "x.tflite", "--quantize", "int8", "--calibration", ""],
        ["train", "red10-fast-denoise-blind-gray", "--smoke", "--data", "", "--out", "run"],
        ["train", "red10-fast-denoise-blind-gray", "--smoke", "--data", "photo.png", "--out", ""],
        ["train", "red10-fast-denoise-blind-gray", "--smoke", "--data", "photo.png", "--tfds", "", "--out", "run"],
    ],
)
def test_an_empty_argument_is_no_folder_of_pictures(arguments, tmp_path, monkeypatch, capsys):
    """As where a variable of the shell is not set: `.` would be all pictures that are there."""
    monkeypatch.chdir(tmp_path)
    Image.new("L", (8, 8)).save("photo.png")
    with pytest.raises(SystemExit):
        main(arguments)
    assert "must not be empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_a_saved_model_is_never_overwritten(tmp_path, capsys):
    run = ["export", "red30-fast-denoise-blind-gray", "-o", str(tmp_path / "1"), "--overwrite"]
    assert main(run) == 2
    assert "--overwrite is for .tflite files: name a new version" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_gray_denoisers_are_calibrated_by_single_channels(tmp_path):
    """As colour pictures are restored by them: the mean of R, G and B has less noise."""
    for i in range(3):
        Image.new("RGB", (8, 8), (30, 60, 90)).save(tmp_path / f"{i}.png")
    tiny = REDNet(10, filters=4, downsample_at=(1,))
    samples = cli._calibration(tmp_path, tiny, {"color": "gray", "task": "denoise"})
    assert [sample.shape for sample in samples[:3]] == 3 * [(8, 8, 1)]
    np.testing.assert_allclose([sample.mean() * 255 for sample in samples[:3]], (30, 60, 90))
    assert {drawing.shape[2] for drawing in samples[3:]} == {1}


def test_an_export_leaves_what_lies_beside_it_alone(own_weights, tmp_path, capsys):
    (tmp_path / "model.json").write_text("{}")
    assert main(["export", str(own_weights), "-o", str(tmp_path / "model.tflite")]) == 2
    assert "model.json is there already: add --overwrite" in capsys.readouterr().err
    assert [path.name for path in tmp_path.glob("model*")] == ["model.json"]


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_an_export_leaves_the_record_of_a_run_alone(overwrite, own_weights, capsys):
    record = own_weights.with_suffix(".json").read_bytes()
    assert main(["export", str(own_weights), "-o", str(own_weights.with_suffix(".tflite")), *overwrite]) == 2
    assert "w.json is the record of w.npz" in capsys.readouterr().err
    assert own_weights.with_suffix(".json").read_bytes() == record
    assert not own_weights.with_suffix(".tflite").exists()


def test_restores_by_a_network_of_an_ablation(photos, tmp_path):
    model = with_random_weights(REDNet(10, filters=4, skips=None))
    recipe = {"task": "denoise", "level": 70, "depth": 10, "channels": 1, "filters": 4, "downsample_at": []}
    recipe["architecture"] = {"skips": None}
    save(model, tmp_path / "w.npz", {**RECORD, "recipe": recipe, "validation_psnr": {}})
    run = [str(photos / "photo0.png"), "-o", str(tmp_path / "out.png"), "--weights", str(tmp_path / "w.npz")]
    assert main(["denoise", *run]) == 0
    expected = restore(model, np.asarray(Image.open(photos / "photo0.png")))
    assert np.abs(np.asarray(Image.open(tmp_path / "out.png")).astype(int) - expected).max() <= 1


def test_exports_a_saved_model_that_deblocks_as_the_command(own_weights, photos, tmp_path, capsys):
    run = ["export", str(own_weights), "-o", str(tmp_path / "models" / "1")]
    assert main(run) == 0
    signature = tf.saved_model.load(str(tmp_path / "models" / "1")).signatures["restore_image_bytes"]
    file = (photos / "photo0.png").read_bytes()
    restored = tf.io.decode_png(signature(image_bytes=tf.constant([file]))["restored_bytes"][0]).numpy()
    model = RED10("deblock", filters=4, weights=own_weights)
    expected = restore(model, np.asarray(Image.open(photos / "photo0.png")), color="ycbcr")
    np.testing.assert_allclose(restored, expected, atol=1)
    about = json.loads((tmp_path / "models" / "1" / "assets.extra" / "keras_rednet.json").read_text())
    assert (about["restores"], about["task"], about["weights"]) == ("ycbcr", "deblock", str(own_weights))
    assert main(run) == 2
    assert "is there already: choose a new version" in capsys.readouterr().err
    assert main([*run, "--quantize", "int8"]) == 2
    assert "are for .tflite files" in capsys.readouterr().err


def test_litert_restores_nearly_the_same(photos, own_weights, tmp_path, capsys):
    assert main(["export", str(own_weights), "-o", str(tmp_path / "own.tflite")]) == 0
    run = [str(photos / "photo0.png"), "-o", str(tmp_path / "own.png"), "--weights", str(tmp_path / "own.tflite")]
    assert main(["deblock", *run]) == 0
    restored = np.asarray(Image.open(tmp_path / "own.png")).astype(int)
    model = RED10("deblock", filters=4, weights=own_weights)
    whole = restore(model, np.asarray(Image.open(photos / "photo0.png")), color="ycbcr")
    assert np.abs(restored - whole).max() <= 1
    assert main(["denoise", *run, "--overwrite"]) == 2
    assert "own.tflite is trained to deblock. Expected: denoise." in capsys.readouterr().err


def test_prints_nothing_of_its_libraries(photos, tmp_path):
    command = ["denoise", str(photos), "-o", str(tmp_path / "out"), "--engine"]
    runs = [[*command, *rest] for rest in (["keras"], ["litert", "--overwrite"], ["keras"])]
    program = f"from keras_rednet.cli import main; print([main(run) for run in {runs}])"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TF_")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    *restored, statuses = done.stdout.splitlines()
    assert (len(restored), statuses) == (12, "[0, 0, 1]")
    refused = done.stderr.splitlines()
    assert len(refused) == 7
    assert all(line.startswith("rednet: ") for line in refused)


def test_a_terminal_gets_the_names_of_broken_files_and_a_file_those_of_restored_ones(tmp_path):
    photos = (
        tmp_path / "a [red] and quite long name, as folders of photographs have them, year by year and event by event"
    )
    photos.mkdir()
    (photos / "1.png").write_bytes(b"broken")
    Image.new("L", (16, 16)).save(photos / "2.png")
    Image.new("RGB", (16, 16)).save(photos / "3.jpg")
    command = [sys.executable, "-m", "keras_rednet.cli", "denoise", photos, "-o", tmp_path / "out"]
    ours, theirs = pty.openpty()
    with (tmp_path / "done.txt").open("w") as done:
        process = subprocess.Popen([*map(str, command)], stdout=done, stderr=theirs)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the terminal's end
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert process.wait() == 1
    assert f"rednet: {photos / '1.png'}: not a picture".encode() in shown
    names = [line.split(" -> ")[0] for line in (tmp_path / "done.txt").read_text().splitlines()]
    assert names == [str(photos / name) for name in ("2.png", "3.jpg")]


def test_another_thread_is_heard_while_libraries_are_silenced():
    program = f"""
import os, runpy, sys, threading
quiet = runpy.run_path({quiet.__file__!r})
with quiet["steady_stderr"]() as errors:
    with quiet["quiet_libraries"]():
        os.write(2, b"a library")
        print("in it", file=sys.stderr)
        thread = threading.Thread(target=print, args=["a name: caf\\udce9"], kwargs=dict(file=errors))
        thread.start()
        thread.join()
        print("caf\\udce9", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["in it", "a name: caf\\udce9", "caf\\udce9"]


def test_two_names_of_one_file_do_not_overwrite_each_other(tmp_path, monkeypatch):
    for name, value in (("a.png", 0), ("A.png", 255)):
        Image.new("L", (16, 16), value).save(tmp_path / name)
    both = [(tmp_path / name, tmp_path / "out.png") for name in ("a.png", "A.png")]  # on a disk that ignores case
    told = []
    monkeypatch.setattr(Restorer, "_network", lambda self, channels, stored: RED10(weights=None, filters=4))
    restorer = Restorer(Work("denoise"))
    restorer.restore_files(both, lambda source, target, seconds, error: told.append(str(error)))
    assert told[0] == "None"
    assert "out.png is there already: add --overwrite" in told[1]
    assert np.asarray(Image.open(tmp_path / "out.png")).mean() < 128


def test_help_imports_nothing_heavy():
    program = "import sys; from keras_rednet.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    program += "print([m for m in ('keras', 'tensorflow', 'numpy', 'PIL') if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output.endswith("[]\n")
    assert "rednet denoise photo.jpg -o clean.png" in output


def test_names_a_backend_that_is_not_installed(photos, tmp_path, monkeypatch):
    program = "import sys; sys.modules['tensorflow'] = None; from keras_rednet.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "denoise", str(photos), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "tensorflow"})
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "rednet: tensorflow is not installed. Install keras_rednet[cpu], or name the backend of Keras that you have in "
        "KERAS_BACKEND."
    )
    assert "Traceback" not in done.stderr
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert cli._mended("tensorflow").startswith(" This command needs it beside the backend of Keras")


def test_lists_the_shipped_weights(capsys):
    assert main(["weights"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in records())


def test_train_takes_the_options_of_the_recipes(photos, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "usage: rednet train" in capsys.readouterr().out
    run = ["train", "red10-fast-denoise-blind-gray", "--data", str(photos), "--out", str(tmp_path / "run"), "--smoke"]
    assert main(run) == 0
    assert (tmp_path / "run" / "weights.npz").exists()


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        (["--epochs", "0"], "--epochs must be at least 1. Received: 0"),
        (["--batch-size", "0"], "--batch-size must be at least 1. Received: 0"),
        (["--patch-size", "-8"], "--patch-size must be at least 1. Received: -8"),
        (["--patches-per-image", "0"], "--patches-per-image must be at least 1. Received: 0"),
        (["--learning-rate", "0"], "--learning-rate must be above 0. Received: 0"),
        (["--learning-rate", "nan"], "--learning-rate must be above 0. Received: nan"),
        (["--smoke", "--start-from", "red30-fast-denoise-blind-gray"], "--smoke trains a smaller network"),
    ],
)
def test_train_refuses_what_would_train_nothing(rest, words, photos, tmp_path, capsys):
    run = ["train", "red30-fast-denoise-blind-gray", "--data", str(photos), "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit):
        main([*run, *rest])
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_train_needs_two_images_and_tensorboard(photos, tmp_path, capsys, monkeypatch):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.png").write_bytes((photos / "photo0.png").read_bytes())
    run = ["train", "red30-fast-denoise-blind-gray", "--smoke", "--out", str(tmp_path / "run"), "--data"]
    assert main([*run, str(tmp_path / "one")]) == 2
    assert "Training needs at least two images" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([*run, str(photos)]) == 2
    assert "rednet: Training needs what the extra [train] brings" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_evaluate_scores_the_shipped_network(photos, tmp_path, capsys):
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos" / "broken.png").write_bytes((photos / "photo0.png").read_bytes()[:500])
    with pytest.warns(UserWarning, match=r"Left out 1 files .*broken.png \("):
        assert main(["evaluate", "denoise", "--data", str(tmp_path / "photos")]) == 0
    lines = capsys.readouterr().out.splitlines()
    (name,) = (name for name in records() if name.startswith("red30-fast-denoise-blind-gray"))
    levels = (10, 30, 50, 70, "30 rounded", "50 rounded")
    assert [line.split(":")[0] for line in lines] == [f"{name}, sigma {level}" for level in levels]
    for line in lines:
        assert "6 images, Protocol(color='gray'" in line
        noisy, restored = (float(part.split("/")[0]) for part in line.split(": ")[1].split("->"))
        assert restored > noisy + 3


def test_evaluate_deblocks_colour_as_the_command_does(photos, tmp_path, capsys):
    shutil.copy(photos / "photo1.png", tmp_path)
    assert main(["evaluate", "deblock", "--data", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all("color='luminance'" in line for line in lines)
    assert main(["evaluate", "deblock", "--data", str(tmp_path), "--channels", "3"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "quality 10" in line)
    assert "color='rgb'" in line
    clean = dataset.read_image(tmp_path / "photo1.png", color="rgb").astype("float32") / 255
    blocky = np.asarray(JpegCompression((10, 10))(clean, seed=(0, 0)))
    expected = psnr(clean, restore(RED30("deblock", channels=3, downsample_at=(1,)), blocky), data_range=1)
    assert f"-> {expected:.2f} /" in line


def test_evaluate_leaves_out_what_is_too_small_for_one_of_its_scales(photos, tmp_path, capsys):
    shutil.copy(photos / "photo0.png", tmp_path)
    Image.new("L", (64, 16)).save(tmp_path / "small.png")
    with pytest.warns(UserWarning, match=r"Left out 1 files .*small.png \(16x64 pixels"):
        assert main(["evaluate", "super_resolution", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("1 images") == 6


@pytest.mark.parametrize(
    ("task", "level", "name"),
    [
        ("denoise", "30 as JPEG", "denoise-jpeg-color"),
        ("super_resolution", "2", "super-resolution-blind-gray"),
        ("super_resolution", "2 as JPEG", "super-resolution-jpeg-color"),
        ("deblock", "80", "deblock-blind-{color}"),
        ("deblur", "disk", "deblur-disk-color"),
        ("inpaint", "text 20", "inpaint-text-color"),
    ],
)
def test_evaluate_takes_the_networks_that_the_commands_take(task, level, name):
    experiments = [run for run in EXPERIMENTS if (run.task, run.level) == (task, level)]
    assert experiments
    for experiment in experiments:
        color = {1: "gray", 3: "color"}[experiment.channels]
        assert evaluate.taken(experiment).startswith(f"red30-fast-{name.format(color=color)}-v")


def test_evaluate_refuses_channels_of_no_network(photos, capsys):
    assert main(["evaluate", "deblur", "--data", str(photos), "--channels", "1"]) == 2
    assert "`channels` of deblur must be 3. Received: channels=1." in capsys.readouterr().err


def test_evaluate_names_missing_weights(photos, capsys, monkeypatch):
    monkeypatch.setattr("keras_rednet.weights.records", dict)
    assert main(["evaluate", "deblur", "--data", str(photos)]) == 2
    assert "There are no pretrained weights for RED30(task='deblur'" in capsys.readouterr().err


def test_evaluate_without_images(tmp_path, capsys):
    assert main(["evaluate", "denoise", "--data", str(tmp_path)]) == 2
    assert "`folder` must hold images" in capsys.readouterr().err


@pytest.fixture
def restore_with(fast_networks, monkeypatch):
    """Runs a command with networks of the tests in the place of the shipped ones, and notes which it asked for."""
    asked = []

    def network(task, *, level, channels, downsample_at):
        asked.append({"task": task, "level": level, "channels": channels, "downsample_at": downsample_at})
        return fast_networks[channels]

    monkeypatch.setattr(photo_module, "RED30", network)
    return lambda *arguments: (main([*map(str, arguments)]), asked)


@pytest.mark.parametrize(
    ("command", "task", "level", "channels", "color"),
    [
        (["deblock"], "deblock", "blind", 3, "channels"),
        (["deblur", "--kernel", "disk"], "deblur", "disk", 3, "channels"),
        (["deblur", "--kernel", "motion"], "deblur", "motion", 3, "channels"),
        (["inpaint", "--remove", "text"], "inpaint", "text", 3, "channels"),
        (["inpaint", "--remove", "scratch"], "inpaint", "scratch", 3, "channels"),
        (["upscale", "--scale", "2"], "super_resolution", "blind", 1, "luminance"),
    ],
)
def test_commands_use_the_networks_of_their_tasks(
    command, task, level, channels, color, restore_with, fast_networks, photos, tmp_path
):
    status, asked = restore_with(*command, photos / "photo0.png", "-o", tmp_path / "out.png")
    assert status == 0
    assert asked == [{"task": task, "level": level, "channels": channels, "downsample_at": (1,)}]
    pixels = np.asarray(Image.open(photos / "photo0.png"))
    network, enlarges = fast_networks[channels], task == "super_resolution"
    expected = upscale(network, pixels, scale=2) if enlarges else restore(network, pixels, color=color)
    np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "out.png")), expected.astype(int), atol=1)


@pytest.mark.parametrize(
    ("mode", "quality", "chroma", "wanted"),
    [
        ("RGB", 95, "4:2:0", (3, "jpeg")),
        ("RGB", 95, "4:4:4", (3, "blind")),
        ("RGB", 90, "4:4:4", (3, "jpeg")),
        ("L", 95, "4:2:0", (1, "blind")),
        ("L", 90, "4:2:0", (1, "jpeg")),
    ],
)
def test_denoises_by_the_network_for_jpegs_where_noise_is_no_longer_white(
    mode, quality, chroma, wanted, restore_with, photos, tmp_path
):
    photo = Image.open(photos / "photo0.png").convert(mode)
    photo.save(tmp_path / "photo.jpg", quality=quality, subsampling=chroma)
    status, asked = restore_with("denoise", tmp_path / "photo.jpg", "-o", tmp_path / "out.png")
    assert (status, [(network["channels"], network["level"]) for network in asked]) == (0, [wanted])


def test_gray_pictures_are_deblocked_by_the_network_for_gray(restore_with, photos, tmp_path):
    Image.open(photos / "photo0.png").convert("L").save(tmp_path / "gray.png")
    status, asked = restore_with("deblock", tmp_path / "gray.png", photos / "photo0.png", "-o", tmp_path / "out")
    assert status == 0
    assert {network["channels"] for network in asked} == {1, 3}
    assert Image.open(tmp_path / "out" / "gray.png").mode == "L"


@pytest.mark.parametrize(
    ("option", "size"),
    [(["--scale", "2"], (180, 140)), (["--scale", "1.5"], (135, 105)), (["--size", "100x90"], (100, 90))],
)
def test_upscale_enlarges(option, size, restore_with, photos, tmp_path):
    assert restore_with("upscale", photos / "photo0.png", "-o", tmp_path / "out.png", *option)[0] == 0
    assert Image.open(tmp_path / "out.png").size == size


@pytest.mark.parametrize(
    ("scale", "psnr", "level"),
    [("2", 99, 2), ("3", 99, 3), ("4", 99, 4), ("2", 0, "blind"), ("1.5", 99, "blind"), ("8", 99, "blind")],
)
def test_upscale_takes_the_network_of_the_scale_where_that_is_better(
    scale, psnr, level, restore_with, photos, tmp_path, monkeypatch
):
    shipped = records()
    for name, record in shipped.items():
        if name.startswith("red30-fast-super-resolution-") and record["network"]["level"] != "blind":
            record["validation_psnr"] = {f"scale {record['network']['level']}": psnr}
    monkeypatch.setattr(weights, "records", lambda: shipped)
    status, asked = restore_with("upscale", photos / "photo0.png", "-o", tmp_path / "out.png", "--scale", scale)
    assert (status, [network["level"] for network in asked]) == (0, [level])


@pytest.mark.parametrize(("mode", "name"), [("L", "photo.jpg"), ("RGB", "photo.jpg"), ("RGB", "photo.webp")])
@pytest.mark.parametrize("size", [["--scale", "2"], ["--size", "180x140"]])
def test_upscale_takes_the_network_for_jpegs_of_what_a_lossy_file_held(
    mode, name, size, restore_with, photos, tmp_path
):
    for quality, other in ((90, name), (91, "fine.jpg")):
        Image.open(photos / "photo0.png").convert(mode).save(tmp_path / other, quality=quality)
    status, asked = restore_with("upscale", tmp_path / name, tmp_path / "fine.jpg", "-o", tmp_path / "out", *size)
    assert status == 0
    assert [(network["channels"], network["level"]) for network in asked] in (
        [(3, "jpeg"), (1, "blind")],
        [(1, "blind"), (3, "jpeg")],
    )
    assert Image.open(tmp_path / "out" / name).mode == mode


def test_upscale_does_not_shrink(restore_with, photos, tmp_path, capsys):
    status, _ = restore_with("upscale", photos / "photo0.png", "-o", tmp_path / "out.png", "--size", "80x80")
    assert status == 1
    assert (
        "must be at least the image's, (height, width) = (70, 90). Received: size=(80, 80)" in capsys.readouterr().err
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["upscale", "a.png", "-o", "b.png"], "one of the arguments --scale --size is required"),
        (["upscale", "a.png", "-o", "b.png", "--scale", "0.5"], "must be a number from 1 to 8, received 0.5"),
        (["upscale", "a.png", "-o", "b.png", "--scale", "two"], "must be a number from 1 to 8, received two"),
        (["upscale", "a.png", "-o", "b.png", "--size", "12"], "must be like 1920x1080, received 12"),
        (["deblur", "a.png", "-o", "b.png"], "--kernel"),
        (["inpaint", "a.png", "-o", "b.png", "--remove", "logo"], "invalid choice: 'logo'"),
    ],
)
def test_bad_options_are_named(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err


def test_missing_weights_are_named_before_any_work(photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("keras_rednet.weights.records", dict)
    assert main(["deblock", str(photos), "-o", str(tmp_path / "out")]) == 2
    assert "There are no pretrained weights for RED30(task='deblock'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("resume", [True, False])
def test_resume_takes_what_another_command_restores_meanwhile_for_done(denoise, photos, tmp_path, resume):
    (tmp_path / "a.png").write_bytes(b"theirs")
    reports = []
    restorer = Restorer(Work("denoise", resume=resume))
    restorer.restore_files([(photos / "photo0.png", tmp_path / "a.png")], lambda *report: reports.append(report[3]))
    assert [error is None for error in reports] == [resume]
    assert (tmp_path / "a.png").read_bytes() == b"theirs"


def test_resume_in_place_is_refused(denoise, photos, tmp_path, capsys):
    shutil.copy(photos / "photo0.png", tmp_path / "a.png")
    assert denoise(tmp_path, "-o", tmp_path, "--resume") == 2
    (tmp_path / "link.png").symlink_to("a.png")
    assert denoise(tmp_path / "link.png", "-o", tmp_path / "a.png", "--resume") == 2
    assert capsys.readouterr().err.count("a.png is itself among the pictures to restore: choose another --output") == 2


def test_a_picture_is_not_replaced_before_it_is_read(denoise, photos, tmp_path, capsys):
    for name in ("a/c/1.png", "b/c/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copy(photos / "photo0.png", tmp_path / name)
    assert denoise(tmp_path / "a", tmp_path / "b" / "c", "-o", tmp_path / "b", "--overwrite") == 2
    assert "b/c/1.png is itself among the pictures to restore" in capsys.readouterr().err
    before = (tmp_path / "a" / "c" / "1.png").read_bytes()
    assert denoise(tmp_path / "a", "-o", tmp_path / "a", "--overwrite") == 0  # in place, as it was asked for
    assert (tmp_path / "a" / "c" / "1.png").read_bytes() != before


def test_a_target_whose_name_is_too_long_does_not_end_a_resumed_command(denoise, photos, tmp_path, capsys):
    assert denoise(photos / "photo0.png", "-o", tmp_path / ("y" * 300) / "a.png", "--resume") == 1
    assert "1 of 1 pictures failed" in capsys.readouterr().err


def test_a_link_to_itself_beside_an_output_inside_the_folder(denoise, photos, tmp_path):
    shutil.copy(photos / "photo0.png", tmp_path / "a.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    assert denoise(tmp_path, "-o", tmp_path / "out") == 1
    assert (tmp_path / "out" / "a.png").exists()


def test_what_has_a_direction_is_not_averaged_over_orientations(photos, tmp_path, capsys):
    run = [str(photos / "photo0.png"), "-o", str(tmp_path / "a.png"), "--orientations", "8"]
    assert main(["deblur", *run, "--kernel", "motion"]) == 2
    assert "Motion blur has a direction, which turned pictures do not have" in capsys.readouterr().err
    assert main(["inpaint", *run, "--remove", "text"]) == 2
    assert "Text has a direction" in capsys.readouterr().err
    kinds = {(run.task, run.level) for run in EXPERIMENTS}
    assert kinds - {(run.task, run.level) for task in evaluate.TASKS for run in evaluate._scored(task, 8)} == {
        ("deblur", "motion"),
        ("inpaint", "text 10"),
        ("inpaint", "text 20"),
    }
    assert kinds == {(run.task, run.level) for task in evaluate.TASKS for run in evaluate._scored(task, 1)}


def test_a_shipped_file_that_is_missing_is_told_before_any_photo_is_opened(tmp_path, monkeypatch):
    (tmp_path / "weights.json").write_bytes((weights.PRETRAINED / "weights.json").read_bytes())
    monkeypatch.setattr(weights, "PRETRAINED", tmp_path)
    with pytest.raises(RuntimeError, match="red30-fast-deblur-disk-color-v"):
        Restorer(Work("deblur", level="disk"))


def test_a_package_that_fails_by_itself_is_not_called_none(photos, monkeypatch, capsys):
    def fail(*arguments, **options):
        raise ModuleNotFoundError("another package of this name was installed")

    monkeypatch.setattr(evaluate, "print_scores", fail)
    assert main(["evaluate", "deblur", "--data", str(photos)]) == 2
    assert capsys.readouterr().err == "rednet: another package of this name was installed\n"


def test_a_warning_is_a_line_of_ours(photos, monkeypatch, capsys):
    before = warnings.formatwarning
    tell = lambda *_, **__: print(warnings.formatwarning("Left out 2", UserWarning, "a.py", 1))  # noqa: E731
    monkeypatch.setattr(evaluate, "print_scores", tell)
    assert main(["evaluate", "deblur", "--data", str(photos)]) == 0
    assert capsys.readouterr().out == "rednet: Left out 2\n\n"
    assert warnings.formatwarning is before
