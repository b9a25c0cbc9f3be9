"""A trained RED-Net as a SavedModel that TF Serving, or anything that loads one, runs without Keras or this package.

It holds the deployment graph (fold.py) with three signatures. Sizes are handled inside; images are taken whole, not in
tiles, so memory grows with their size and their number: 256 bytes a pixel for each of the few feature maps that live
at a time, a quarter of that where the network is down-sampled at conv1.

    serving_default       image    float32 [n, h, w, c] in [0, 1] -> restored, the same shape, not clipped
    restore_uint8         image    uint8   [n, h, w, c]           -> restored, the same shape
    restore_image_bytes   image_bytes  string [n]                 -> restored_bytes, string [n]

`restore_image_bytes` takes encoded PNG or JPEG files of any sizes and kinds and gives PNG files: gray, RGB, alpha
(untouched) and 16 bits are kept; colour profiles, a transparent colour without alpha, and EXIF, the orientation too,
are not.
"""

import functools
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_rednet import color as colors
from keras_rednet.fold import fold
from keras_rednet.model import PadToMultiple, image_channels, size_multiple
from keras_rednet.precision import POLICIES
from keras_rednet.weights import part_of

PNG, JPEG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff"  # how files begin; other chunks would hide the size
SIZE, DEPTH = 16, 24  # where a PNG's width and bits per channel stand
FILLED = 8  # times that a picture is halved to fill what is hidden: from 2**8 pixels away, more than networks look
WARM_UP = (160, 240)  # pixels, at most, of the request that a server runs before the first real one


def export_saved_model(model, directory, *, color="channels", precision="float32", most_pixels=None, metadata=None):
    """Writes a RED-Net as a SavedModel with its serving signatures and a warm-up request for each.

    Args:
        model: a RED-Net of 1 or 3 channels, for instance `RED20("denoise", level="jpeg", channels=3,
            downsample_at=(1,))`.
        directory: a new folder; its name is the version, a whole number, as TF Serving wants: "models/denoise/1".
        color: how a one-channel network restores the colour images of `restore_image_bytes`: "channels", each of R, G
            and B; "luminance", the Y of BT.601 only (super-resolution); or "ycbcr", each of Y, Cb and Cr (deblocking).
        precision: in which it computes, whatever policy the model has: "float32", or "bfloat16", which is faster on
            processors that have it (AVX-512 BF16), many times as slow on others, and a little less exact.
        most_pixels: all signatures refuse larger pictures, with tf.errors.InvalidArgumentError, before they restore
            them; None takes all. A file of some kilobytes may hold more than a server has memory for.
        metadata: dict of more to write into `assets.extra/keras_rednet.json`: task, weights, licence and the like,
            under none of the names that are there: "restores", "channels", "precision" and "most_pixels".

    Raises:
        ValueError: the folder's name is no version, an unknown `color` or `precision`, a bad `most_pixels`, metadata
            that would replace what is there, or another number of channels.
        TypeError: metadata that JSON cannot hold; ValueError: it holds NaN or infinity.
        FileExistsError: the folder exists.
        RuntimeError: Keras runs on another backend than TensorFlow.
    """
    directory = Path(directory)
    if not directory.name.isdecimal():
        raise ValueError(
            "`directory` must end in the version, a whole number, such as models/denoise/1. "
            f"Received: directory={str(directory)!r}."
        )
    if directory.exists():
        raise FileExistsError(f"{directory} is there already: choose a new version or delete it first.")
    if color not in colors.PLANES:
        raise ValueError(f"`color` must be one of {colors.PLANES}. Received: color={color!r}.")
    if precision not in POLICIES:
        raise ValueError(f"`precision` must be one of {tuple(POLICIES)}. Received: precision={precision!r}.")
    if most_pixels is not None and not (isinstance(most_pixels, int | np.integer) and most_pixels >= 1):
        raise ValueError(
            f"`most_pixels` must be an integer of at least 1, or None. Received: most_pixels={most_pixels!r}."
        )
    most_pixels = most_pixels and int(most_pixels)  # JSON takes no NumPy numbers
    channels = image_channels(model)
    about = {"restores": color if channels == 1 else "channels", "channels": channels, "precision": precision}
    about = with_metadata("the SavedModel", about | {"most_pixels": most_pixels}, metadata)
    require_tensorflow()
    module = Servable(model, color, precision, most_pixels)
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = part_of(directory)  # a server looks at numbers only
    try:
        tf.saved_model.save(module, str(temporary), signatures=module.endpoints)
        extra = temporary / "assets.extra"
        extra.mkdir()
        _write_warm_up(extra / "tf_serving_warmup_requests", channels, most_pixels)
        (extra / "keras_rednet.json").write_text(json.dumps(about, indent=1) + "\n")
        temporary.rename(directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class Servable(tf.Module):
    """The deployment graph of a RED-Net, its weights, and the signatures as tf.functions."""

    def __init__(self, model, color, precision, most_pixels):
        super().__init__()
        self.channels, self.color, self.most_pixels = image_channels(model), color, most_pixels
        graph = fold(model, dtype=POLICIES[precision])
        self.weights = [variable.value for variable in graph.variables]
        self._run = functools.partial(graph, training=False)  # not the model itself, whose weights would be saved twice
        self._pad = PadToMultiple(size_multiple(model), dtype="float32")
        images = (None, None, None, self.channels)
        self.endpoints = {
            "serving_default": _signature(self._floats, images, tf.float32, "image"),
            "restore_uint8": _signature(self._bytes, images, tf.uint8, "image"),
            "restore_image_bytes": _signature(self._files, (None,), tf.string, "image_bytes"),
        }

    def _floats(self, image):
        return {"restored": self._whole(image)}

    def _bytes(self, image):
        return {"restored": _to_integers(self._whole(tf.cast(image, tf.float32) / 255), tf.uint8)}

    def _files(self, image_bytes):
        return {"restored_bytes": tf.map_fn(self._file, image_bytes, parallel_iterations=1)}

    def _whole(self, image):  # [n, h, w, c]
        shape = tf.shape(image)
        image = self._checked(image, shape[1:3])
        return self._run(self._pad(image))[:, : shape[1], : shape[2]]

    def _checked(self, tensor, size):
        """Returns `tensor` unless a picture of that size, integers (height, width), is too large."""
        if not self.most_pixels:
            return tensor
        fits = tf.reduce_prod(tf.cast(size, tf.int64)) <= self.most_pixels
        message = f"A picture must have at most {self.most_pixels} pixels. Received, height and width:"
        with tf.control_dependencies([tf.debugging.Assert(fits, [message, size])]):
            return tf.identity(tensor)

    def _file(self, data):
        """Restores an encoded image, string [], and encodes it."""
        start = tf.strings.substr(data + tf.constant(bytes(DEPTH + 1)), 0, DEPTH + 1)  # of a file too short as well
        png, jpeg = (tf.strings.substr(start, 0, len(begin)) == begin for begin in (PNG, JPEG))
        message = "`image_bytes` must be PNG or JPEG files. Received another, of this many bytes:"
        with tf.control_dependencies([tf.debugging.Assert(png | jpeg, [message, tf.strings.length(data)])]):
            data = tf.identity(data)  # TensorFlow would decode others, of a size that is not known before
        data = self._checked(data, _said_size(data, start, png))
        sixteen = png & (tf.strings.substr(start, DEPTH, 1) == b"\x10")

        def of_8_bits():
            return self._encoded(tf.cond(jpeg, lambda: _decoded_jpeg(data), lambda: tf.io.decode_png(data)), tf.uint8)

        return tf.cond(sixteen, lambda: self._encoded(tf.io.decode_png(data, 0, tf.uint16), tf.uint16), of_8_bits)

    def _encoded(self, pixels, dtype):
        """Restores [h, w, c] and encodes it."""
        channels = tf.shape(pixels)[2]
        colored = channels - tf.cast(channels % 2 == 0, tf.int32)  # without alpha
        before, alpha = pixels[..., :colored], pixels[..., colored:]
        shown = tf.reduce_all(alpha > 0, axis=2, keepdims=True)
        values = tf.cast(before, tf.float32) / dtype.max
        seen = tf.cond(tf.reduce_all(shown), lambda: values, lambda: _filled(values, tf.cast(shown, tf.float32)))
        restored = tf.where(shown, _to_integers(self._by_color(seen), dtype), before)
        return tf.io.encode_png(tf.concat([restored, alpha], axis=2))

    def _by_color(self, pixels):  # [h, w, 1 or 3]; as restoration.py does
        gray = tf.shape(pixels)[2] == 1
        if self.channels == 3:
            return tf.cond(gray, lambda: self._gray_by_rgb(pixels), lambda: self._rgb(pixels))
        if self.color == "channels":
            return self._planes(pixels)
        return tf.cond(gray, lambda: self._luminance(pixels), lambda: self._ycbcr(pixels))

    def _rgb(self, pixels):
        return self._whole(tf.ensure_shape(pixels, (None, None, 3))[None])[0]

    def _gray_by_rgb(self, pixels):
        return tf.reduce_mean(self._rgb(tf.repeat(pixels[..., :1], 3, axis=2)), axis=2, keepdims=True)

    def _planes(self, pixels):  # one after the other, in the memory of one
        planes = tf.transpose(pixels, (2, 0, 1))[:, None, ..., None]
        restored = tf.map_fn(self._whole, planes, parallel_iterations=1)
        return tf.transpose(restored[:, 0, ..., 0], (1, 2, 0))

    def _luminance(self, pixels):  # [h, w, 1]
        black, contrast = colors.OFFSET[0], colors.YCBCR[0].sum()
        return (self._planes(black + contrast * pixels) - black) / contrast

    def _ycbcr(self, pixels):
        count = 1 if self.color == "luminance" else 3
        to_ycbcr, to_rgb = (tf.constant(matrix.T, tf.float32) for matrix in (colors.YCBCR, np.linalg.inv(colors.YCBCR)))
        offset = tf.constant(colors.OFFSET, tf.float32)
        ycbcr = tf.ensure_shape(pixels, (None, None, 3)) @ to_ycbcr + offset
        ycbcr = tf.concat([self._planes(ycbcr[..., :count]), ycbcr[..., count:]], axis=2)
        return (ycbcr - offset) @ to_rgb


def _filled(values, shown):
    """Returns [h, w, c] with other colours where `shown` [h, w, 1] is 0; as restoration.py does, near what is shown."""
    levels = []
    for _ in range(FILLED):
        levels.append((values, shown))
        total, count = (tf.reduce_sum(_squares(x), axis=(1, 3)) for x in (values * shown, shown))
        values, shown = total / tf.maximum(count, 1), tf.minimum(count, 1)
    for finer, shown in reversed(levels):
        for axis in (0, 1):
            length = tf.shape(values)[axis]
            indices = tf.range(2 * length) // 2
            beside = tf.clip_by_value(indices + tf.tile([-1, 1], [length]), 0, length - 1)
            values = 0.75 * tf.gather(values, indices, axis=axis) + 0.25 * tf.gather(values, beside, axis=axis)
        values = tf.where(shown > 0, finer, values[: tf.shape(finer)[0], : tf.shape(finer)[1]])
    return values


def _squares(image):
    height, width, channels = tf.unstack(tf.shape(image))
    image = tf.pad(image, [[0, height % 2], [0, width % 2], [0, 0]])
    return tf.reshape(image, [(height + 1) // 2, 2, (width + 1) // 2, 2, channels])


def _signature(function, shape, dtype, name):
    return tf.function(function, input_signature=[tf.TensorSpec(shape, dtype, name)])


def with_metadata(what, described, metadata, later=()):
    """Returns what an export says of itself, and what is to be said beside it.

    Args:
        what: is exported, for errors.
        described: dict of what it says of itself.
        metadata: dict of more, or None; TypeError or ValueError where JSON cannot hold it, before the work.
        later: names of what it will say as well; ValueError where `metadata` has one of these or of `described`.
    """
    metadata = metadata or {}
    if both := (described.keys() | set(later)) & metadata.keys():
        words = f"`metadata` must not replace what {what} says of itself. Received: {', '.join(sorted(both))}."
        raise ValueError(words)
    json.dumps(metadata, allow_nan=False)
    return described | metadata


def require_tensorflow():
    """Raises a RuntimeError unless Keras runs on TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "Only TensorFlow writes SavedModel and TFLite: set KERAS_BACKEND=tensorflow; weights of every backend load "
            f"there. Received: {keras.backend.backend()}."
        )


def _said_size(data, start, png):
    """Returns the (height, width) that a PNG or JPEG file begins with, int32."""

    def of_png():
        return tf.io.decode_raw(tf.strings.substr(start, SIZE, 8), tf.int32, little_endian=False)[::-1]

    return tf.cond(png, of_png, lambda: tf.io.extract_jpeg_shape(data)[:2])


def _decoded_jpeg(data):
    """Decodes a JPEG as other programs do; by default TensorFlow takes an inexact transform, a gray level off."""
    return tf.io.decode_jpeg(data, channels=0, dct_method="INTEGER_ACCURATE")


def _to_integers(values, dtype):
    return tf.cast(tf.round(tf.clip_by_value(values, 0, 1) * dtype.max), dtype)


def _write_warm_up(path, channels, most_pixels):
    """Writes a request of each signature where TF Serving looks for them: TFRecords of PredictionLog messages."""
    most_pixels = most_pixels or np.prod(WARM_UP)  # a server with a request that is refused does not start
    width = min(WARM_UP[1], most_pixels)
    image = np.zeros((min(WARM_UP[0], most_pixels // width), width, channels), np.uint8)
    encoded = tf.io.encode_png(image).numpy()
    requests = {
        "serving_default": ("image", image[None].astype(np.float32) / 255),
        "restore_uint8": ("image", image[None]),
        "restore_image_bytes": ("image_bytes", np.array([encoded], object)),
    }
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, (argument, value) in requests.items():
            tensor = tf.make_tensor_proto(value).SerializeToString()
            model_spec = _field(3, name.encode())  # of tensorflow/serving's apis: ModelSpec.signature_name
            inputs = _field(1, argument.encode()) + _field(2, tensor)  # an entry of PredictRequest.inputs
            request = _field(1, model_spec) + _field(2, inputs)  # PredictRequest
            writer.write(_field(6, _field(1, request)))  # PredictionLog.predict_log.request


def _field(number, content):
    """Encodes a field of bytes of a protocol buffer, so that a few of them need no package of messages."""
    length, size = len(content), bytearray()
    while length > 127:
        size.append(length % 128 + 128)
        length //= 128
    return bytes([number * 8 + 2, *size, length]) + content
