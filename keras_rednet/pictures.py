"""Picture files in and out, with what a photographer wants kept: bit depth, alpha, EXIF, captions, profile, the way up.

A picture is a PIL image, except 16-bit colour, which PIL does not hold: that is a uint16 array [h, w, 3|4].
"""

import dataclasses
import itertools
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from keras_rednet import exif, geometry, xmp
from keras_rednet.color import OTHER_SPACES, inverts_16_bits
from keras_rednet.exif import DAMAGED, FORMATS
from keras_rednet.weights import written_whole

SAVE_OPTIONS = {
    ".bmp": {"format": "BMP"},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jfif": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".png": {"format": "PNG"},
    ".tif": {"format": "TIFF", "compression": "raw"},  # as every program reads it
    ".tiff": {"format": "TIFF", "compression": "raw"},
    ".webp": {"format": "WEBP", "quality": 95},  # of lossy files; the rest are lossless: this halves colour's size
}
ORIENTATION = 0x0112  # a tag
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # that turn a picture upright, by its orientation
FINE_STEPS = 11  # in which a JPEG of quality 91 stores luminance: recipes/results/stored.csv tells why it is near there
LOSSY_TIFFS = ("jpeg", "tiff_jpeg", "webp")  # compressions, as Pillow calls them
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
REDUCED, RAW_VERSION = 0x00FE, 0xC612  # tags of a camera's raw file, in front of which lies a small picture
RESOLUTION, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC = 0x011A, 0x0102, 0x0103, 0x0106  # tags of TIFF
SAMPLES_PER_PIXEL, PLANAR, COLOR_MAP, SUBSAMPLING = 0x0115, 0x011C, 0x0140, 0x0212
UNCOMPRESSED, PALETTE, YCBCR = 1, 3, 6  # values of COMPRESSION and of PHOTOMETRIC
INCH = 0.0254  # metres
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_HEADER = len(PNG_SIGNATURE) + 25  # bytes, with IHDR: length, type, 13 bytes, checksum
PNG_COLORS = (b"cICP", b"mDCV", b"cLLI", b"gAMA", b"cHRM", b"sRGB")  # chunks that say what its numbers mean
LONGEST_CHUNK = 64  # bytes, of those that are looked into
# Keys of Pillow's `info` that a text of the same name replaces, and the chunk that is hidden then, if it must be kept.
PNG_SETTINGS = {"exif": b"eXIf", "icc_profile": b"iCCP", "transparency": b"tRNS"}
PNG_SETTINGS |= dict.fromkeys(("compression", "dpi", "interlace"))
LONGEST_PROFILE = 2**26  # bytes; printers' have more than the megabyte that Pillow takes from a PNG
MOST_PIXELS = 10**9  # of a file: TIFF and BMP end at 4 GB
MOST_PNG16 = 2**31 - 2  # numbers of a 16-bit colour picture that TensorFlow encodes
MOST_SIDE = {"JPEG": 65500, "WEBP": 16383}  # pixels
JPEG_EXIF, JPEG_XMP = 65533, 65504  # bytes that a JPEG holds of them; cameras spread more over several parts
XMP_TEXT = b"XML:com.adobe.xmp\0\0\0\0\0"  # its name in a PNG, without compression, language and translation


@dataclasses.dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Args:
        image: PIL image or uint16 [h, w, 3|4].
        exif, icc_profile: the file's, bytes or None.
        dpi: the file's (horizontal, vertical) dots per inch, or None.
        lossy: whether it was in a JPEG or lossy WebP file, or so in a TIFF.
        blocky: whether it was in a lossy file, of JPEG files one of quality 90 or less: enlarged it shows blocks.
        blotchy: whether it was blocky, or of less resolution in colour than in gray: its noise is not white.
        colors: chunks of a PNG file that say what its numbers mean, (type, data) pairs.
        xmp: what the file's XMP says of what the picture shows, bytes or None.
    """

    image: object
    exif: bytes | None = None
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    lossy: bool = False
    blocky: bool = False
    blotchy: bool = False
    colors: tuple = ()
    xmp: bytes | None = None


class UnkeptError(ValueError):
    """A sound picture that could not be kept as it is."""


def read_picture(path):
    """Reads a picture file, turned the right way up; the EXIF orientation is then 1.

    Raises:
        ValueError: not a picture, a damaged one, or one that could not be kept at its depth.
        OSError: the file cannot be read.
    """
    PngImagePlugin.MAX_TEXT_CHUNK = max(PngImagePlugin.MAX_TEXT_CHUNK, LONGEST_PROFILE)
    try:
        # Of a path, Pillow maps sideways TIFFs askew.
        with Path(path).open("rb") as raw, Image.open(raw, formats=FORMATS) as file:
            _check_tiff(file)
            stored = _orientation(file) if file.format == "TIFF" else 1  # which loading turns; of others it would load
            chunks = _png_chunks(path) if file.format == "PNG" else {}
            depth, color_type = chunks[b"IHDR"][8:10] if chunks else (None, None)
            depth16 = depth == 16 and color_type in (2, 6)  # RGB or RGBA
            if depth == 16 and color_type == 4:
                raise UnkeptError("16-bit gray with transparency would lose its depth; save it as 16-bit RGBA")
            _forget_texts(file, chunks)
            if file.mode == "F":
                _check_values(*file.getextrema())
            if (depth16 or file.mode.startswith("I")) and "transparency" in file.info:
                raise UnkeptError("16 bits with a transparent colour; save it as 16-bit RGBA")
            file.load()
            _forget_texts(file, chunks)
            orientation = _orientation(file)
            sideways = max(stored, orientation) >= 5
            described = exif.read(file, raw, sideways, converted=file.mode in OTHER_SPACES)
            image = file.transpose(TURNS[orientation]) if orientation in TURNS else file.copy()
            packet = xmp.read(file)
            image.info.pop("exif", None)  # it tells the orientation that the file had
            profile = file.info.get("icc_profile") if file.mode not in OTHER_SPACES else None
            lossy = file.format in ("JPEG", "MPO") or file.info.get("compression") in LOSSY_TIFFS
            lossy |= file.format == "WEBP" and not _is_lossless_webp(raw)
            steps = getattr(file, "quantization", None)  # of JPEG files
            blocky = lossy and (not steps or bool(np.mean(steps[min(steps)]) > FINE_STEPS))
            blotchy = blocky or (lossy and len({factors[1:3] for factors in file.layer}) > 1)  # sampled unequally
            inverted = inverts_16_bits(file)
            unknown = file.format == "TIFF" and RESOLUTION not in file.tag_v2  # Pillow then says 1
            dpi = None if unknown else _dpi(file.info.get("dpi", ()))
            dpi = dpi[::-1] if dpi and sideways else dpi
            if depth in (2, 4) and color_type == 0 and "transparency" in file.info:
                image.info["transparency"] *= 255 // (2**depth - 1)  # as Pillow does with the pixels
            early = itertools.takewhile(lambda kind: kind != b"IDAT", chunks)  # as they must be to count
            colors = tuple((kind, chunks[kind]) for kind in early if kind in PNG_COLORS and chunks[kind])
            several = getattr(file, "n_frames", 1) > 1 and file.format != "MPO"  # phones' MPO: a JPEG and more
    except UnkeptError as error:
        raise ValueError(f"{path}: {error}.") from None
    except UnidentifiedImageError:
        with Path(path).open("rb") as raw:
            if raw.read(4) in TIFF_STARTS:
                words = "a TIFF that is damaged, or of a kind that is not read, as 32-bit colour; save it as 16-bit PNG"
                raise ValueError(f"{path}: {words}.") from None
        raise ValueError(f"{path}: not a picture in a format that is read: BMP, JPEG, PNG, TIFF or WebP.") from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path}: too large to be safe. {error}") from None
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"{path}: damaged. {error}") from None
    if several:
        raise ValueError(f"{path}: an animation or a file of several pages; save the pictures one by one.")
    if depth16:
        turned = geometry.restore_orientation(_decode_png16(path), geometry.OF_EXIF[orientation - 1])
        image = np.ascontiguousarray(turned)
    elif "transparency" in image.info:  # of a single colour, or of those of a palette
        image = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    elif inverted:  # Pillow inverts 8 bits only
        image = Image.fromarray(65535 - np.asarray(image))
    return Picture(image, described, profile, dpi, lossy, blocky, blotchy, colors, packet)


def _orientation(file):
    try:
        orientation = file.getexif().get(ORIENTATION, 1)
    except DAMAGED:
        return 1
    return orientation if orientation in TURNS else 1


def _forget_texts(file, chunks):
    """Removes what texts of a PNG file have put among Pillow's settings."""
    for key, kind in PNG_SETTINGS.items():
        value = file.info.get(key)
        is_text = isinstance(value, str) or (key == "exif" and value and not value.startswith(exif.PREFIX))
        if file.format == "PNG" and is_text:
            del file.info[key]
            if kind in chunks:
                raise UnkeptError(f"a text that is called {key} hides what the file says of that; remove the text")
            if key == "interlace" and chunks[b"IHDR"][12]:
                file.info[key] = 1


def _png_chunks(path):
    """Returns {type: content} of a PNG file's chunks, the first of each type; long ones without their content."""
    found = {}
    with Path(path).open("rb") as raw:
        raw.seek(len(PNG_SIGNATURE))
        while len(header := raw.read(8)) == 8:
            length, kind = struct.unpack(">I4s", header)
            content = raw.read(length) if length <= LONGEST_CHUNK else b""
            raw.seek(length + 4 - len(content), 1)
            found.setdefault(kind, content)
    return found


def _check_values(lowest, highest):
    """Raises an error for floating-point values that are far from [0, 1], black to white."""
    if not -1 <= lowest <= highest <= 2:
        found = f"{lowest:g} to {highest:g}"
        raise UnkeptError(f"its values must lie in [0, 1], and are {found}; divide them first")


def write_picture(path, picture):
    """Writes a picture, whole or not at all, in the format of the path's suffix.

    Raises:
        ValueError: the format is unknown or cannot hold the picture.
        OSError: the file cannot be written.
    """
    path = Path(path)
    check_format(path, picture.image)
    options = dict(SAVE_OPTIONS[path.suffix.lower()])
    if options["format"] == "WEBP" and not picture.lossy:
        options |= {"lossless": True, "exact": True}
    metadata = {"exif": picture.exif, "icc_profile": picture.icc_profile, "dpi": picture.dpi}
    metadata = {key: value for key, value in metadata.items() if value}
    if options["format"] == "WEBP" and metadata.get("icc_profile", b"")[16:20] == b"GRAY":
        del metadata["icc_profile"]  # WebP holds gray as colour, whose profile this would not be
    if options["format"] == "JPEG" and picture.exif:
        metadata["exif"] = exif.shortened(picture.exif, JPEG_EXIF)
    described = metadata.pop("exif", None) if options["format"] == "TIFF" else None  # in which Pillow would change it
    chunks = list(picture.colors)
    if picture.xmp:
        chunks.append((b"iTXt", XMP_TEXT + picture.xmp))
        if options["format"] == "WEBP" or (options["format"] == "JPEG" and len(picture.xmp) <= JPEG_XMP):
            metadata["xmp"] = picture.xmp
    with written_whole(path) as temporary:
        if isinstance(picture.image, np.ndarray):
            temporary.write_bytes(_encode_png16(picture.image, metadata))
            _add_chunks(temporary, chunks)
            return
        try:
            picture.image.save(temporary, **options, **metadata)
            if options["format"] == "TIFF" and (described or picture.xmp):
                exif.add_to_tiff(temporary, described or b"", picture.xmp)
            if options["format"] == "PNG":
                _add_chunks(temporary, chunks)
        except (RuntimeError, SyntaxError, ValueError, struct.error) as error:
            raise ValueError(f"{path}: could not be written as {options['format']}. {error}") from error


def _add_chunks(path, chunks):
    """Puts chunks into a PNG file, behind its header; Pillow writes only some of these."""
    content = path.read_bytes()
    added = b"".join(_chunk(kind, data) for kind, data in chunks)
    path.write_bytes(content[:PNG_HEADER] + added + content[PNG_HEADER:])


def _dpi(dpi):
    """Returns the dots per inch that Pillow found, or None where not all formats hold them."""
    return tuple(map(float, dpi)) if len(dpi) == 2 and all(0 < value < 65535 for value in dpi) else None


def check_format(path, image, size=(1, 1)):
    """Raises ValueError unless the path's suffix names a format that holds an image's kind, and (height, width)."""
    if size[0] * size[1] > MOST_PIXELS:
        raise ValueError(f"{path}: would have {size[1]}x{size[0]} pixels. At most {MOST_PIXELS:,} are written.")
    suffix = Path(path).suffix.lower()
    if suffix not in SAVE_OPTIONS:
        folder = ", or in / for a folder" if not suffix else ""
        raise ValueError(f"{path}: the name must end in one of {', '.join(SAVE_OPTIONS)}{folder}.")
    file_format = SAVE_OPTIONS[suffix]["format"]
    if isinstance(image, np.ndarray):
        kind, formats = "16-bit colour", ("PNG",)
    elif image.mode.startswith("I"):
        kind, formats = "16-bit gray", ("PNG", "TIFF")
    elif image.mode == "F":
        kind, formats = "floating-point values", ("TIFF",)
    elif image.mode in ("LA", "RGBA", "PA", "La", "RGBa"):
        kind, formats = "transparency", ("PNG", "TIFF", "WEBP")
    else:
        kind, formats = "", (file_format, "PNG", "TIFF")
    if isinstance(image, np.ndarray) and size[0] * size[1] * image.shape[2] > MOST_PNG16:
        shape = f"{size[1]}x{size[0]} pixels of 16-bit colour"
        raise ValueError(f"{path}: would have {shape}. At most {MOST_PNG16:,} numbers are written.")
    if max(size) > (most := MOST_SIDE.get(file_format, max(size))):
        kind, formats = f"more than {most} pixels a side", [name for name in formats if name in ("PNG", "TIFF")]
    if file_format not in formats:
        raise ValueError(f"{path}: {file_format} cannot hold {kind}; choose {' or '.join(formats)}.")


def _is_lossless_webp(raw):
    raw.seek(12)  # RIFF, the length and WEBP
    while len(header := raw.read(8)) == 8:
        kind, length = struct.unpack("<4sI", header)
        if kind in (b"VP8 ", b"VP8L"):
            return kind == b"VP8L"
        raw.seek(length + length % 2, 1)
    return False


def _check_tiff(file):
    """Raises an error for TIFF files that Pillow would not read as they are."""
    if file.format != "TIFF":
        return
    tags = file.tag_v2
    bits, samples = max(tags.get(BITS_PER_SAMPLE, (1,))), tags.get(SAMPLES_PER_PIXEL, 1)
    compressed = tags.get(COMPRESSION, UNCOMPRESSED) != UNCOMPRESSED
    kind = tags.get(PHOTOMETRIC)
    if RAW_VERSION in tags or tags.get(REDUCED, 0) & 1:
        raise UnkeptError("a camera's raw file, or a preview, of which a small picture would be read; develop it first")
    if samples >= 3 and bits > 8:
        raise UnkeptError("16-bit colour TIFF would lose its depth; save it as 16-bit PNG")
    if 8 < bits < 16:  # Pillow leaves them dark: white is not 65535
        raise UnkeptError(f"a TIFF of {bits} bits; save it with 16")
    for misread, what in (
        (kind == YCBCR and not compressed and tags.get(SUBSAMPLING, (2, 2)) != (1, 1), "uncompressed YCbCr"),
        (kind == PALETTE and 0 < max(tags.get(COLOR_MAP, (256,))) < 256, "a palette of 8 bits"),
        (file.mode == "F" and kind == 0, "floating-point values whose white is 0"),
        (compressed and file.mode in ("F", "I") and tags.prefix == b"MM", "compressed numbers of big-endian order"),
        (file.mode in ("LA", "La") and tags.get(PLANAR) == 2, "transparency in a plane of its own"),
    ):
        if misread:
            raise UnkeptError(f"a TIFF with {what}, which Pillow misreads; save it in another way")


def _tensorflow():
    """Returns TensorFlow, for 16-bit colour, which Pillow reads as 8-bit."""
    import tensorflow as tf

    from keras_rednet.dataset import keep_tensorflow_off_gpus

    keep_tensorflow_off_gpus()
    return tf


def _decode_png16(path):
    tf = _tensorflow()
    try:
        return tf.io.decode_png(Path(path).read_bytes(), dtype=tf.uint16).numpy()
    except tf.errors.OpError as error:
        raise ValueError(f"{path}: damaged. {error.message}") from None


def _encode_png16(pixels, metadata):
    tf = _tensorflow()
    try:
        encoded = tf.io.encode_png(pixels).numpy()
    except tf.errors.OpError as error:
        raise ValueError(f"could not be encoded as PNG. {error.message}") from None
    chunks = b""
    if "icc_profile" in metadata:
        chunks += _chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata["icc_profile"]))
    if "dpi" in metadata:
        chunks += _chunk(b"pHYs", struct.pack(">IIB", *(round(dpi / INCH) for dpi in metadata["dpi"]), 1))
    if "exif" in metadata:
        chunks += _chunk(b"eXIf", metadata["exif"].removeprefix(exif.PREFIX))
    return encoded[:PNG_HEADER] + chunks + encoded[PNG_HEADER:]


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
