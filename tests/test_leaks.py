import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keras_rednet
from keras_rednet import dataset, geometry
from recipes import leaks


@pytest.fixture(scope="module")
def cat():
    return leaks.read(Path(keras_rednet.__file__).parent / "samples" / "chelsea.png")


@pytest.fixture
def images(photos):
    """Six small photographs by name; none shows the centre of another."""
    return {path.stem: leaks.read(path) for path in dataset.list_images(photos)}


def edited_copy(image, orientation):
    """A crop of 70 % of the frame, off the centre, at 60 % of its size, in another orientation, darker and noisy."""
    width, height = (7 * length // 10 for length in image.size)
    crop = image.crop((image.width // 10, image.height // 5, image.width // 10 + width, image.height // 5 + height))
    pixels = np.asarray(crop.resize((6 * width // 10, 6 * height // 10), Image.Resampling.LANCZOS))
    pixels = 0.8 * geometry.orient(pixels[..., None], orientation)[..., 0]
    return Image.fromarray(pixels + np.random.default_rng(0).normal(0, 1, pixels.shape).astype(np.float32))


@pytest.mark.parametrize(("orientation", "back"), [(2, 2), (5, 6)], ids=["mirrored", "turned"])
def test_finds_an_edited_crop_on_either_side(cat, orientation, back):
    copy = edited_copy(cat, orientation)
    for training, test, scale, expected in ((cat, copy, 1 / 0.6, back), (copy, cat, 0.6, orientation)):
        (row,) = leaks.search({"training": training}, {"test": test})
        assert (row["training"], row["test"], row["verdict"]) == ("training", "test", "copy")
        assert row["score"] > 0.99
        assert row["scale"] == pytest.approx(scale, rel=0.005)
        assert row["orientation"] == expected


def test_tells_the_copies_from_all_other_pairs(images):
    names = ("photo0", "photo2", "photo4")
    rows = leaks.search({name: images[name] for name in names}, {name: edited_copy(images[name], 5) for name in names})
    assert sorted((row["training"], row["test"]) for row in rows if row["verdict"] == "copy") == [(n, n) for n in names]
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)


def test_finds_nothing_between_unrelated_images(images):
    others = {name: images[name] for name in ("photo2", "photo3", "photo4", "photo5")}
    assert leaks.search({"photo0": images["photo0"]}, others) == []


def test_writes_a_row_per_pair(cat, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(leaks, "RESULT", tmp_path / "leaks.csv")
    monkeypatch.setattr(leaks, "TRAINING", ("train",))
    monkeypatch.setattr(leaks, "TESTS", ("test",))
    for folder, image in (("train", cat), ("test", edited_copy(cat, 1))):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.asarray(image).clip(0, 255).astype(np.uint8)).save(tmp_path / folder / f"{folder}.png")
    leaks.main(["--data", str(tmp_path)])
    with (tmp_path / "leaks.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["training"], row["test"], row["verdict"]) == ("train/train.png", "test/test.png", "copy")
    assert (row["training_images"], row["test_images"]) == ("1", "1")
    assert "1 training and 1 test images" in capsys.readouterr().out
