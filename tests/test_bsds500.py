import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_rednet import dataset

tfds = pytest.importorskip("tensorflow_datasets")
bsds500 = pytest.importorskip("keras_rednet.bsds500")

COUNTS = {"train": 3, "val": 2, "test": 1}


def photographs(folder):
    """Makes a BSDS500 of a few small pictures below a folder, and returns the folder."""
    random = np.random.default_rng(0)
    for place, count in COUNTS.items():
        (folder / place).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(random.integers(0, 256, (8, 12, 3), "uint8")).save(folder / place / f"{place}{10 - i}.jpg")
        (folder / place / "Thumbs.db").write_text("litter")
    return folder


def prepare(manual, folder):
    builder = tfds.builder("bsds500", data_dir=folder)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual))
    return builder


def as_folder(source, manual):
    shutil.copytree(source, manual / "bsds500")


def as_tgz(source, manual):
    with tarfile.open(manual / "BSR_bsds500.tgz", "w:gz") as archive:
        archive.add(source, "BSR/BSDS500/data/images")


def as_zip(source, manual):
    with zipfile.ZipFile(manual / "master.zip", "w") as archive:
        for path in source.rglob("*"):
            archive.write(path, f"BSDS500-master/BSDS500/data/images/{path.relative_to(source)}")


@pytest.mark.parametrize("pack", [as_folder, as_tgz, as_zip])
def test_prepares_from_a_copy(pack, tmp_path):
    source, manual = photographs(tmp_path / "source"), tmp_path / "manual"
    manual.mkdir()
    pack(source, manual)
    builder = prepare(manual, tmp_path / "data")
    counts = {name: split.num_examples for name, split in builder.info.splits.items()}
    assert counts == {"train": 3, "validation": 2, "test": 1}
    encoded = builder.as_dataset(split="validation", decoders={"image": tfds.decode.SkipDecoding()})
    pictures = {example["id"].numpy().decode(): example["image"].numpy() for example in encoded}
    assert pictures == {path.stem: path.read_bytes() for path in (source / "val").glob("*.jpg")}


def test_trains_from_it(tmp_path):
    prepare(photographs(tmp_path / "source"), tmp_path / "data")
    images = dataset.from_tfds("bsds500", data_dir=tmp_path / "data")
    epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
    options = {"color": "rgb", "patch_size": 8, "patches_per_image": 1, "batch_size": 3, "seed": 1}
    (batch,) = dataset.training_patches(images, lambda clean, seed: clean, epoch=epoch, **options)
    assert batch[1].shape == (3, 8, 8, 3)
    assert images.count == 3


def test_says_what_is_missing(tmp_path):
    source = photographs(tmp_path / "source")
    shutil.rmtree(source / "val")
    with pytest.raises(ValueError, match="must have photographs in train/, val/ and test/. Received: .* in val/"):
        prepare(source, tmp_path / "data")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    with pytest.raises(ValueError, match="without a .jpg in train/, val/, test/"):
        prepare(tmp_path / "empty", tmp_path / "data")
    with pytest.raises(AssertionError, match="Put BSR_bsds500.tgz, or a folder"):
        tfds.builder("bsds500", data_dir=tmp_path / "data").download_and_prepare()


def test_takes_one_archive(tmp_path):
    source = photographs(tmp_path / "source")
    as_tgz(source, tmp_path)
    as_zip(source, tmp_path)
    with pytest.raises(ValueError, match="must hold one archive of BSDS500. Received: BSR_bsds500.tgz, master.zip"):
        prepare(tmp_path, tmp_path / "data")


def test_the_real_one(test_images):
    found = bsds500._photographs(test_images / "bsds500")
    assert {place: len(names) for place, names in found.items()} == {"train": 200, "val": 100, "test": 200}


class TestBuilder(tfds.testing.DatasetBuilderTestCase):
    """What TensorFlow Datasets asks of every builder."""

    DATASET_CLASS = bsds500.Bsds500
    SPLITS = {"train": 3, "validation": 2, "test": 1}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.dummy_data = photographs(Path(folder.name))
