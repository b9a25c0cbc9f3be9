"""EXIF data, copied field by field as bytes: Pillow, which parses them, loses letters outside ASCII and fields' types.

Fields are {block: {tag: (type, count, bytes)}}, little-endian.
"""

import io
import struct
import zlib

import numpy as np

MAIN, CAMERA, PLACE = 0, 0x8769, 0x8825  # blocks: the camera's settings and the place, by the tags that point to them
# What may be said of a picture itself: title, camera, resolution, program, times, artist, copyright, stars, and what
# Windows adds. The other tags say how pixels were stored, in which a TIFF that is written would believe them.
DESCRIPTIVE_TAGS = {
    *(0x010D, 0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298),
    *range(0x9C9B, 0x9CA0),
}
STALE_TAGS = {0xA002, 0xA003, 0xA005}  # of the settings: the old width, height, and place of a further block
PREFIX = b"Exif\0\0"
HEADER = b"II*\0" + struct.pack("<I", 8)  # of a little-endian TIFF structure whose first directory follows at once
BIG_TIFF = 43
LONG = 4
# What Pillow raises for files that are damaged, or of which it reads such fields.
DAMAGED = (EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error, zlib.error)
MOST_FIELDS, MOST_BYTES = 2**12, 2**26  # of a directory; damaged files may tell of more than memory holds
BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}  # of a value, by type
WORDS = BYTES | {5: 4, 10: 4}  # fractions are pairs of numbers


def read(image, file):
    """Returns what a picture says of itself, as the bytes of an EXIF block, or None.

    Args:
        image: the picture, opened by Pillow.
        file: the binary file in which it is.
    """
    if image.format != "TIFF":
        data = image.info.get("exif") or _from_text(image.info.get("Raw profile type exif", ""))
        file = io.BytesIO(data.removeprefix(PREFIX))
    fields = _read_fields(file)
    fields[MAIN] = {tag: field for tag, field in fields[MAIN].items() if tag in DESCRIPTIVE_TAGS}
    fields[CAMERA] = {tag: field for tag, field in fields[CAMERA].items() if tag not in STALE_TAGS}
    return PREFIX + HEADER + _written(fields, len(HEADER)) if any(fields.values()) else None


def add_to_tiff(path, exif):
    """Adds an EXIF block's fields to a TIFF file, little-endian as Pillow writes it; those that are there stay."""
    with open(path, "r+b") as file:
        fields = _read_fields(io.BytesIO(exif.removeprefix(PREFIX)))
        fields[MAIN] |= _read_fields(file)[MAIN]
        end = file.seek(0, io.SEEK_END)
        start = end + end % 2
        file.write(bytes(end % 2) + _written(fields, start))
        file.seek(4)
        file.write(struct.pack("<I", start))


def _from_text(profile):
    """Returns the EXIF block of older PNG files: a name, a length and hexadecimal lines."""
    try:
        return bytes.fromhex("".join(profile.split("\n")[3:]))
    except ValueError:
        return b""


def _read_fields(file):
    """Reads a TIFF structure, of either order of bytes; what lies outside it or is of no known type is left out."""
    fields = {MAIN: {}, CAMERA: {}, PLACE: {}}
    order = {b"II": "<", b"MM": ">"}.get(_bytes(file, 0, 2))
    if order is None:
        return fields
    if _number(_bytes(file, 2, 2), order) == BIG_TIFF:
        first, layout = _bytes(file, 8, 8), f"{order}HHQ8s"
    else:
        first, layout = _bytes(file, 4, 4), f"{order}HHI4s"
    fields[MAIN] = _read_directory(file, _number(first, order), layout)
    for block in (CAMERA, PLACE):
        if block in fields[MAIN]:
            _, _, place = fields[MAIN].pop(block)
            fields[block] = _read_directory(file, _number(place, "<"), layout)
    return fields


def _read_directory(file, offset, layout):
    order, length = layout[0], struct.calcsize(layout)
    count = _number(_bytes(file, offset, 2 if length == 12 else 8), order)
    entries = _bytes(file, offset + (2 if length == 12 else 8), length * min(count, MOST_FIELDS))
    fields, left = {}, MOST_BYTES
    for tag, kind, number, place in struct.iter_unpack(layout, entries):
        size = number * BYTES.get(kind, 0)
        if 0 < size <= left and tag not in fields:
            data = place[:size] if size <= len(place) else _bytes(file, _number(place, order), size)
            if data:
                fields[tag] = kind, number, _little_endian(data, kind, order)
                left -= size
    return fields


def _bytes(file, offset, size):
    """Returns some bytes of a file, or none if they are not all there."""
    if offset + size > file.seek(0, io.SEEK_END):
        return b""
    file.seek(offset)
    return file.read(size)


def _number(data, order):
    return int.from_bytes(data, "little" if order == "<" else "big")


def _little_endian(data, kind, order):
    return np.frombuffer(data, f"{order}u{WORDS[kind]}").astype(f"<u{WORDS[kind]}").tobytes()


def _written(fields, start):
    """Returns a TIFF structure's directories, to stand at `start`, with the values that they point to."""
    blocks = [block for block in (CAMERA, PLACE) if fields[block]]
    main = fields[MAIN] | {block: (LONG, 1, bytes(4)) for block in blocks}
    content, place = b"", start + len(_directory(main, start))
    for block in blocks:
        main[block] = LONG, 1, struct.pack("<I", place + len(content))
        content += _directory(fields[block], place + len(content))
    return _directory(main, start) + content


def _directory(fields, start):
    values, place = b"", start + 2 + 12 * len(fields) + 4
    entries = struct.pack("<H", len(fields))
    for tag, (kind, count, data) in sorted(fields.items()):
        if len(data) <= 4:
            where = data.ljust(4, b"\0")
        else:
            where = struct.pack("<I", place + len(values))
            values += data + bytes(len(data) % 2)
        entries += struct.pack("<HHI4s", tag, kind, count, where)
    return entries + bytes(4) + values
