"""Restores picture files: what `rednet` does for each of its PHOTOs, and recipes/batch.py for each of millions."""

import collections
import contextlib
import dataclasses
import errno
import functools
import itertools
import logging
import os
import shutil
import tempfile
import time
import unicodedata
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np

from keras_rednet import weights
from keras_rednet.model import BUILDERS, RED30, TASK_CHANNELS, REDNet
from keras_rednet.pictures import SAVE_OPTIONS, check_format, read_picture, write_picture
from keras_rednet.precision import POLICIES, computing_in, emulates_bfloat16
from keras_rednet.quiet import quiet_libraries
from keras_rednet.restoration import fill_hidden, pil_image, pil_pixels, restore, scaled, upscale

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # of a disk that takes no more: another try would end the same
LEAST_FREE = 2**20  # bytes on the disk, for the next picture to be worth its while
FAILURES = (ValueError, TypeError, OSError, MemoryError, RuntimeError, ImportError)  # of one picture; the rest go on
if keras.backend.backend() == "tensorflow":
    from tensorflow.errors import OpError

    FAILURES += (OpError,)  # memory that runs out, for instance
# (task, level) of damage that has a direction: in a turned picture it is another.
DIRECTED = {("deblur", "motion"): "Motion blur", ("inpaint", "text"): "Text"}
# Suffixes of pictures, and of cameras' raw files, that are not read: what a folder holds of them is told.
UNREAD = {".avif", ".gif", ".heic", ".heif", ".jp2", ".jxl", ".psd"}
UNREAD |= {".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".raw", ".rw2"}
# What a disk may ignore in names: what makes all else alike, and a letter with what changes it in that.
CASE, ACCENTS = "case", "how accents are written"
ALIKE = {CASE: lambda name: unicodedata.normalize("NFC", name), ACCENTS: str.casefold}
PROBES = {CASE: ("a", str.upper), ACCENTS: ("\xe9", lambda name: unicodedata.normalize("NFD", name))}
TONED = 2  # levels of 8 bits by which colours of a toned gray picture may leave their curve: rounding
STRIP = 64  # rows of which it is asked at a time
BY_COLOR = ("denoise", "deblock")  # tasks that have networks for gray and for colour
NEEDED = ("task", "level", "depth", "channels", "filters", "downsample_at")  # to build the network of a record
COLORS = {
    "super_resolution": "luminance",
    "deblock": "ycbcr",
}  # what a one-channel network restores of a colour picture


@dataclasses.dataclass(frozen=True)
class Work:
    """What is done to every picture.

    Args:
        task, level: as `RED30` takes them. Blind denoising and super-resolution take the networks for JPEGs where a
            lossy file held the picture, except in a JPEG of more than quality 90, which takes the blind ones: to
            denoise only if it is gray or stores colour at full resolution. In gray pictures R, G and B are equal, or of
            8 bits and at most 1 apart; toned ones are taken for gray to denoise, R, G and B each by itself.
        weights: the name of shipped weights, a run's .npz or a .tflite file; None is the fast RED30 of the task.
        engine: "keras", or "litert", see keras_rednet/litert.py.
        precision: in which Keras computes, "float32" or "bfloat16".
        scale, size: for super-resolution, how many times as wide and high, or (height, width) in pixels.
        tile, orientations: as `restore` takes them.
        overwrite: whether to replace pictures that are there already.
        resume: whether those are done.
    """

    task: str
    level: object = "blind"
    weights: str | None = None
    engine: str = "keras"
    precision: str = "float32"
    scale: float | None = None
    size: tuple[int, int] | None = None
    tile: object = "auto"
    orientations: int = 1
    overwrite: bool = False
    resume: bool = False


class ThereAlreadyError(ValueError):
    """A restored picture that has been there before."""


class Restorer:
    """Restores picture files, one after the other.

    Raises:
        ValueError: there are no such weights, or they are of another task; 8 orientations of what has a direction;
            bfloat16 of LiteRT.
        RuntimeError: weights that should come with the package are missing or damaged.
    """

    def __init__(self, work):
        if work.orientations > 1 and (work.task, work.level) in DIRECTED:
            raise ValueError(
                f"{DIRECTED[work.task, work.level]} has a direction, which turned pictures do not have: leave out "
                f"--orientations. Received: orientations={work.orientations}."
            )
        if work.precision not in POLICIES:
            raise ValueError(f"`precision` must be one of {tuple(POLICIES)}. Received: precision={work.precision!r}.")
        lite = work.engine == "litert" or str(work.weights).endswith(".tflite")
        if lite and work.precision != "float32":
            raise ValueError(f"LiteRT computes as its file says: leave out --precision. Received: {work.precision}.")
        with quiet_libraries():
            slow = work.precision == "bfloat16" and emulates_bfloat16()
        if slow:
            warnings.warn("this processor is no match for bfloat16: float32 is many times as fast", stacklevel=2)
        self.work = work
        self.networks = {}  # by channels and level, made when the first picture that needs it comes
        self.named = None
        if work.weights:
            with quiet_libraries(), computing_in(POLICIES[work.precision]):
                self.named = self._named()
        else:
            self._check_weights()
            if work.engine == "litert":
                from keras_rednet.litert import require_litert
                from keras_rednet.saved_model import require_tensorflow

                require_litert()
                require_tensorflow()
        warnings.filterwarnings("ignore", module="PIL")  # of what it reads all the same
        logging.getLogger("PIL").setLevel(logging.CRITICAL)  # what it cannot read, it also raises

    def restore_file(self, source, target):
        """Restores one picture file, or raises one of FAILURES."""
        write_picture(target, self._restored(self._read(source, target)))

    def restore_files(self, jobs, report):
        """Restores picture files, while a thread of its own reads the next one and another writes the last one.

        Args:
            jobs: list of (source, target) paths.
            report: called for each, in order, as report(source, target, seconds, None or one of FAILURES). With
                `Work.resume` nothing is wrong with one that somebody else has restored meanwhile.
        """

        def finish(job, restored, error, seconds):
            if error is None:
                try:
                    self._refuse_to_overwrite(job[1])  # where names ignore case, it may be the last one's
                    write_picture(job[1], restored)
                except FAILURES as failure:
                    error = failure
            report(*job, seconds, None if isinstance(error, ThereAlreadyError) and self.work.resume else error)

        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
            last = None
            for job, reading in _one_ahead(reader, lambda job: self._read(*job), jobs):
                start, restored, error = time.perf_counter(), None, None
                try:
                    restored = self._restored(reading.result())
                except FAILURES as failure:
                    error = failure
                if last:
                    last.result()  # never more than two restored pictures in memory
                last = writer.submit(finish, job, restored, error, time.perf_counter() - start)
            if last:
                last.result()

    def _read(self, source, target):
        if source.exists() and not source.is_file():
            raise ValueError(f"{source}: {'a folder that cannot be read' if source.is_dir() else 'not a file'}.")
        if target.is_file() and target.samefile(source) and not self.work.overwrite:
            raise ThereAlreadyError(f"{target} is the picture to restore: choose another --output, or add --overwrite.")
        self._refuse_to_overwrite(target)
        picture = read_picture(source)
        check_format(target, picture.image, self._size(picture.image))  # all of this before the work, not after it
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(target.parent, os.W_OK):
            raise PermissionError(f"{target.parent} cannot be written to: choose another folder.")
        disk = shutil.disk_usage(target.parent)
        if disk.total and disk.free < LEAST_FREE:  # some network disks do not tell
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target.parent))
        return picture

    def _refuse_to_overwrite(self, target):
        if target.is_file() and not self.work.overwrite:
            words = f"{target} is there already: add --overwrite to replace it, or --resume to leave it."
            raise ThereAlreadyError(words)

    def _restored(self, picture):
        image, work = picture.image, self.work
        gray = toned = False
        if work.task in BY_COLOR:
            pixels = pil_pixels(image) if hasattr(image, "mode") else image
            gray = _is_gray(pixels)
            toned = work.task == "denoise" and not gray and _is_toned(pixels)
        stored = picture.blocky if gray or toned or work.task == "super_resolution" else picture.blotchy
        network = self._network(1 if gray or toned else 3, stored) if self.named is None else self.named
        how = {"tile": work.tile, "orientations": work.orientations}
        if work.task == "super_resolution":
            restored = upscale(network, image, self._size(image), **how)
        elif gray and pixels.ndim == 3 and pixels.shape[2] > 2:  # stored as colour
            color = COLORS.get(work.task, "channels")
            plane = restore(network, fill_hidden(pixels)[..., :1], color=color, **how)  # one for all three
            restored = pixels.copy()
            np.copyto(restored[..., :3], plane, where=_seen(pixels))
            restored = pil_image(restored, image) if hasattr(image, "mode") else restored
        else:
            restored = restore(network, image, color=COLORS.get(work.task, "channels"), **how)
        return dataclasses.replace(picture, image=restored)

    def _size(self, image):
        """Returns (height, width) of what an image becomes."""
        size = image.shape[:2] if hasattr(image, "shape") else image.size[::-1]
        return self.work.size or scaled(size, self.work.scale or 1)

    def _check_weights(self):
        """Raises an error unless all weights are there that a picture may need: before any picture is opened."""
        for channels, level in {self._wanted(channels, stored) for channels in (1, 3) for stored in (False, True)}:
            with _not_the_picture():
                wanted = {"task": self.work.task, "level": level, "channels": channels}
                weights.check(weights.find(depth=30, filters=64, downsample_at=(1,), **wanted))

    def _wanted(self, channels, stored):
        """Returns (channels, level) of the network for a picture; `stored` tells if it takes one that knows JPEGs."""
        work, level = self.work, self.work.level
        channels = channels if work.task in BY_COLOR else TASK_CHANNELS[work.task]
        if stored and level == "blind" and work.task == "denoise":
            level = taken_level(work.task, channels, "jpeg")
        elif stored and work.task == "super_resolution" and taken_level(work.task, 3, "jpeg") == "jpeg":
            channels, level = 3, "jpeg"
        elif work.scale is not None:
            level = taken_level(work.task, channels, work.scale)
        return channels, level

    def _network(self, channels, stored):
        channels, level = wanted = self._wanted(channels, stored)
        if wanted not in self.networks:
            with quiet_libraries(), computing_in(POLICIES[self.work.precision]):
                with _not_the_picture():
                    model = RED30(self.work.task, level=level, channels=channels, downsample_at=(1,))
                self.networks[wanted] = self._on_engine(model)
        return self.networks[wanted]

    def _named(self):
        name = self.work.weights
        if name.endswith(".tflite"):
            from keras_rednet.litert import read_tflite

            network, trained = read_tflite(name)
        else:
            model, record = named_network(name)
            network, trained = self._on_engine(model), record["recipe"]
        task, level = trained.get("task"), trained.get("level")
        if task != self.work.task:
            raise ValueError(f"{name} is trained to {task}. Expected: {self.work.task}.")
        if task in ("deblur", "inpaint") and level not in (None, self.work.level):
            raise ValueError(f"{name} is trained to {task} {level}. Expected: {self.work.level}.")
        return network

    def _on_engine(self, model):
        if self.work.engine == "keras":
            return model
        from keras_rednet.litert import to_litert
        from keras_rednet.tflite import stands

        return to_litert(model, quantize="dynamic" if stands(self.work.task, "dynamic") else None)


@contextlib.contextmanager
def _not_the_picture():
    """Raises RuntimeError where weights are missing or damaged: another picture would end the same."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise RuntimeError(str(error)) from error


def _one_ahead(executor, function, items):
    """Yields (item, future of function(item)) for each item, when the next one has begun."""
    begun = collections.deque()
    for item in items:
        begun.append((item, executor.submit(function, item)))
        if len(begun) > 1:
            yield begun.popleft()
    yield from begun


def taken_level(task, channels, level):
    """Returns a level of a task if the fast RED30 of just that one is shipped, or "blind".

    Blind ones are taken, too, where they have the higher PSNR on the validation images that both were scored on.
    """
    wanted = {"depth": 30, "task": task, "filters": 64, "downsample_at": [1], "channels": channels}
    scores = {
        record["network"]["level"]: record["validation_psnr"]
        for record in weights.records().values()
        if wanted.items() <= record["network"].items()
    }
    if level not in scores:
        return "blind"
    common = scores[level].keys() & scores.get("blind", {}).keys()
    better = not common or sum(scores[level][key] for key in common) > sum(scores["blind"][key] for key in common)
    return level if better else "blind"


def named_network(name):
    """Returns (network, record) of shipped weights, by name, or of the weights.npz of a training run."""
    ours = name.endswith(".npz")
    try:
        record = weights.read_record(name) if ours else weights.record(name)
    except ValueError:
        if ours or not os.path.exists(name):
            raise
        raise ValueError(
            f"Weights must be named as `rednet weights` does, or be the weights.npz of a training run, or a .tflite "
            f"file to restore with. Received: {name}."
        ) from None
    recipe = record["recipe"]
    if missing := [key for key in NEEDED if key not in recipe]:
        raise ValueError(f"The record of {name} must say which network it is. Missing in its recipe: {missing}.")
    build = {key: recipe[key] for key in ("channels", "filters", "downsample_at")}
    if architecture := recipe.get("architecture"):
        network = REDNet(recipe["depth"], **build, **architecture)
        weights.load_file(network, name)
        return network, record
    if (depth := recipe["depth"]) not in BUILDERS:
        raise ValueError(
            f"The record of {name} must name a depth of {', '.join(map(str, BUILDERS))}, or the `architecture` of its "
            f"network in its recipe. Received: depth {depth}."
        )
    build |= {"level": recipe["level"], "weights": name if ours else "pretrained"}
    return BUILDERS[depth](recipe["task"], **build), record


def _is_gray(pixels):
    """Tells whether integers [h, w] or [h, w, c] are gray: R, G and B equal, or of 8 bits 1 apart, where they are seen.

    Gray pictures are often stored as RGB, of which lossy WebP moves G by that. Networks for colour know noise that is
    not equal in R, G and B, and take other noise for detail.
    """
    if pixels.ndim == 2 or pixels.shape[2] < 3:
        return True
    red, green, blue = np.moveaxis(pixels[..., :3], 2, 0)
    least, greatest = np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue)
    return not np.any((greatest - least > (pixels.dtype == np.uint8)) & _seen(pixels)[..., 0])


def _is_toned(pixels):
    """Tells whether integers [h, w, 3|4] are a toned gray picture, as sepia is: all its colours lie on one curve.

    Along that each of R, G and B rises, or falls.
    """
    found = np.zeros((3, 256, 256), bool)  # which levels of 8 bits of two colours came together
    for start in range(0, len(pixels), STRIP):
        strip = pixels[start : start + STRIP]
        levels = strip[_seen(strip)[..., 0]][:, :3] >> (8 if pixels.dtype == np.uint16 else 0)
        red, green, blue = levels.T
        for together, one, other in zip(found, (green, green, red), (red, blue, blue), strict=True):
            together[one, other] = True
        if not all(_is_curve(together) or _is_curve(together[::-1]) for together in found):
            return False
    return True


def _is_curve(together):
    """Tells whether what comes with a level is at least what came with lower ones, but for rounding."""
    together = together[together.any(axis=1)]
    least, greatest = together.argmax(axis=1), 255 - together[:, ::-1].argmax(axis=1)
    return np.all(np.maximum.accumulate(greatest)[:-1] <= least[1:] + TONED)


def _seen(pixels):
    """Returns where [h, w, 3|4] is not wholly transparent, [h, w, 1]."""
    return pixels[..., 3:] > 0 if pixels.shape[2] == 4 else np.ones((*pixels.shape[:2], 1), bool)


def jobs(photos, output):
    """Returns (source, target) paths; raises ValueError where two sources would become one target."""
    into_folder = output.endswith(("/", "\\")) or len(photos) > 1 or os.path.isdir(photos[0]) or os.path.isdir(output)
    folder, found = Path(output), []
    for photo in photos:
        if os.path.isdir(photo):  # which raises nothing where a folder above may not be entered
            found += [(path, folder / path.relative_to(photo)) for path in _pictures(photo, folder)]
        else:
            found.append((photo, folder / photo.name if into_folder else folder))
    if not found:
        raise ValueError(f"no pictures in {', '.join(map(str, photos))}.")
    unique = {}
    for source, target in found:  # a picture may be named twice, or beside its folder
        unique.setdefault((os.path.abspath(source), target), (source, target))
    found = list(unique.values())
    refuse_doubles(found)
    return found


def refuse_doubles(jobs):
    """Raises ValueError where two sources would become one target, or one file on a disk that takes names for alike."""
    sources, alike = {}, {}
    for source, target in jobs:
        if target in sources:
            raise ValueError(f"{sources[target]} and {source} would both become {target}: restore them separately.")
        sources[target] = source
        alike.setdefault(unicodedata.normalize("NFC", str(target)).casefold(), []).append(target)
    for one, other in itertools.chain.from_iterable(itertools.combinations(names, 2) for names in alike.values()):
        kinds = [kind for kind, change in ALIKE.items() if change(str(one)) != change(str(other))] or [ACCENTS]
        if all(_ignores(one.parent, kind) for kind in kinds):
            raise ValueError(
                f"{sources[one]} and {sources[other]} would both become {one} on a disk that ignores "
                f"{' and '.join(kinds)}: rename one, or choose another --output."
            )


def refuse_in_place(jobs, *, own=False):
    """Raises ValueError where a picture to restore would count as one that has been restored, or be replaced first.

    Args:
        jobs: list of (source, target) paths.
        own: whether a picture may become its own restored one.
    """
    folder = functools.cache(os.path.realpath)  # of millions of pictures there are few

    def real(path):
        return os.path.realpath(path) if os.path.islink(path) else os.path.join(folder(path.parent), path.name)

    sources = {real(source) for source, _ in jobs}
    for source, target in jobs:
        if real(target) in sources and not (own and real(target) == real(source)):
            raise ValueError(f"{target} is itself among the pictures to restore: choose another --output.")


@functools.cache
def _ignores(folder, kind):
    """Tells whether names that differ in something, a key of ALIKE, are one where a folder is, or will be made."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    try:
        letter, change = PROBES[kind]
        with tempfile.NamedTemporaryFile(prefix=weights.PART, suffix=f"-{letter}", dir=folder) as file:
            return os.path.exists(os.path.join(folder, change(os.path.basename(file.name))))
    except (OSError, UnicodeError):  # it may not be written to, which is told later
        return False


def _pictures(folder, output):
    """Returns the picture files below `folder`; those in an output folder inside it are left out.

    Folders that cannot be read are among them, so that reading names them.
    """
    unreadable = []
    walk = os.walk(folder, onerror=lambda error: unreadable.append(Path(error.filename)))
    files = [Path(parent) / name for parent, _, names in walk for name in names]
    pictures = [path for path in files if path.suffix.lower() in SAVE_OPTIONS and not weights.is_stray(path)]
    if left := collections.Counter(path.suffix.lower() for path in files if path.suffix.lower() in UNREAD):
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(left.items()))
        warnings.warn(f"Left out pictures of {folder}, in formats that are not read: {kinds}", stacklevel=2)
    found = unreadable + pictures
    top, inner = _real(folder), _real(output)
    inside = inner.is_relative_to(top) and inner != top
    return sorted(path for path in found if not (inside and _real(path).is_relative_to(inner)))


def _real(path):
    return Path(os.path.realpath(path))  # Path.resolve raises where a link leads to itself
