import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from keras_rednet import bsds500, dataset

COUNTS = {"train": 6, "val": 2, "test": 1}


def photographs(folder):
    """Makes a BSDS500 of a few small pictures below a folder, and returns the folder."""
    random = np.random.default_rng(0)
    for place, count in COUNTS.items():
        (folder / place).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(random.integers(0, 256, (8, 12, 3), "uint8")).save(folder / place / f"{place}{10 - i}.jpg")
        (folder / place / "Thumbs.db").write_text("litter")
        (folder / place / "._1.jpg").write_text("litter")
    return folder


def prepare(manual, folder):
    builder = tfds.builder("bsds500", data_dir=folder)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual))
    return builder


def as_folder(source, manual):
    shutil.copytree(source, manual / "bsds500")


def as_link(source, manual):
    (manual / "bsds500").symlink_to(source)
    (source / "above").symlink_to(manual)


def as_tgz(source, manual):
    with tarfile.open(manual / "BSR_bsds500.tgz", "w:gz") as archive:
        archive.add(source, "BSR/BSDS500/data/images")


def as_zip(source, manual):
    with zipfile.ZipFile(manual / "BSDS500-master.zip", "w") as archive:
        for path in source.rglob("*"):
            archive.write(path, f"BSDS500-master/BSDS500/data/images/{path.relative_to(source)}")


def examples(builder, split):
    """Returns the (id, encoded photograph) pairs of a split, in its order."""
    encoded = builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()})
    return [(example["id"].numpy().decode(), example["image"].numpy()) for example in encoded]


@pytest.fixture
def manual(tmp_path):
    folder = tmp_path / "manual"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("pack", [as_folder, as_link, as_tgz, as_zip])
def test_prepares_from_a_copy(pack, manual, tmp_path):
    source = photographs(tmp_path / "source")
    pack(source, manual)
    builder = prepare(manual, tmp_path / "data")
    counts = {name: split.num_examples for name, split in builder.info.splits.items()}
    assert counts == {"train": 6, "validation": 2, "test": 1}
    for split, folder in {"train": "train", "validation": "val", "test": "test"}.items():
        files = sorted((source / folder).glob("[!.]*.jpg"))
        assert examples(builder, split) == [(path.stem, path.read_bytes()) for path in files]
    assert builder.info.description.startswith("BSDS500: 500 photographs")


def test_leaves_other_data_sets_alone(manual, tmp_path):
    source = photographs(tmp_path / "source")
    as_folder(source, manual)
    shutil.copytree(source / "val", manual / "other" / "test")
    with tarfile.open(manual / "other.tar", "w") as archive:
        archive.add(source / "val", "val")
    builder = prepare(manual, tmp_path / "data")
    assert [name for name, _ in examples(builder, "test")] == ["test10"]


def test_trains_from_it(tmp_path):
    prepare(photographs(tmp_path / "source"), tmp_path / "data")
    images = dataset.from_tfds("bsds500", data_dir=tmp_path / "data")
    epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
    options = {"color": "rgb", "patch_size": 8, "patches_per_image": 1, "batch_size": 6, "seed": 1}
    (batch,) = dataset.training_patches(images, lambda clean, seed: clean, epoch=epoch, **options)
    assert batch[1].shape == (6, 8, 8, 3)
    assert images.count == 6


def test_leaves_out_what_a_test_uses(tmp_path):
    source = photographs(tmp_path / "source")
    prepare(source, tmp_path / "data")
    names = sorted(path.stem for path in (source / "train").glob("train*.jpg"))
    images = dataset.from_tfds("bsds500", data_dir=tmp_path / "data", exclude_ids=(names[1], "302003"))
    contents = [record.numpy() for record in images.records]
    assert contents == [(source / "train" / f"{name}.jpg").read_bytes() for name in names if name != names[1]]
    assert images.count == len(names) - 1


def test_says_what_is_missing(tmp_path):
    source = photographs(tmp_path / "source")
    shutil.rmtree(source / "val")
    with pytest.raises(
        ValueError, match=r"must have photographs in train/, val/ and test/\. Copy it anew.* Received: .* in val/\."
    ):
        prepare(source, tmp_path / "data")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    with pytest.raises(ValueError, match="without a .jpg in train/, val/, test/"):
        prepare(tmp_path / "empty", tmp_path / "data")
    with pytest.raises(AssertionError, match="Put BSR_bsds500.tgz, or a folder"):
        tfds.builder("bsds500", data_dir=tmp_path / "data").download_and_prepare()


def test_takes_one_copy(manual, tmp_path):
    source = photographs(tmp_path / "source")
    as_tgz(source, manual)
    with pytest.raises(ValueError, match="must be the folder that holds BSR_bsds500.tgz. Received a file: .*tgz"):
        prepare(manual / "BSR_bsds500.tgz", tmp_path / "data")
    as_zip(source, manual)
    with pytest.raises(ValueError, match="one archive.*Received: BSDS500-master.zip, BSR_bsds500.tgz"):
        prepare(manual, tmp_path / "data")
    shutil.copytree(source, tmp_path / "two" / "a")
    shutil.copytree(source, tmp_path / "two" / "b")
    with pytest.raises(ValueError, match="must hold one copy of BSDS500: give .* Received: .*a, .*b"):
        prepare(tmp_path / "two", tmp_path / "data")


@pytest.mark.parametrize("pack", [as_tgz, as_zip])
def test_names_a_damaged_archive(pack, manual, tmp_path):
    pack(photographs(tmp_path / "source"), manual)
    (archive,) = manual.iterdir()
    for damaged in (archive.read_bytes()[:-900], b"<html>404</html>"):
        archive.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{archive.name} must be a whole tar or zip archive: download it again"):
            prepare(manual, tmp_path / "data")


def test_the_real_one(test_images, tmp_path):
    builder = prepare(test_images / "bsds500", tmp_path)
    counts = {name: split.num_examples for name, split in builder.info.splits.items()}
    assert counts == {"train": 200, "validation": 100, "test": 200}
    names = [name for name, _ in examples(builder, "validation")]
    assert names == sorted(names)
    assert names[0] == "101085"


class TestBuilder(tfds.testing.DatasetBuilderTestCase):
    """What TensorFlow Datasets asks of every builder."""

    DATASET_CLASS = bsds500.Bsds500
    SPLITS = {"train": 6, "validation": 2, "test": 1}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.dummy_data = photographs(Path(folder.name))
