"""The photographs of the Berkeley Segmentation Data Set as a TensorFlow data set, from a copy of one's own.

    import tensorflow_datasets as tfds
    from keras_rednet import bsds500, dataset  # bsds500 makes the name known

    tfds.builder("bsds500").download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir="downloads")
    )
    images = dataset.from_tfds("bsds500")

`downloads` holds BSR_bsds500.tgz, or another tar or zip archive with "bsds500" in its name, or a folder with the
photographs in train/, val/ and test/ somewhere below it; other data sets may lie beside. Without `manual_dir` it is
~/tensorflow_datasets/downloads/manual. Nothing is downloaded. tensorflow-datasets comes with the extra `[train]`.
"""

import gzip
import io
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import tensorflow_datasets as tfds

FOLDERS = {"train": "train", "validation": "val", "test": "test"}
ARCHIVES = (".tgz", ".tar.gz", ".tar", ".zip")
DAMAGED = (EOFError, gzip.BadGzipFile, tarfile.TarError, zipfile.BadZipFile, zlib.error)


class Bsds500(tfds.core.GeneratorBasedBuilder):
    """BSDS500: 500 photographs of 481x321 or 321x481 pixels, RGB; 200 to train, 100 to validate, 200 to test.

    Features: `image`, uint8 [h, w, 3], as it is in the file, and `id`, the name of the file without its suffix, by
    which they are sorted. Martin et al., ICCV 2001, and Arbelaez et al., PAMI 2011; for research.
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
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/resources.html",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        photographs = _photographs(_source(_manual_folder(dl_manager)))
        return {split: self._generate_examples(photographs[folder]) for split, folder in FOLDERS.items()}

    def _generate_examples(self, photographs):
        for key, name in enumerate(sorted(photographs)):  # TFDS keeps the order of integers only
            yield key, {"image": photographs[name], "id": name}


def _manual_folder(dl_manager):
    try:
        return Path(dl_manager.manual_dir)
    except NotADirectoryError as error:
        raise ValueError(
            f"`manual_dir` must be the folder that holds BSR_bsds500.tgz. Received a file: {error.filename}."
        ) from error


def _source(folder):
    """Returns the archive of BSDS500 in a folder, or the folder itself if there is none."""
    files = sorted(path for path in folder.iterdir() if path.name.lower().endswith(ARCHIVES) and path.is_file())
    archives = [path for path in files if "bsds500" in path.name.lower()]
    if len(archives) > 1:
        raise ValueError(
            f"{folder} must hold one archive of BSDS500: take the others away. Received: "
            f"{', '.join(path.name for path in archives)}."
        )
    return archives[0] if archives else folder


def _photographs(source):
    """Returns {folder: {name: path or open file}} of the one place in `source` that has all three folders."""
    try:
        places = _places(source)
    except DAMAGED as error:
        message = f"{source} must be a whole tar or zip archive: download it again."
        raise ValueError(f"{message} Received: {' '.join(str(error).split())}") from error
    whole = {place: folders for place, folders in places.items() if len(folders) == len(FOLDERS)}
    if len(whole) > 1:
        raise ValueError(
            f"{source} must hold one copy of BSDS500: give the folder of one as `manual_dir`, or take the others away. "
            f"Received: {', '.join(sorted(map(str, whole)))}."
        )
    if not whole:
        raise ValueError(_missing(source, places))
    return whole.popitem()[1]


def _places(source):
    """Returns {place: {folder: {name: path or open file}}} of every place with some of the three folders."""
    places = {}
    for path, read in _files(source):
        if path.suffix.lower() == ".jpg" and path.parent.name in FOLDERS.values() and not path.name.startswith("."):
            folders = places.setdefault(path.parent.parent, {})
            folders.setdefault(path.parent.name, {})[path.stem] = read()
    return places


def _missing(source, places):
    place, folders = max(places.items(), key=lambda item: len(item[1]), default=(source, {}))
    lacking = ", ".join(f"{folder}/" for folder in FOLDERS.values() if folder not in folders)
    return (
        'BSDS500 must have photographs in train/, val/ and test/. Copy it anew; an archive needs "bsds500" in its name.'
        f" Received: {source if place == source else f'{source}, {place}'} without a .jpg in {lacking}."
    )


def _files(source):
    """Returns pairs of every file: its path, and a function that gives what TFDS reads, the path or an open file."""
    if source.is_dir():
        return ((path, lambda path=path: path) for path in _below(source))
    return _zip_members(source) if source.suffix.lower() == ".zip" else _tar_members(source)


def _below(folder, above=()):
    """Yields the files below a folder, those of linked folders too, which rglob leaves out."""
    above = (*above, folder.resolve())
    for path in folder.iterdir():
        if not path.is_dir():
            yield path
        elif path.resolve() not in above:  # a link to a folder above would never end
            yield from _below(path, above)


def _zip_members(source):
    with zipfile.ZipFile(source) as archive:
        for name in archive.namelist():
            yield PurePosixPath(name), lambda name=name: io.BytesIO(archive.read(name))


def _tar_members(source):
    with tarfile.open(source) as archive:
        for member in filter(tarfile.TarInfo.isfile, archive):
            yield PurePosixPath(member.name), lambda member=member: io.BytesIO(archive.extractfile(member).read())
