"""EXIF data, copied field by field as bytes: Pillow, which parses them, loses letters outside ASCII and fields' types.

Fields are {block: {tag: (type, count, bytes)}}, little-endian.
"""

import io
import struct
import zlib

import numpy as np

# Blocks: the camera's settings, the place, and which rules are followed (Adobe RGB is told so), by the tags that point
# to them; the last one from the camera's settings.
MAIN, CAMERA, PLACE, RULES = 0, 0x8769, 0x8825, 0xA005
# What may be said of a picture itself: title, camera, resolution, program, times, artist, white and primary colours,
# stars, copyright, and what Windows adds. The other tags say how pixels were stored, in which a TIFF that is written
# would believe them.
DESCRIPTIVE_TAGS = {
    *(0x010D, 0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C, 0x013E, 0x013F),
    *(0x4746, 0x4749, 0x8298),
    *range(0x9C9B, 0x9CA0),
}
OF_COLORS = {0x013E, 0x013F}  # white and primaries of what is converted otherwise
STALE_TAGS = {0xA002, 0xA003}  # of the settings: the old width and height
HORIZONTAL, VERTICAL = 0x011A, 0x011B  # resolution
POINTERS = ((MAIN, CAMERA), (CAMERA, RULES), (MAIN, PLACE))
PREFIX = b"Exif\0\0"
ORDER = b"II*\0"  # of a little-endian TIFF structure; behind it stands where its first directory is
HEADER = 8  # bytes of both
NOTE, FURTHEST = 0x927C, 2**14  # a maker's, which points to places that count from the header: it stays where it was
COMMENT, UNICODE = 0x9286, b"UNICODE\0"  # whose letters are of two bytes in the structure's order
XMP = 0x02BC
BIG_TIFF = 43
LONG = 4
# What Pillow is to read, no more: of others it loses depth without a word, and PostScript would be run.
FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
# What Pillow raises for files that are damaged, or of which it reads such fields.
DAMAGED = (EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error, zlib.error)
MOST_FIELDS, MOST_BYTES = 2**12, 2**26  # of a directory; damaged files may tell of more than memory holds
BIG_TYPES = {16: 8, 17: 8, 18: 8}  # of BIG_TIFF, which no other file may hold
# Bytes of a value, by type.
BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1} | BIG_TYPES
WORDS = BYTES | {5: 4, 10: 4}  # fractions are pairs of numbers


def read(image, file, sideways=False, converted=False):
    """Returns what a picture says of itself, as the bytes of an EXIF block, or None.

    Args:
        image: the picture, opened by Pillow.
        file: the binary file in which it is.
        sideways: whether it has been turned so that its rows are columns now.
        converted: whether its colours become others, so that its white and primaries are not theirs.
    """
    whole = b""
    if image.format != "TIFF":
        data = image.info.get("exif") or _from_text(image.info.get("Raw profile type exif", ""))
        whole = data.removeprefix(PREFIX)
        file = io.BytesIO(whole)
    fields = _read_fields(file)
    kept = DESCRIPTIVE_TAGS - OF_COLORS if converted else DESCRIPTIVE_TAGS
    fields[MAIN] = {tag: field for tag, field in fields[MAIN].items() if tag in kept}
    fields[CAMERA] = {tag: field for tag, field in fields[CAMERA].items() if tag not in STALE_TAGS}
    if sideways and {HORIZONTAL, VERTICAL} <= fields[MAIN].keys():
        fields[MAIN] |= {HORIZONTAL: fields[MAIN][VERTICAL], VERTICAL: fields[MAIN][HORIZONTAL]}
    return PREFIX + _structure(fields, whole) if any(fields.values()) else None


def _structure(fields, whole):
    """Returns a TIFF structure of fields; a maker's note stands where it does in the `whole` old one."""
    _, _, note = fields[CAMERA].get(NOTE, (0, 0, b""))
    at = whole.find(note)
    if len(note) <= 4 or not HEADER <= at <= FURTHEST:
        return ORDER + struct.pack("<I", HEADER) + _written(fields, HEADER)
    start = at + len(note) + (at + len(note)) % 2
    before = (ORDER + struct.pack("<I", start)).ljust(at, b"\0") + note
    return before.ljust(start, b"\0") + _written(fields, start, note_at=at)


def shortened(exif, most):
    """Returns an EXIF block of at most so many bytes: the maker's note moves for it, then the longest values go."""
    fields = _read_fields(io.BytesIO(exif.removeprefix(PREFIX)))
    if len(exif) <= most or not any(fields.values()):
        return exif
    values = sorted((len(data), block, tag) for block in fields for tag, (_, _, data) in fields[block].items())
    excess = len(PREFIX + _structure(fields, b"")) - most
    while excess > 0 and values:
        size, block, tag = values.pop()
        del fields[block][tag]
        excess -= 12 + (size if size > 4 else 0)  # of the entry, in which a short value stands itself
    return PREFIX + _structure(fields, b"")


def add_to_tiff(path, exif, xmp=None):
    """Adds an EXIF block's fields and XMP to a TIFF file, little-endian as Pillow writes it; what is there stays."""
    with open(path, "r+b") as file:
        fields = _read_fields(io.BytesIO(exif.removeprefix(PREFIX)))
        fields[MAIN] |= _read_fields(file)[MAIN] | ({XMP: (1, len(xmp), xmp)} if xmp else {})
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
    fields = {MAIN: {}, CAMERA: {}, PLACE: {}, RULES: {}}
    order = {b"II": "<", b"MM": ">"}.get(_bytes(file, 0, 2))
    if order is None:
        return fields
    if _number(_bytes(file, 2, 2), order) == BIG_TIFF:
        first, layout = _bytes(file, 8, 8), f"{order}HHQ8s"
    else:
        first, layout = _bytes(file, 4, 4), f"{order}HHI4s"
    fields[MAIN] = _read_directory(file, _number(first, order), layout)
    for outer, block in POINTERS:
        if block in fields[outer]:
            _, _, place = fields[outer].pop(block)
            fields[block] = _read_directory(file, _number(place, "<"), layout)
    return {
        block: {tag: field for tag, field in directory.items() if field[0] not in BIG_TYPES}
        for block, directory in fields.items()
    }


def _read_directory(file, offset, layout):
    order, length = layout[0], struct.calcsize(layout)
    count = _number(_bytes(file, offset, 2 if length == 12 else 8), order)
    entries = _bytes(file, offset + (2 if length == 12 else 8), length * min(count, MOST_FIELDS))
    fields, left = {}, min(MOST_BYTES, file.seek(0, io.SEEK_END))
    for tag, kind, number, place in struct.iter_unpack(layout, entries):
        size = number * BYTES.get(kind, 0)
        if 0 < size <= left and tag not in fields:
            data = place[:size] if size <= len(place) else _bytes(file, _number(place, order), size)
            if data:
                data = _little_endian(data, kind, order)
                if tag == COMMENT and order == ">" and data.startswith(UNICODE):
                    data = UNICODE + _little_endian(data[8 : len(data) // 2 * 2], 3, order) + data[len(data) // 2 * 2 :]
                fields[tag] = kind, number, data
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


def _written(fields, start, note_at=None):
    """Returns a TIFF structure's directories, to stand at `start`, with the values that they point to."""
    fields = {block: dict(directory) for block, directory in fields.items()}
    for outer, block in reversed(POINTERS):  # the inner ones first
        if fields[block]:
            fields[outer][block] = LONG, 1, bytes(4)
    places, end = {MAIN: start}, start + _length(fields[MAIN], note_at)
    for outer, block in POINTERS:  # each begins where the last one ends
        if block in fields[outer]:
            fields[outer][block] = LONG, 1, struct.pack("<I", end)
            places[block], end = end, end + _length(fields[block], note_at)
    return b"".join(_directory(fields[block], place, note_at) for block, place in places.items())


def _length(fields, note_at):
    """Returns how many bytes a directory has, with the values that it points to."""
    return 2 + 12 * len(fields) + 4 + sum(len(data) + len(data) % 2 for data in _outside(fields, note_at).values())


def _outside(fields, note_at):
    """Returns the values that stand behind a directory, by their tags, in order."""
    values = {tag: data for tag, (_, _, data) in sorted(fields.items()) if len(data) > 4}
    return {tag: data for tag, data in values.items() if not (tag == NOTE and note_at)}


def _directory(fields, start, note_at):
    outside, place, places = _outside(fields, note_at), start + 2 + 12 * len(fields) + 4, {NOTE: note_at}
    for tag, data in outside.items():
        places[tag] = place
        place += len(data) + len(data) % 2
    parts = [struct.pack("<H", len(fields))]
    for tag, (kind, count, data) in sorted(fields.items()):
        where = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", places[tag])
        parts.append(struct.pack("<HHI4s", tag, kind, count, where))
    return b"".join([*parts, bytes(4), *(data + bytes(len(data) % 2) for data in outside.values())])
