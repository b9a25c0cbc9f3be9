"""Pictures of every kind that Pillow reads, and files that only seem to be pictures."""

import io
import struct
import zlib

import numpy as np
import tensorflow as tf
from PIL import Image, ImageSequence

from keras_rednet.pictures import ORIENTATION

SIDES = (22, 18)


def sound(size=SIDES):
    """Returns {file name: bytes} of small sound pictures: formats, modes, depths, orientations, profiles."""
    random = np.random.default_rng(0)
    smooth = np.add.outer(np.arange(size[1]), np.arange(size[0])) * 4 % 200 + random.integers(0, 40, size[::-1])
    gray = Image.fromarray(smooth.astype(np.uint8))
    color = Image.merge("RGB", (gray, gray.transpose(Image.Transpose.ROTATE_180), gray))
    alpha = color.copy()
    alpha.putalpha(gray)
    pictures = {
        "gray.png": gray,
        "rgb.png": color,
        "rgba.png": alpha,
        "la.png": alpha.convert("LA"),
        "one-bit.png": gray.convert("1"),
        "palette.png": color.quantize(16),
        "gray16.png": Image.fromarray(smooth.astype(np.uint16) * 200),
        "gray.jpg": gray,
        "rgb.jpg": color,
        "cmyk.jpg": color.convert("CMYK"),
        "gray.tif": gray,
        "rgb.tiff": color,
        "rgba.tif": alpha,
        "float.tif": Image.fromarray((smooth / 255).astype(np.float32)),
        "rgb.webp": color,
        "rgba.webp": alpha,
        "rgb.bmp": color,
        "gray.bmp": gray,
    }
    files = {name: _saved(image, name) for name, image in pictures.items()}
    files["transparent-palette.png"] = _saved(color.quantize(16), "x.png", transparency=0)
    files["profile.jpg"] = _saved(color, "x.jpg", icc_profile=b"a profile" * 20)
    files["profile.png"] = _saved(alpha, "x.png", icc_profile=b"a profile" * 20)
    files["progressive.jpg"] = _saved(color, "x.jpg", progressive=True)
    files["lzw.tif"] = _saved(color, "x.tif", compression="tiff_lzw")
    files["deflate.tif"] = _saved(color, "x.tif", compression="tiff_adobe_deflate")
    files["lossless.webp"] = _saved(alpha, "x.webp", lossless=True)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        files[f"upright{orientation}.jpg"] = _saved(color, "x.jpg", exif=exif.tobytes())
    deep = random.integers(0, 65536, (*size[::-1], 4)).astype(np.uint16)
    files["rgb16.png"] = tf.io.encode_png(deep[..., :3]).numpy()
    files["rgba16.png"] = tf.io.encode_png(deep).numpy()
    return files


def refused():
    """Returns {file name: (bytes, what the error must say)}."""
    whole = sound()
    frames = [Image.new("RGB", SIDES, color) for color in ("red", "blue")]
    pages = io.BytesIO()
    frames[0].save(pages, "TIFF", save_all=True, append_images=frames[1:])
    compression = struct.pack("<HHI", 259, 3, 1)  # a tag of a page; what follows is its value
    first, second, third = pages.getvalue().split(compression)
    unknown = compression.join([first, second, struct.pack("<H", 9999) + third[2:]])
    animation = io.BytesIO()
    frames[0].save(animation, "WEBP", save_all=True, append_images=frames[1:])
    assert len(list(ImageSequence.Iterator(Image.open(animation)))) == 2
    bomb = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    files = {
        "empty.png": (b"", "not a picture"),
        "zeros.jpg": (bytes(1000), "not a picture"),
        "text.png": (b"this is no picture", "not a picture"),
        "pages.tif": (pages.getvalue(), "several pages"),
        "unknown-page.tif": (unknown, "damaged"),
        "float255.tif": (_saved(Image.new("F", SIDES, 200), "x.tif"), "must lie in [0, 1], and are 200 to 200"),
        "moving.webp": (animation.getvalue(), "animation"),
        "bomb.png": (_png(bomb), "too large to be safe"),
        "la16.png": (_png(struct.pack(">IIBBBBB", 2, 2, 16, 4, 0, 0, 0), bytes(18)), ".png: 16-bit gray with transp"),
    }
    for name in ("rgb.png", "rgb.jpg", "rgb.tiff", "rgb.webp", "rgb.bmp", "rgb16.png"):
        files[f"half-{name}"] = whole[name][: len(whole[name]) // 2], "damaged"
    return files


def mutated(files, random):
    """Returns (file name, bytes) of one of `files`, {name: bytes}, that went through something bad.

    Args:
        random: numpy.random.Generator.
    """
    name = str(random.choice(sorted(files)))
    content = bytearray(files[name])
    for _ in range(random.integers(1, 4)):
        start = int(random.integers(0, max(1, len(content))))
        length = int(random.integers(1, 40))
        kind = random.integers(0, 6)
        if kind == 0:
            del content[start:]
        elif kind == 1 and content:
            for place in random.integers(0, len(content), length):
                content[place] ^= 1 << random.integers(0, 8)
        elif kind == 2:
            content[start : start + length] = random.bytes(length)
        elif kind == 3:
            del content[start : start + length]
        elif kind == 4:
            content[start:start] = content[max(0, start - length) : start]
        else:
            other = files[random.choice(sorted(files))]
            content[start:] = other[start : start + 200]
    return name, bytes(content)


def _saved(image, name, **options):
    buffer = io.BytesIO()
    image.save(buffer, Image.registered_extensions()["." + name.rpartition(".")[2]], **options)
    return buffer.getvalue()


def _png(header, pixels=b""):
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
