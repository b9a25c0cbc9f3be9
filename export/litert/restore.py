# SPDX-License-Identifier: MIT
"""Restores a picture with a TFLite file of keras_rednet: `python restore.py model.tflite photo.png restored.png`.

Needs ai-edge-litert, numpy and pillow, not Keras, TensorFlow or keras_rednet: copy it into a project of your own. Takes
pictures of 8 bits without transparency and turns them upright; EXIF data and colour profile are not kept.

A file of fixed size restores pictures of any size, in tiles that overlap by the network's reach; so the result is that
of the whole picture. (A smaller picture is reflected to fill the file's size, which shows at its border, a little. And
"dynamic" files take their 8-bit steps from each tile, which changes a few gray levels here and there.)
"""

import json
import os
import struct
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

# ITU-R BT.601, studio range, values in [0, 1]: rows are Y, Cb and Cr for R, G and B.
YCBCR = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
RGB = np.linalg.inv(YCBCR).astype(np.float32)
YCBCR = YCBCR.astype(np.float32)
OFFSET = np.array([16.0, 128.0, 128.0], np.float32) / 255
CONTRAST = YCBCR[0].sum()  # from black to white, of Y
# That keep what was restored, with the options that they need for it.
FORMATS = {
    "BMP": {},
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "PPM": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
}
BITS_PER_SAMPLE = 258  # a tag of TIFF
# What Pillow and LiteRT raise, beside OSError and ValueError, for files that are damaged.
DAMAGED = (EOFError, LookupError, RuntimeError, SyntaxError, TypeError, struct.error, zlib.error)
TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")  # modes of Pillow
TILE = 512  # pixels of each side, for files of any size


class Network:
    """A TFLite file of keras_rednet. Threads that share one wait for each other.

    Args:
        path: of the file.
        threads: processor threads.
    """

    def __init__(self, path, threads=2):
        self.metadata = read_metadata(path)
        self.interpreter = Interpreter(str(path), num_threads=threads)
        self.turn = threading.Lock()  # the interpreter has one place for its image

    def restore(self, image):
        """Restores a uint8 picture, [h, w] or [h, w, 1 or 3], and returns it as uint8 of the same shape."""
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,)):
            raise ValueError(
                "A picture must be uint8, [h, w] or [h, w, 1 or 3], RGB without alpha. "
                f"Received: {image.dtype}, shape {list(image.shape)}."
            )
        return self._in_tiles(self._restore_pixels, image.reshape(*image.shape[:2], -1)).reshape(image.shape)

    def restore_planes(self, image):
        """Restores float32 [h, w, c] in [0, 1], c as the network has it. Files of uint8 clip what is beyond."""
        return self._in_tiles(self._run, image)

    def _in_tiles(self, restore, image):
        """Returns what a function makes of [h, w, c] tile by tile, in the type of the image."""
        rows, columns = (self._spans(side, axis) for axis, side in enumerate(image.shape[:2]))
        bottom, right = (max(span[0].stop for span in spans) for spans in (rows, columns))
        from_row, from_column = _reflected(image.shape[0], bottom)[:, None], _reflected(image.shape[1], right)[None]
        restored = np.empty_like(image)
        for window_y, keep_y, target_y in rows:
            for window_x, keep_x, target_x in columns:
                window = image[from_row[window_y], from_column[:, window_x]]
                restored[target_y, target_x] = restore(window)[keep_y, keep_x]
        return restored

    def _restore_pixels(self, window):
        """Restores uint8 [h, w, 1 or 3]."""
        pixels, channels, count = window.astype(np.float32) / 255, self.metadata["channels"], window.shape[2]
        luminance = channels == 1 and self.metadata.get("color") == "luminance"
        if luminance and count == 1:
            restored = (self._run(OFFSET[0] + CONTRAST * pixels) - OFFSET[0]) / CONTRAST
        elif channels == count:
            restored = self._run(pixels)
        elif channels == 3:
            restored = self._run(np.repeat(pixels, 3, axis=2)).mean(axis=2, keepdims=True)
        elif luminance:
            ycbcr = pixels @ YCBCR.T + OFFSET
            for i in range(3 if self.metadata.get("task") == "deblock" else 1):  # JPEG spoils colours as well
                ycbcr[..., i : i + 1] = self._run(ycbcr[..., i : i + 1])
            restored = (ycbcr - OFFSET) @ RGB.T
        else:
            restored = np.concatenate([self._run(pixels[..., i : i + 1]) for i in range(count)], axis=2)
        return np.rint(255 * np.clip(restored, 0, 1)).astype(np.uint8)

    def _run(self, window):
        integers = self.metadata["type"] == "uint8"
        image = (np.rint(255 * np.clip(window, 0, 1)).astype(np.uint8) if integers else window)[None]
        with self.turn:
            restored = self.interpreter.get_signature_runner(self.metadata["signature"])(image=image)["restored"][0]
        return restored.astype(np.float32) / 255 if integers else restored

    def _spans(self, side, axis):
        """Cuts an axis: (window to run, part of it to keep, where that belongs), as slices."""
        multiple, halo, size = (self.metadata[key] for key in ("size_multiple", "halo", "size"))
        padded = -(-side // multiple) * multiple
        window = size[axis] if size else min(padded, TILE + 2 * halo)
        if window >= padded:
            return [(slice(0, window), slice(0, side), slice(0, side))]
        if window <= 2 * halo:
            raise ValueError(f"A file of this network needs more than {2 * halo} pixels a side. Received: {window}.")
        count = -(-(padded - 2 * halo) // (window - 2 * halo))
        starts = [round(i * (padded - window) / (count - 1) / multiple) * multiple for i in range(count)]
        cuts = [0, *(start + halo for start in starts[1:]), side]
        return [
            (slice(start, start + window), slice(begin - start, end - start), slice(begin, end))
            for start, begin, end in zip(starts, cuts, cuts[1:], strict=False)
        ]


def read_metadata(path):
    """Returns what a TFLite file of keras_rednet says of itself, a dict."""
    with open(path, "rb") as file:
        content = file.read()
    if content[4:8] == b"TFL3":
        try:
            model = schema.ModelT.InitFromPackedBuf(content, 0)
        except (struct.error, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is damaged: {error}") from None
        for entry in model.metadata or []:
            if entry.name == b"keras_rednet":
                return json.loads(bytes(model.buffers[entry.buffer].data))
    raise ValueError(f"{path} is no file of keras_rednet: it has no metadata of that name.")


def read_picture(path):
    """Returns a picture, the right way up, as uint8 [h, w] or [h, w, 3]."""
    with open(path, "rb") as file:  # given the path, Pillow maps TIFFs that lie on their side askew
        header = file.read(25)
        deep = header[1:4] == b"PNG" and header[24:] == b"\x10"  # of 16 bits Pillow would cut off 8
        file.seek(0)
        stored = Image.open(file, formats=tuple(FORMATS))  # for others, as EPS, Pillow starts programs
        if getattr(stored, "n_frames", 1) > 1 and stored.format != "MPO":  # a camera's, whose others are previews
            raise ValueError(f"{path}: an animation or a file of several pages; save the pictures one by one.")
        deep |= max(getattr(stored, "tag_v2", {}).get(BITS_PER_SAMPLE, (8,))) > 8
        picture = ImageOps.exif_transpose(stored)
    if deep or picture.mode[0] in "IF" or picture.mode in TRANSPARENT or "transparency" in picture.info:
        bits = "16 bits" if deep else f"mode {picture.mode} of Pillow"
        raise ValueError(f"{path}: must have 8 bits and no transparency. Received: {bits}.")
    return np.asarray(picture.convert("L" if picture.mode in ("1", "L") else "RGB"))


def format_of(path):
    """Returns the format that the name of a picture says, as Pillow calls it."""
    name = Image.registered_extensions().get(os.path.splitext(path)[1].lower())
    if name not in FORMATS:
        raise ValueError(f"{path}: the name must end as those of {', '.join(FORMATS)} files do, such as .png.")
    return name


def write_picture(pixels, path):
    """Writes uint8 [h, w] or [h, w, 3] to a file, in the format that its name says, or leaves the one that is there."""
    name = format_of(path)
    part = f"{path}.part"
    Path(part).touch(exist_ok=False)  # nothing that is there already
    try:
        Image.fromarray(pixels).save(part, format=name, **FORMATS[name])
        os.replace(part, path)
    except BaseException:
        os.remove(part)
        raise


def _reflected(side, padded):
    """Returns which rows or columns of an image fill a padded one: reflected again and again."""
    period = max(1, 2 * (side - 1))
    index = np.arange(padded) % period
    return np.minimum(index, period - index) if side > 1 else np.zeros(padded, int)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    model, source, target = sys.argv[1:]
    try:
        format_of(target)  # before the work
        if os.path.exists(target) and os.path.samefile(source, target):
            raise ValueError(f"{target} is the picture to restore: give the restored one another name.")
        write_picture(Network(model).restore(read_picture(source)), target)
    except (OSError, ValueError, Image.DecompressionBombError, *DAMAGED) as error:
        sys.exit(f"restore.py: {error}")


if __name__ == "__main__":
    main()
