"""The photographs of the Berkeley Segmentation Data Set as a TensorFlow data set, from a copy of one's own.

    import tensorflow_datasets as tfds
    from keras_rednet import bsds500, dataset  # bsds500 makes the name known

    tfds.builder("bsds500").download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir="downloads")
    )
    images = dataset.from_tfds("bsds500")

`downloads` holds BSR_bsds500.tgz or a zip of it, or a folder with the photographs in train/, val/ and test/ somewhere
below it. Nothing is downloaded. tensorflow-datasets comes with the extra `[train]`.
"""

import functools
import io
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import tensorflow_datasets as tfds

FOLDERS = {"train": "train", "validation": "val", "test": "test"}
ARCHIVES = (".tgz", ".tar.gz", ".tar", ".zip")


class Bsds500(tfds.core.GeneratorBasedBuilder):
    """BSDS500: 500 photographs of 481x321 or 321x481 pixels, RGB; 200 to train, 100 to validate, 200 to test.

    Features: `image`, uint8 [h, w, 3], and `id`, the name of the file without its suffix. Martin et al., ICCV 2001, and
    Arbelaez et al., PAMI 2011; for research.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put BSR_bsds500.tgz, or a folder with train/, val/ and test/ of its photographs, into `manual_dir`."
    )

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "id": tfds.features.Text(),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            homepage="https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/resources.html",
        )

    def _split_generators(self, dl_manager):
        source = _source(Path(dl_manager.manual_dir))
        photographs = _photographs(source)
        missing = [f"{folder}/" for folder in FOLDERS.values() if not photographs[folder]]
        if missing:
            raise ValueError(
                f"BSDS500 must have photographs in train/, val/ and test/. Received: {source} without a .jpg in "
                f"{', '.join(missing)}."
            )
        return {split: self._generate_examples(photographs[folder]) for split, folder in FOLDERS.items()}

    def _generate_examples(self, photographs):
        for name in sorted(photographs):
            yield name, {"image": io.BytesIO(photographs[name]), "id": name}


def _source(folder):
    """Returns the archive in a folder, or the folder itself if there is none."""
    archives = sorted(path for path in folder.glob("*") if path.name.endswith(ARCHIVES) and path.is_file())
    if len(archives) > 1:
        raise ValueError(f"{folder} must hold one archive of BSDS500. Received: {', '.join(p.name for p in archives)}.")
    return archives[0] if archives else folder


def _photographs(source):
    """Returns {folder: {name: encoded photograph}} of a folder, a tar or a zip archive."""
    found = {folder: {} for folder in FOLDERS.values()}
    for path, read in _files(source):
        if path.suffix.lower() == ".jpg" and path.parent.name in found and not path.name.startswith("."):
            found[path.parent.name][path.stem] = read()
    return found


def _files(source):
    """Yields (path, function that reads it) of every file."""
    if source.is_dir():
        yield from ((path, path.read_bytes) for path in source.rglob("*") if path.is_file())
    elif source.suffix == ".zip":
        with zipfile.ZipFile(source) as archive:
            for name in archive.namelist():
                yield PurePosixPath(name), functools.partial(archive.read, name)
    else:
        with tarfile.open(source) as archive:
            for member in archive:
                if member.isfile():
                    yield PurePosixPath(member.name), lambda member=member: archive.extractfile(member).read()
