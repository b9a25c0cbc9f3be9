"""From clean images to corrupted training patches: the one tf.data pipeline of the package (Sec. 3.4 of the paper).

Images are float32, [h, w, c], clean ones in [0, 1]; on the way they stay uint8 until a patch is corrupted. Everything
random follows from a seed and the epoch number, so a run that resumes at an epoch sees the same patches as one that
was never interrupted, on any number of workers.
"""

import dataclasses
import functools
import io
import math
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from keras_rednet import color as colors
from keras_rednet import geometry
from keras_rednet.exif import DAMAGED, FORMATS
from keras_rednet.weights import is_stray

SUFFIXES = (".bmp", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
BICUBIC = Image.Resampling.BICUBIC
GRAIN_REACH = 3  # pixels, of the filter that makes grain soft
MIXED_IMAGES = 64  # at most, whose patches are interleaved, so that a batch shows many
SHARED = 8  # a divisor of how many they are: so many processes can share them evenly
ENOUGH = 0.75  # of them, in an epoch's last group of images
LARGEST = 10_000_000  # pixels of such an image; of a larger one a part is taken, or together they fill the memory


@dataclasses.dataclass(frozen=True)
class Images:
    """Clean images that are read when they are needed.

    Args:
        name: what they are, for the record of a training run.
        records: tf.data.Dataset of string scalars, the encoded files or their paths, always in the same order.
        count: how many there are.
        shuffle_buffer: records shuffled at a time; `count` where they are only paths.
    """

    name: str
    records: tf.data.Dataset
    count: int
    shuffle_buffer: int


def list_images(folder):
    """Returns the image files in `folder` and below it, sorted by name.

    Raises:
        ValueError: there is no such folder, or no image in it.
    """
    folder = Path(folder)
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file() and not is_stray(p))
    if not paths:
        raise ValueError(f"`folder` must hold images ({', '.join(SUFFIXES)}). Received: folder={str(folder)!r}.")
    return paths


def from_files(paths):
    """Returns the images of a list of files, for instance of `list_images(folder)`.

    Raises:
        TypeError: a path that is in no list.
        ValueError: the list is empty.
    """
    if isinstance(paths, str | bytes | os.PathLike):
        raise TypeError(f"`paths` must be a list of files, such as list_images(folder). Received: paths={paths!r}.")
    paths = [os.fsencode(path) for path in paths]  # of any encoding
    if not paths:
        raise ValueError("`paths` must name at least one image. Received: an empty list.")
    name = f"{len(paths)} files"
    return Images(name, tf.data.Dataset.from_tensor_slices(paths), len(paths), shuffle_buffer=len(paths))


def usable(paths, *, patch_size):
    """Returns those of `paths` that decode and are large enough to cut a patch from; a warning names the others.

    Args:
        paths: image files.
        patch_size: side of a patch, in pixels.

    Raises:
        ValueError: none is left.
    """
    left, skipped = [], []
    with ThreadPoolExecutor() as pool:  # Pillow decodes many at a time
        answers = pool.map(lambda path: _decoded(path, os.path.exists(path) and os.path.getmtime(path)), paths)
    for path, (problem, (height, width)) in zip(paths, answers, strict=True):
        if not problem and min(height, width) < patch_size:
            problem = f"{height}x{width} pixels"
        if problem:
            skipped.append(f"{path} ({problem})")
        else:
            left.append(path)
    if skipped:
        size = f"{patch_size}x{patch_size} pixels"
        message = f"Left out {len(skipped)} files that are no images of {size} or more: {'; '.join(skipped)}"
        warnings.warn(message, stacklevel=2)
    if not left:
        raise ValueError(
            f"`paths` must name at least one image of {patch_size}x{patch_size} pixels or more. Received: {len(paths)} "
            f"files, none of them usable{': ' + skipped[0] if skipped else ''}."
        )
    return left


@functools.cache  # to decode all images takes long, and `train.split` has done so
def _decoded(path, changed):
    """Returns (what is wrong with an image file or an empty text, (height, width)); `changed` is its time."""
    try:
        return "", read_image(path).shape[:2]
    except (*DAMAGED, Image.DecompressionBombError) as error:
        return " ".join(str(error).split()) or type(error).__name__, (0, 0)


def from_tfds(name, split="train", *, data_dir=None, feature="image", download=False, exclude_ids=()):
    """Returns the images of a TensorFlow Datasets data set, for instance `from_tfds("div2k", feature="hr")`.

    "bsds500" is our own, see keras_rednet/bsds500.py.

    Args:
        name: the name of the data set, as `tfds.load` takes it.
        split: the split, as `tfds.load` takes it.
        data_dir: the folder of prepared data sets; None is the TFDS default.
        feature: the image feature of the clean image.
        download: True lets TFDS use the network; otherwise the data set must have been prepared.
        exclude_ids: images whose feature `id` is one of these are left out, for instance because a test uses them.

    Returns:
        Images, of encoded files.

    Raises:
        What TFDS raises: an unknown name or split, or a data set that has not been prepared.
    """
    import tensorflow_datasets as tfds  # optional: the package works without it

    if name.split("/")[0].split(":")[0] == "bsds500":
        import keras_rednet.bsds500  # noqa: F401 makes the name known

    builder = tfds.builder(name, data_dir=data_dir)
    if download:
        builder.download_and_prepare()
    encoded = builder.as_dataset(split=split, decoders={feature: tfds.decode.SkipDecoding()}, shuffle_files=False)
    count = builder.info.splits[split].num_examples
    if exclude_ids:
        encoded = encoded.filter(lambda example: tf.reduce_all(example["id"] != tf.constant(exclude_ids)))
        count = sum(1 for _ in encoded)
    records = encoded.map(lambda example: example[feature])
    return Images(f"{builder.info.full_name} {split} {feature}", records, count, shuffle_buffer=256)


def read_image(file, *, color="rgb"):
    """Decodes an image file.

    Args:
        file: a path, or the bytes of an encoded image.
        color: "gray" (Pillow's 'L'), "rgb", or "luminance": Y of `rgb_to_ycbcr`, rounded; a gray file stays as it is,
            as in the literature's super-resolution (bridge in Set14).

    Returns:
        uint8 [h, w, c], c = 1 or 3; 16-bit gray is scaled to 8 bits.

    Raises:
        ValueError: an unknown colour, or an image of floating-point values or of more than 16 bits.
        OSError: not an image. Of damaged ones Pillow raises any of `exif.DAMAGED`.
    """
    colors.check_color(color)
    # Not by its path, of which Pillow maps sideways TIFFs askew.
    with (
        io.BytesIO(file) if isinstance(file, bytes) else Path(file).open("rb") as raw,
        Image.open(raw, formats=FORMATS) as image,
    ):
        if image.mode == "F":
            raise ValueError("an image of floating-point values, whose range is not known; save it with 8 or 16 bits")
        if image.mode.startswith("I"):  # 16-bit gray: Pillow's own conversion would clip it at 255
            values = np.asarray(image)
            if values.min() < 0 or values.max() > 65535:
                raise ValueError(f"gray values from {values.min()} to {values.max()}, not of 16 bits")
            values = np.rint(values / 257).astype(np.uint8)
            image = Image.fromarray(255 - values if colors.inverts_16_bits(image) else values)
        if image.mode == "LAB":  # which Pillow converts to nothing else
            image = image.convert("RGB")
        gray = color == "gray" or (color == "luminance" and image.mode in ("1", "L", "LA"))
        pixels = np.asarray(image.convert("L" if gray else "RGB"))
    if gray:
        return pixels[..., None]
    return np.rint(255 * colors.luminance(pixels / 255.0)).astype(np.uint8) if color == "luminance" else pixels


def middle(image, side):
    """Returns the middle `side` x `side` pixels of an image [h, w, c], fewer where it is smaller.

    Example:
        >>> middle(np.arange(5).reshape(1, 5, 1), side=3)[0, :, 0].tolist()
        [1, 2, 3]
    """
    top, left = (max(0, length - side) // 2 for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def keep_tensorflow_off_gpus():
    """Leaves the GPUs to JAX or PyTorch, where Keras runs on one of them; call it before any TensorFlow operation."""
    if keras.backend.backend() != "tensorflow":
        tf.config.set_visible_devices([], "GPU")


def training_patches(
    images,
    corruption,
    *,
    color,
    patch_size,
    patches_per_image,
    batch_size,
    epoch=None,
    seed=0,
    scale_range=(1.0, 1.0),
    contrast_range=(1.0, 1.0),
    grain_range=(0.0, 0.0),
    shard=(0, 1),
):
    """Yields one epoch of (corrupted, clean) batches: random crops, one of eight orientations each, then corrupted.

    Where Keras runs on JAX or PyTorch on a GPU, call `keep_tensorflow_off_gpus` before anything else of TensorFlow.

    Args:
        images: `Images`, from `from_files` or `from_tfds`.
        corruption: called as corruption(clean, seed), see keras_rednet.corruptions.
        color: "gray", "luminance" or "rgb".
        patch_size: side of a patch, in pixels; no image may be smaller.
        patches_per_image: patches cut from each image in an epoch, each time it is decoded.
        batch_size: patches per batch; the last, incomplete batch is dropped.
        epoch: tf.Variable, int64 scalar: the epoch number, set before the epoch begins, so that a run can resume (see
            recipes/train.py). None counts how often the patches were iterated over, as `model.fit` does each epoch.
        seed: integer.
        scale_range: pair 0 < low <= high <= 16: each time it is decoded, an image is resized by a factor drawn from it,
            evenly in its logarithm, bicubic, but not below the size of a patch; of one that would have more than
            `LARGEST` pixels then, a part is taken, anywhere in it. Smaller copies show detail that the photograph has
            only far off; enlarged ones are as soft as the pixels of large photographs are.
        contrast_range: pair 0 < low <= high <= 16: the contrast of each patch, about its mean, is multiplied by a
            factor drawn from it, evenly in its logarithm; then the patch is clipped and rounded to 8 bits. Letters on a
            screen have more contrast than photographs have.
        grain_range: pair 0 <= low <= high <= 16: film grain or a sensor's noise is added to each clean patch, which
            then counts as clean: of a standard deviation drawn evenly from it, in 8-bit units, and as soft as a
            Gaussian of 0 to 1 pixels makes it. Enlarged photographs have lost the grain that other blurred
            backgrounds have.
        shard: pair (i, n): of every batch the part of process i of n, which decodes only its own images. Together the
            parts are the batch of a single process, where n divides the number of images and `SHARED`; every process
            gets as many batches as the others.

    Returns:
        tf.data.Dataset of float32 pairs [batch_size / n, patch_size, patch_size, c].

    Raises:
        ValueError: an unknown colour, a bad range, or a batch that n does not divide. While it runs:
            tf.errors.InvalidArgumentError for an image that is too small.
    """
    colors.check_color(color)
    _check_range("scale_range", scale_range)
    _check_range("contrast_range", contrast_range)
    _check_range("grain_range", grain_range, zero=True)
    process, processes = shard
    if batch_size % processes:
        raise ValueError(
            f"`batch_size` must be a multiple of the number of processes. Received: batch_size={batch_size}, "
            f"{processes} processes."
        )
    counter = tf.Variable(-1, dtype=tf.int64, trainable=False) if epoch is None else None
    channels = colors.CHANNELS[color]
    per_process = images.count // processes

    def decode(file, factor, seed):
        image = _part(read_image(_path_or_bytes(file), color=color), float(factor), patch_size, seed)
        return _resized(image, float(factor), patch_size)

    def read(record, image_seed):
        factor = _factor(tf.random.fold_in(image_seed, -1), scale_range)
        image = tf.numpy_function(decode, [record, factor, image_seed], tf.uint8)
        image = tf.ensure_shape(image, [None, None, channels])
        fits = tf.reduce_min(tf.shape(image)[:2]) >= patch_size
        name = tf.where(tf.strings.length(record) < 1000, record, "An image of the data set")  # a path, or a file
        message = tf.strings.join([name, f" is smaller than the patches of {patch_size}x{patch_size} pixels."])
        with tf.control_dependencies([tf.debugging.Assert(fits, [message])]):
            return tf.identity(image)

    def epoch_of_records(_):
        tf.random.set_seed(1)  # of this graph only: `shuffle` mixes it in, and fails where the global one is 0
        number = epoch.read_value() if counter is None else counter.assign_add(1)
        epoch_seed = tf.random.fold_in(tf.constant([seed, 0], tf.int32), tf.cast(number, tf.int32))
        order_seed = tf.cast(tf.random.fold_in(epoch_seed, -1)[0], tf.int64)  # [1] is always -1
        order = images.records.shuffle(images.shuffle_buffer, seed=order_seed)
        order = order.enumerate().take(per_process * processes).shard(processes, process)
        return order.map(lambda i, record: (record, tf.random.fold_in(epoch_seed, tf.cast(i, tf.int32))))

    def patches(image, image_seed):
        numbers = tf.data.Dataset.range(patches_per_image, output_type=tf.int32)
        return numbers.map(lambda n: (image, tf.random.fold_in(image_seed, n)))

    def cut(image, patch_seed):
        crop_seed, orientation_seed, corruption_seed = tf.unstack(tf.random.split(patch_seed, 3))
        patch = tf.image.stateless_random_crop(image, [patch_size, patch_size, channels], crop_seed)
        patch = _with_contrast(patch, contrast_range, tf.random.fold_in(patch_seed, 3))
        patch = _with_grain(patch, grain_range, tf.random.fold_in(patch_seed, 4))
        clean = tf.cast(_orient_randomly(patch, orientation_seed), tf.float32) / 255.0
        return corruption(clean, corruption_seed), clean

    pairs = (
        tf.data.Dataset.range(1)
        .flat_map(epoch_of_records)
        .map(lambda record, image_seed: (read(record, image_seed), image_seed), num_parallel_calls=tf.data.AUTOTUNE)
        .interleave(patches, cycle_length=_mixed(per_process * processes) // processes or 1, block_length=1)
        .apply(tf.data.experimental.assert_cardinality(per_process * patches_per_image))
        .map(cut, num_parallel_calls=tf.data.AUTOTUNE)
    )
    return pairs.batch(batch_size // processes, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def _mixed(count):
    """Returns how many images are interleaved: many, but so that the last steps of an epoch do not see a few only."""

    def merit(mixed):
        last = (count - 1) % mixed + 1  # images of the last group
        return min(last / mixed, ENOUGH), mixed

    if count <= MIXED_IMAGES // 2:
        return -(-count // SHARED) * SHARED
    return max(range(MIXED_IMAGES // 2, MIXED_IMAGES + 1, SHARED), key=merit)


def _check_range(name, pair, *, zero=False):
    numbers = np.iterable(pair) and [isinstance(x, int | float | np.number) for x in pair] == [True, True]
    if not (numbers and 0 <= pair[0] <= pair[1] <= 16 and (zero or pair[0])):
        limit = "<=" if zero else "<"
        raise ValueError(f"`{name}` must be a pair 0 {limit} low <= high <= 16. Received: {name}={pair!r}.")


def _factor(seed, pair):  # float32 scalar
    return tf.exp(tf.random.stateless_uniform([], seed, *np.log(pair).astype(np.float32)))


def _with_contrast(patch, contrast_range, seed):  # uint8
    if tuple(contrast_range) == (1, 1):
        return patch
    factor = _factor(seed, contrast_range)
    values = tf.cast(patch, tf.float32)
    mean = tf.reduce_mean(values)
    return tf.cast(tf.round(tf.clip_by_value(mean + factor * (values - mean), 0, 255)), tf.uint8)


def _with_grain(patch, grain_range, seed):  # uint8
    if tuple(grain_range) == (0, 0):
        return patch
    sigma_seed, softness_seed, grain_seed = tf.unstack(tf.random.split(seed, 3))
    sigma = tf.random.stateless_uniform([], sigma_seed, *map(float, grain_range))
    softness = tf.random.stateless_uniform([], softness_seed, 0.1, 1)
    size, _, channels = patch.shape
    taps = tf.exp(-(tf.range(-GRAIN_REACH, GRAIN_REACH + 1, dtype=tf.float32) ** 2) / (2 * softness**2))
    taps /= tf.norm(taps)  # what is added up keeps its standard deviation
    grain = tf.random.stateless_normal([channels, size + 2 * GRAIN_REACH, size + 2 * GRAIN_REACH, 1], grain_seed)
    grain = tf.nn.conv2d(grain, tf.reshape(taps, [-1, 1, 1, 1]), 1, "VALID")
    grain = tf.nn.conv2d(grain, tf.reshape(taps, [1, -1, 1, 1]), 1, "VALID")
    grainy = tf.cast(patch, tf.float32) + sigma * tf.transpose(grain[..., 0], [1, 2, 0])
    return tf.cast(tf.round(tf.clip_by_value(grainy, 0, 255)), tf.uint8)


def _part(image, factor, smallest, seed):
    """Cuts from anywhere in an image what has `LARGEST` pixels once it is resized."""
    ratio = factor * (image.shape[0] * image.shape[1] / LARGEST) ** 0.5
    if ratio <= 1:
        return image
    random = np.random.default_rng(np.asarray(seed).astype(np.uint32))
    for axis, side in enumerate(image.shape[:2]):
        length = min(side, max(int(side / ratio), math.ceil(smallest / factor)))
        start = random.integers(side - length + 1)
        image = image.take(range(start, start + length), axis)
    return image


def _resized(image, factor, smallest):  # uint8 [h, w, c]
    if factor == 1:
        return image
    height, width = (max(min(smallest, side), round(factor * side)) for side in image.shape[:2])
    resized = Image.fromarray(np.squeeze(image, -1) if image.shape[-1] == 1 else image).resize((width, height), BICUBIC)
    return np.asarray(resized).reshape(height, width, -1)


def _path_or_bytes(file):
    return file if len(file) > 4096 or b"\0" in file else os.fsdecode(file)  # no path is that long or holds a NUL


def _orient_randomly(patch, seed):  # [size, size, c]
    choices = [lambda k=k: geometry.orient(patch, k, tf.transpose) for k in range(geometry.ORIENTATIONS)]
    orientation = tf.random.stateless_uniform([], seed, 0, geometry.ORIENTATIONS, tf.int32)
    return tf.ensure_shape(tf.switch_case(orientation, choices), patch.shape)
