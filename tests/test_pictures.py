import dataclasses
import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from keras_rednet import RED10, restore
from keras_rednet.dataset import read_image
from keras_rednet.exif import read as read_exif
from keras_rednet.exif import shortened
from keras_rednet.pictures import ORIENTATION, Picture, _chunk, _dpi, check_format, read_picture, write_picture

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def pixels(*shape, dtype="uint8"):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype)


def exif(**tags):
    block = Image.Exif()
    block[0x010F] = "Camera maker"
    block.get_ifd(0x8769)[0x829D] = 2.5  # the aperture
    block.get_ifd(0x8825)[0x0001] = "N"  # the latitude's half
    for tag, value in tags.items():
        block[int(tag.removeprefix("tag"))] = value
    return block


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"])
def test_round_trip_keeps_exif_and_profile(tmp_path, suffix):
    source, target = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    smooth = Image.fromarray(pixels(3, 4, 3)).resize((40, 30), Image.Resampling.BICUBIC)
    if suffix == ".bmp":  # holds neither
        smooth.save(source)
    else:
        smooth.save(source, exif=exif().tobytes(), icc_profile=PROFILE, quality=95)
    picture = read_picture(source)
    write_picture(target, picture)
    written = read_picture(target)
    assert np.abs(np.asarray(written.image, int) - np.asarray(smooth, int)).mean() < 4
    if suffix != ".bmp":
        assert written.icc_profile == PROFILE
        kept = Image.open(target).getexif()
        assert kept[0x010F] == "Camera maker"
        assert kept.get_ifd(0x8769)[0x829D] == 2.5
        assert kept.get_ifd(0x8825)[0x0001] == "N"


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".jfif"])
def test_a_jpeg_keeps_what_was_restored(tmp_path, suffix):
    image = Image.fromarray(pixels(64, 64, 3))
    image.save(tmp_path / "expected.jpg", quality=95, subsampling="4:4:4")
    write_picture(tmp_path / f"a{suffix}", Picture(image))
    with Image.open(tmp_path / f"a{suffix}") as written, Image.open(tmp_path / "expected.jpg") as expected:
        assert written.quantization == expected.quantization
        assert written.tobytes() == expected.tobytes()


WORDS = "\u00a9 2024 Jos\u00e9 M\u00fcller, \u6771\u4eac"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
@pytest.mark.parametrize("source", ["a.jpg", "a.tif", "a.png"])
def test_letters_outside_ascii_and_the_types_of_fields_are_kept(tmp_path, source, suffix):
    marked = "x" * len(WORDS.encode())
    block = exif(tag33432=marked)
    settings = block.get_ifd(0x8769)
    settings[0xA430], settings[0x9286], settings[0x9204] = marked, b"ASCII\0\0\0" + b"a note", -1.5
    data = block.tobytes().replace(marked.encode(), WORDS.encode())
    undefined = struct.pack(">HHI", 0x9286, 7, 14)
    data = data.replace(struct.pack(">HHI", 0x9286, 1, 14), undefined)
    assert undefined in data
    write_picture(tmp_path / source, Picture(Image.new("RGB", (8, 8)), data))
    write_picture(tmp_path / f"b{suffix}", read_picture(tmp_path / source))
    kept = Image.open(tmp_path / f"b{suffix}").getexif()
    settings = kept.get_ifd(0x8769)
    assert [text.encode("latin-1").decode() for text in (kept[0x8298], settings[0xA430])] == [WORDS, WORDS]
    assert settings[0x9286] == b"ASCII\0\0\0a note"
    assert settings[0x9204] == -1.5
    assert struct.pack("<HHI", 0x9286, 7, 14) in (tmp_path / f"b{suffix}").read_bytes()


def test_exif_data_that_old_png_files_hold_as_text(tmp_path):
    data, text = exif().tobytes(), PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(data)}\n{data.hex()}\n", zip=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=text)
    write_picture(tmp_path / "b.jpg", read_picture(tmp_path / "a.png"))
    assert Image.open(tmp_path / "b.jpg").getexif()[0x010F] == "Camera maker"


@pytest.mark.parametrize("seed", range(8))
def test_damaged_exif_data_never_harm_a_picture(tmp_path, seed):
    random, whole = np.random.default_rng(seed), exif().tobytes()
    for _ in range(50):
        data = bytearray(whole[: random.integers(6, len(whole) + 1)])
        for place in random.integers(6, len(whole), 4):
            data[place : place + 1] = bytes(random.integers(0, 256, 1, np.uint8))
        found = read_exif(SimpleNamespace(format="JPEG", info={"exif": bytes(data)}), None)
        if found:
            for suffix in (".png", ".tif"):
                write_picture(tmp_path / f"a{suffix}", Picture(Image.new("RGB", (8, 8), (1, 2, 3)), found))
                assert Image.open(tmp_path / f"a{suffix}").getpixel((7, 7)) == (1, 2, 3)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_tiff_of_unknown_resolution_gets_none(tmp_path, suffix):
    Image.fromarray(pixels(8, 16, 3)).save(tmp_path / "a.tif")
    write_picture(tmp_path / f"b{suffix}", read_picture(tmp_path / "a.tif"))
    assert Image.open(tmp_path / f"b{suffix}").info.get("dpi", (1, 1)) == (1, 1)  # what Pillow says of TIFFs
    assert "dpi" not in Image.open(tmp_path / f"b{suffix}").info or suffix == ".tif"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_round_trip_keeps_the_resolution(tmp_path, suffix):
    Image.fromarray(pixels(8, 16, 3)).save(tmp_path / f"a{suffix}", dpi=(300, 150))
    picture = read_picture(tmp_path / f"a{suffix}")
    restored = restore(RED10(weights=None, channels=3), picture.image)
    write_picture(tmp_path / f"b{suffix}", dataclasses.replace(picture, image=restored))
    assert Image.open(tmp_path / f"b{suffix}").info["dpi"] == pytest.approx((300, 150), rel=1e-3)


@pytest.mark.parametrize("dpi", [(0, 0), (float("nan"), 72), (1e9, 72), (72,)])
def test_a_resolution_that_cannot_be_is_left_out(dpi):
    assert _dpi(dpi) is None


@pytest.mark.parametrize("tag", [0xA002, 0xA003, 0xA005], ids=["width", "height", "place in the old file"])
def test_what_is_stale_does_not_pass_to_the_copy(tmp_path, tag):
    block = exif()
    block.get_ifd(0x8769)[tag] = 4321
    Image.fromarray(pixels(8, 16, 3)).save(tmp_path / "a.jpg", exif=block.tobytes())
    assert tag in Image.open(tmp_path / "a.jpg").getexif().get_ifd(0x8769)
    write_picture(tmp_path / "b.jpg", read_picture(tmp_path / "a.jpg"))
    kept = Image.open(tmp_path / "b.jpg").getexif().get_ifd(0x8769)
    assert tag not in kept
    assert kept[0x829D] == 2.5


STORAGE = {0x100: 16, 0x101: 8, 0x102: (8, 8, 8, 8), 0x106: 5, 0x115: 4, 0x11C: 2, 0x10A: 2, 0x152: 1, 0x153: 3}


@pytest.mark.parametrize("tag", [*STORAGE, "all"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_how_pixels_were_stored_does_not_pass_to_a_tiff(tmp_path, tag, suffix):
    block = exif(**{f"tag{ORIENTATION}": 6, "tag40091": "title".encode("utf-16-le")})
    for each in STORAGE if tag == "all" else [tag]:
        block[each] = STORAGE[each]
    Image.fromarray(pixels(8, 16, 3)).save(tmp_path / f"a{suffix}", exif=block.tobytes())
    picture = read_picture(tmp_path / f"a{suffix}")
    write_picture(tmp_path / "b.tif", picture)
    written = read_picture(tmp_path / "b.tif")
    assert written.image.size == (8, 16)
    np.testing.assert_array_equal(np.asarray(written.image), np.asarray(picture.image))
    kept = Image.open(tmp_path / "b.tif").getexif()
    assert kept[0x010F] == "Camera maker"
    assert bytes(kept[0x9C9B]).decode("utf-16-le") == "title"


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp_is_lossless_unless_the_picture_was_lossy(tmp_path, mode):
    image = Image.fromarray(pixels(20, 20, len(mode)))
    image.save(tmp_path / "a.png")
    write_picture(tmp_path / "b.webp", read_picture(tmp_path / "a.png"))
    write_picture(tmp_path / "c.webp", read_picture(tmp_path / "b.webp"))  # a lossless one is known as such
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "c.webp")), np.asarray(image))
    image.save(tmp_path / "d.webp", quality=80, icc_profile=PROFILE)
    assert [read_picture(tmp_path / name).lossy for name in ("c.webp", "d.webp")] == [False, True]
    write_picture(tmp_path / "e.webp", read_picture(tmp_path / "d.webp"))
    assert read_picture(tmp_path / "e.webp").lossy


def test_a_tiff_may_hold_a_jpeg(tmp_path):
    picture = Image.new("RGB", (32, 32), "red")
    for compression, lossy in (("jpeg", True), ("tiff_lzw", False), (None, False)):
        picture.save(tmp_path / "a.tif", compression=compression)
        assert read_picture(tmp_path / "a.tif").lossy == lossy


@pytest.mark.parametrize(
    ("name", "mode", "options", "found"),
    [
        ("a.jpg", "RGB", {"quality": 90, "subsampling": "4:4:4"}, (True, True)),
        ("a.jpg", "RGB", {"quality": 91, "subsampling": "4:4:4"}, (False, False)),
        ("a.jpg", "RGB", {"quality": 91, "subsampling": "4:2:2"}, (False, True)),
        ("a.jpg", "RGB", {"quality": 98, "subsampling": "4:2:0"}, (False, True)),
        ("a.jpg", "CMYK", {"quality": 98}, (False, False)),
        ("a.mpo", "RGB", {"quality": 98}, (False, True)),
        ("a.mpo", "RGB", {"quality": 98, "subsampling": "4:4:4"}, (False, False)),
        ("a.tif", "RGB", {"compression": "jpeg", "quality": 98}, (True, True)),
        ("a.jpg", "L", {"quality": 90}, (True, True)),
        ("a.jpg", "L", {"quality": 91}, (False, False)),
        ("a.webp", "RGB", {"quality": 98}, (True, True)),
        ("a.png", "RGB", {}, (False, False)),
    ],
)
def test_tells_what_storing_did_to_a_picture(name, mode, options, found, tmp_path):
    Image.new(mode, (32, 32)).save(tmp_path / name, **options)
    picture = read_picture(tmp_path / name)
    assert (picture.blocky, picture.blotchy) == found


def test_colour_that_is_stored_twice_as_often_as_need_be_is_of_full_resolution(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "a.jpg", quality=98, subsampling="4:4:4")
    content = bytearray((tmp_path / "a.jpg").read_bytes())
    frame = content.index(b"\xff\xc0")
    for component in range(3):
        content[frame + 11 + 3 * component] = 0x12
    (tmp_path / "a.jpg").write_bytes(content)
    with Image.open(tmp_path / "a.jpg") as file:
        assert [factors[1:3] for factors in file.layer] == [(1, 2)] * 3
    assert not read_picture(tmp_path / "a.jpg").blotchy


def test_keeps_the_resolution_of_a_16_bit_color_png(tmp_path):
    encoded = tf.io.encode_png(pixels(9, 11, 3, dtype="uint16")).numpy()
    chunk = _chunk(b"pHYs", (11811).to_bytes(4) + (5906).to_bytes(4) + b"\1")
    (tmp_path / "a.png").write_bytes(encoded[:33] + chunk + encoded[33:])
    picture = read_picture(tmp_path / "a.png")
    write_picture(tmp_path / "b.png", dataclasses.replace(picture, image=picture.image // 2))
    assert Image.open(tmp_path / "b.png").info["dpi"] == pytest.approx((300, 150), rel=1e-3)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_tiff_whose_white_is_zero_is_turned_over(tmp_path, depth):
    stored = pixels(9, 11, dtype=f"uint{depth}")
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite")
    picture = read_picture(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.asarray(picture.image), 2**depth - 1 - stored)
    write_picture(tmp_path / "b.tif", picture)
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "b.tif").image), 2**depth - 1 - stored)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_tag_of_another_type_is_kept_as_it_is(tmp_path, orientation):
    block = exif(tag274=orientation)
    whole = bytearray(block.tobytes())
    at = whole.index(b"\x01\x0f\x00\x02")  # in this big-endian block: the tag 0x010F, of type 2, text
    whole[at + 2 : at + 12] = b"\0\5\0\0\0\1\0\0\0\x08"  # a fraction
    Image.fromarray(pixels(8, 16, 3)).save(tmp_path / "a.jpg", exif=bytes(whole))
    assert not isinstance(Image.open(tmp_path / "a.jpg").getexif()[0x010F], str)
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.image.size == ((16, 8) if orientation == 1 else (8, 16))
    write_picture(tmp_path / "b.jpg", picture)
    kept = Image.open(tmp_path / "b.jpg").getexif()
    assert kept[0x010F] == Image.open(tmp_path / "a.jpg").getexif()[0x010F]
    assert kept.get_ifd(0x8769)[0x829D] == 2.5


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_a_transparent_color_becomes_alpha(tmp_path, mode):
    image = Image.fromarray(np.zeros((4, 4, 3), np.uint8)).convert(mode)
    image.putpixel((0, 0), (9, 9, 9) if mode == "RGB" else 9)
    image.save(tmp_path / "a.png", transparency=(9, 9, 9) if mode == "RGB" else 9)
    picture = read_picture(tmp_path / "a.png")
    assert picture.image.mode == ("LA" if mode == "L" else "RGBA")
    assert [picture.image.getpixel(place)[-1] for place in ((0, 0), (1, 1))] == [0, 255]
    with pytest.raises(ValueError, match="JPEG cannot hold transparency"):
        write_picture(tmp_path / "b.jpg", picture)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16", "P", "1"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_round_trip_keeps_pixels(tmp_path, mode, suffix):
    image = (
        Image.fromarray(pixels(9, 11, dtype="uint16"))
        if mode == "I;16"
        else Image.fromarray(pixels(9, 11, 4 if "A" in mode else 3)).convert(mode)
    )
    image.save(tmp_path / f"a{suffix}")
    write_picture(tmp_path / f"b{suffix}", read_picture(tmp_path / f"a{suffix}"))
    with Image.open(tmp_path / f"b{suffix}") as written:
        assert written.mode == image.mode
        np.testing.assert_array_equal(np.asarray(written), np.asarray(image))


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_color_png(tmp_path, channels):
    deep = pixels(9, 11, channels, dtype="uint16")
    write_picture(tmp_path / "a.png", Picture(deep, exif().tobytes(), PROFILE))
    picture = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.image, deep)
    assert picture.icc_profile == PROFILE
    with Image.open(tmp_path / "a.png") as image:
        assert image.getexif()[0x010F] == "Camera maker"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("depth", [8, 16])
def test_turns_pictures_the_right_way_up(tmp_path, orientation, depth):
    block = exif(**{f"tag{ORIENTATION}": orientation})
    stored = pixels(5, 7, 3, dtype=f"uint{depth}")
    path = tmp_path / "a.png"
    if depth == 8:
        Image.fromarray(stored).save(path, exif=block)
    else:
        write_picture(path, Picture(stored, block.tobytes()))
    picture = read_picture(path)
    methods = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"}
    methods |= {6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"}
    high_bytes = Image.fromarray((stored >> (depth - 8)).astype("uint8"))
    upright = high_bytes.transpose(Image.Transpose[methods[orientation]]) if orientation > 1 else high_bytes
    received = np.asarray(picture.image) >> (depth - 8)
    np.testing.assert_array_equal(received, np.asarray(upright))
    write_picture(tmp_path / "b.png", picture)
    with Image.open(tmp_path / "b.png") as written:
        assert written.getexif().get(ORIENTATION, 1) == 1
        assert written.getexif()[0x010F] == "Camera maker"


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "I;16", "RGB"])
def test_a_sideways_tiff_is_read_like_a_compressed_one(tmp_path, mode, orientation):
    image = Image.fromarray(pixels(20, 30, dtype="uint16" if mode == "I;16" else "uint8"))
    image = image if mode == "I;16" else image.convert("RGB").convert(mode)
    block = Image.Exif()
    block[ORIENTATION] = orientation
    for name, options in (("raw", {}), ("packed", {"compression": "tiff_lzw"})):
        image.save(tmp_path / f"{name}.tif", exif=block.tobytes(), **options)
    raw, packed = (read_picture(tmp_path / f"{name}.tif").image for name in ("raw", "packed"))
    assert raw.size == (20, 30)
    np.testing.assert_array_equal(np.asarray(raw), np.asarray(packed))
    raw, packed = (read_image(tmp_path / f"{name}.tif", color="gray") for name in ("raw", "packed"))
    np.testing.assert_array_equal(raw, packed)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_refuses_what_is_no_picture(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.png: (not a picture in a format that is read|damaged)"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_refuses_a_truncated_picture(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(pixels(60, 60, 3)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=f"a{suffix}: (not a picture|damaged)"):
        read_picture(path)


def structure(order, directories):
    """Returns an EXIF block: {name: (offset, [(tag, kind, count, four bytes)]) or (offset, bytes)}, the first at 8."""
    block = bytearray((b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)).ljust(600, b"\0")
    for offset, content in directories:
        if not isinstance(content, bytes):
            entries = b"".join(struct.pack(f"{order}HHI4s", *entry) for entry in content)
            content = struct.pack(f"{order}H", len(content)) + entries + bytes(4)
        block[offset : offset + len(content)] = content
    return b"Exif\0\0" + bytes(block)


@pytest.mark.parametrize("order", ["<", ">"])
def test_what_exif_says_by_places_and_orders_of_bytes_is_kept(tmp_path, order):
    def place(offset):
        return struct.pack(f"{order}I", offset)

    comment = b"UNICODE\0" + "\u6771\u4eac".encode("utf-16-le" if order == "<" else "utf-16-be") + b"!"  # an odd length
    note = b"maker" + place(320) + b"a lens"  # which points into itself, from the start of the block
    camera = [(0x927C, 7, len(note), place(311)), (0x9286, 7, len(comment), place(200)), (0xA005, 4, 1, place(100))]
    rules = [(1, 2, 4, b"R03\0")]
    white = (0x013E, 5, 2, place(240))
    main = [white, (0x8769, 4, 1, place(60))]
    values = struct.pack(f"{order}4I", 313, 1000, 329, 1000)
    block = structure(order, [(8, main), (60, camera), (100, rules), (200, comment), (240, values), (311, note)])
    Image.fromarray(pixels(8, 16, 3)).save(tmp_path / "a.jpg", exif=block)
    for suffix in (".jpg", ".png", ".webp", ".tif"):
        write_picture(tmp_path / f"b{suffix}", read_picture(tmp_path / "a.jpg"))
        file = Image.open(tmp_path / f"b{suffix}")
        kept = file.getexif()
        assert kept.get_ifd(0x8769)[0x9286] == b"UNICODE\0" + "\u6771\u4eac".encode("utf-16-le") + b"!"
        assert [float(value) for value in kept[0x013E]] == [0.313, 0.329]
        assert kept.get_ifd(0xA005)[1] in ("R03", "R03\0")
        assert kept.get_ifd(0x8769)[0x927C] == note
        if suffix != ".tif":
            assert file.info["exif"].removeprefix(b"Exif\0\0")[311:].startswith(note)


@pytest.mark.parametrize("tag", [0x927C, 0x9286], ids=["maker's note", "comment"])
def test_exif_that_is_too_long_for_a_jpeg_loses_its_longest_value(tmp_path, tag):
    block = exif()
    block.get_ifd(0x8769)[tag] = bytes(70_000)
    picture = Picture(Image.new("RGB", (8, 8)), block.tobytes())
    for suffix, kept in ((".jpg", False), (".png", True)):
        write_picture(tmp_path / f"a{suffix}", picture)
        settings = Image.open(tmp_path / f"a{suffix}").getexif().get_ifd(0x8769)
        assert settings[0x829D] == 2.5
        assert (tag in settings) == kept


def test_exif_of_many_short_values_is_shortened_for_a_jpeg():
    fields = [(tag, 4, 1, struct.pack("<I", tag)) for tag in range(0xA500, 0xA500 + 4095)]
    main = [(0x8769, 4, 1, struct.pack("<I", 60)), (0x8825, 4, 1, struct.pack("<I", 49_206))]
    block = structure("<", [(8, main), (60, fields), (49_206, fields)])
    many = read_exif(SimpleNamespace(format="PNG", info={"exif": block}), None)
    assert len(many) > 90_000
    assert 60_000 < len(shortened(many, 65_533)) <= 65_533
    assert len(shortened(many, 20)) <= 20


def test_a_makers_note_moves_before_it_is_left_out():
    camera = [(0x9286, 7, 1500, struct.pack("<I", 300)), (0x927C, 7, 61_000, struct.pack("<I", 1800))]
    camera.append((0xEA1C, 7, 2060, struct.pack("<I", 62_800)))
    main = [(0x8769, 4, 1, struct.pack("<I", 60))]
    note = np.random.default_rng(0).bytes(61_000)
    block = structure("<", [(8, main), (60, camera), (300, b"x" * 1500), (1800, note), (62_800, bytes(2060))])
    placed = read_exif(SimpleNamespace(format="JPEG", info={"exif": block}), None)
    assert len(placed) > 65_533 > len(shortened(placed, 65_533))
    assert note in shortened(placed, 65_533)


def test_values_of_hostile_exif_are_not_multiplied():
    count = 500
    entries = [(tag, 7, 10_000, struct.pack("<I", 7000)) for tag in range(0x9000, 0x9000 + count)]
    block = (b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x8769, 4, 1, 26)).ljust(26, b"\0")
    block += struct.pack("<H", count) + b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    kept = read_exif(SimpleNamespace(format="JPEG", info={"exif": b"Exif\0\0" + block.ljust(17_000, b"\0")}), None)
    assert len(kept) < 20_000


def test_exif_of_a_big_tiff_is_kept(tmp_path):
    Image.fromarray(pixels(8, 16, 3)).save(tmp_path / "a.tif", exif=exif().tobytes(), big_tiff=True)
    content = (tmp_path / "a.tif").read_bytes()
    pointers = [struct.pack("<HH", 0x8769, kind) for kind in (4, 18)]  # of 4 bytes, as Pillow does, and of 8
    assert pointers[0] in content
    (tmp_path / "a.tif").write_bytes(content.replace(*pointers))
    write_picture(tmp_path / "b.tif", read_picture(tmp_path / "a.tif"))
    assert Image.open(tmp_path / "b.tif").getexif().get_ifd(0x8769)[0x829D] == 2.5


@pytest.mark.parametrize(("suffix", "mode"), [(".jpg", "RGB"), (".png", "RGB"), (".tif", "RGB"), (".tif", "F")])
@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_the_resolution_turns_with_the_picture(tmp_path, suffix, mode, orientation):
    block = Image.Exif()
    block[ORIENTATION], block[0x011A], block[0x011B] = orientation, 200.0, 100.0
    Image.new(mode, (16, 8)).save(tmp_path / f"a{suffix}", exif=block, dpi=(200, 100))
    write_picture(tmp_path / f"b{suffix}", read_picture(tmp_path / f"a{suffix}"))
    written = Image.open(tmp_path / f"b{suffix}")
    expected = (100, 200) if orientation > 4 else (200, 100)
    assert written.size == ((8, 16) if orientation > 4 else (16, 8))
    assert written.info["dpi"] == pytest.approx(expected, rel=1e-3)
    assert (written.getexif()[0x011A], written.getexif()[0x011B]) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("block", [bytes(40), b"II*\0\xff\xff\xff\xff" + bytes(20)], ids=["zeros", "no directory"])
def test_exif_that_is_none_does_not_refuse_a_picture(tmp_path, suffix, block):
    stored = pixels(8, 16, 3)
    Image.fromarray(stored).save(tmp_path / f"a{suffix}", exif=b"Exif\0\0" + block, dpi=(72, 72), lossless=True)
    assert read_picture(tmp_path / f"a{suffix}").image.size == (16, 8)


GAMMA = {b"gAMA": struct.pack(">I", 100000), b"cICP": bytes([9, 16, 0, 1]), b"cHRM": bytes(32)}
GAMMA |= {b"mDCV": bytes(24), b"cLLI": bytes(8), b"sRGB": bytes(1)}


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_what_a_png_says_of_its_colors_is_kept(tmp_path, dtype):
    encoded = tf.io.encode_png(pixels(8, 16, 3, dtype=dtype)).numpy()
    chunks = b"".join(_chunk(kind, data) for kind, data in GAMMA.items())
    (tmp_path / "a.png").write_bytes(encoded[:33] + chunks + encoded[33:])
    picture = read_picture(tmp_path / "a.png")
    write_picture(tmp_path / "b.png", picture)
    assert dict(read_picture(tmp_path / "b.png").colors) == GAMMA
    content = (tmp_path / "b.png").read_bytes()
    assert max(content.index(kind) for kind in GAMMA) < content.index(b"IDAT")
    write_picture(tmp_path / "b.tif", dataclasses.replace(picture, image=Image.new("RGB", (4, 4))))  # which holds none


def test_what_a_png_says_of_its_colors_in_a_wrong_place_or_length_is_left_out(tmp_path):
    """One behind the pixels does not count; an empty one would make a file that nothing reads."""
    encoded = tf.io.encode_png(pixels(8, 16, 3)).numpy()
    long, late = _chunk(b"gAMA", bytes(100)), _chunk(b"sRGB", bytes(1))
    (tmp_path / "a.png").write_bytes(encoded[:33] + long + encoded[33:-12] + late + encoded[-12:])
    picture = read_picture(tmp_path / "a.png")
    assert not picture.colors
    write_picture(tmp_path / "a.png", picture)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png").image, picture.image)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_the_transparent_gray_of_a_png_of_few_bits(tmp_path, depth):
    most = 2**depth - 1
    line = bytes([0]) + most.to_bytes(depth, "big")  # eight pixels, of which the last one is white
    chunks = {b"IHDR": struct.pack(">IIBBBBB", 8, 1, depth, 0, 0, 0, 0), b"tRNS": struct.pack(">H", most)}
    chunks |= {b"IDAT": zlib.compress(line), b"IEND": b""}
    content = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks.items())
    (tmp_path / "a.png").write_bytes(content)
    image = read_picture(tmp_path / "a.png").image
    assert np.asarray(image)[0, :, -1].tolist() == [255] * 7 + [0]


def test_a_profile_of_some_megabytes_is_kept_in_a_png(tmp_path):
    profile = np.random.default_rng(0).bytes(1_500_000)
    write_picture(tmp_path / "a.png", Picture(Image.new("RGB", (8, 8)), icc_profile=profile))
    assert read_picture(tmp_path / "a.png").icc_profile == profile


@pytest.mark.parametrize("compressed", [False, True])
def test_texts_of_a_png_do_not_pass_for_settings(tmp_path, compressed):
    info = PngImagePlugin.PngInfo()
    for key in ("dpi", "transparency", "icc_profile", "compression", "exif", "interlace"):
        info.add_text(key, "jpeg", zip=compressed)
    stored = pixels(8, 16, 3)
    Image.fromarray(stored).save(tmp_path / "a.png", pnginfo=info)
    picture = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(picture.image), stored)
    assert (picture.lossy, picture.icc_profile, picture.dpi, picture.exif) == (False, None, None, None)


@pytest.mark.parametrize(
    ("image", "options", "words"),
    [
        (np.zeros((8, 8), "float32"), {"photometric": "miniswhite"}, "floating-point values whose white is 0"),
        (np.zeros((8, 8), "float32"), {"byteorder": ">", "compression": "zlib"}, "compressed numbers of big-endian"),
        (np.zeros((8, 8), "int32"), {"byteorder": ">", "compression": "zlib"}, "compressed numbers of big-endian"),
        (
            np.zeros((2, 8, 8), "uint8"),
            {"photometric": "minisblack", "planarconfig": "separate", "compression": "zlib", "extrasamples": [2]},
            "transparency in a plane of its own",
        ),
        (
            np.zeros((8, 8), "uint8"),
            {"photometric": "palette", "colormap": np.full((3, 256), 255, "uint16")},
            "a palette of 8 bits",
        ),
    ],
)
def test_tiffs_that_pillow_misreads_are_refused(tmp_path, image, options, words):
    tifffile.imwrite(tmp_path / "a.tif", image, **options)
    with pytest.raises(ValueError, match=f"a.tif: a TIFF with {words}.*, which Pillow misreads; save it in another"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["transparency", "icc_profile", "exif"])
def test_texts_of_a_png_that_hide_what_it_says_are_refused(tmp_path, kind):
    options = {"transparency": {"transparency": (1, 2, 3)}, "icc_profile": {"icc_profile": PROFILE}}
    options["exif"] = {"exif": exif(tag274=6).tobytes()}
    Image.new("RGB", (8, 4)).save(tmp_path / "a.png", **options[kind])
    read_picture(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    end = content.index(b"IDAT") - 4
    text = _chunk(b"tEXt", kind.encode() + b"\0a text")
    (tmp_path / "a.png").write_bytes(content[:end] + text + content[end:])
    with pytest.raises(ValueError, match=f"a.png: a text that is called {kind} hides what the file says of that"):
        read_picture(tmp_path / "a.png")


def test_tiffs_that_only_look_like_what_pillow_misreads(tmp_path):
    Image.new("RGB", (8, 8)).quantize(4).save(tmp_path / "a.tif")  # a black palette
    assert np.asarray(read_picture(tmp_path / "a.tif").image.convert("L")).max() == 0
    stored = pixels(2, 8, 16)
    options = {"photometric": "minisblack", "planarconfig": "separate", "compression": "zlib", "extrasamples": [0]}
    tifffile.imwrite(tmp_path / "b.tif", stored, **options)
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "b.tif").image), stored[0])


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_gray_of_16_bits_and_big_endian_order(tmp_path, compression):
    stored = pixels(8, 16, dtype="uint16")
    tifffile.imwrite(tmp_path / "a.tif", stored, byteorder=">", compression=compression)
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "a.tif").image), stored)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_refuses_a_picture_with_damaged_pixels(tmp_path, suffix):
    options = {"compression": "tiff_adobe_deflate"} if suffix == ".tif" else {}
    Image.fromarray(pixels(400, 300, 3)).save(tmp_path / f"a{suffix}", **options)
    content = bytearray((tmp_path / f"a{suffix}").read_bytes())
    content[1000:1100] = bytes(100)
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        read_picture(tmp_path / f"a{suffix}")


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [("a.webp", (16384, 8), "WEBP cannot hold more than 16383 pixels a side"), ("a.jpg", (8, 65501), "JPEG cannot")],
)
def test_sides_that_a_format_cannot_have(name, size, words):
    check_format(name, Image.new("RGB", (8, 8)), tuple(side - 1 for side in size))
    with pytest.raises(ValueError, match=f"{name}: {words}.*; choose PNG or TIFF"):
        check_format(name, Image.new("RGB", (8, 8)), size)
    with pytest.raises(ValueError, match="pixels a side; choose PNG or TIFF"):
        check_format("a.webp", Image.new("RGBA", (8, 8)), (20000, 8))
    check_format("a.png", Image.new("RGB", (8, 8)), size)
    check_format("a.png", Image.new("RGB", (8, 8)), (20000, 50000))
    with pytest.raises(ValueError, match="a.png: would have 50000x20001 pixels. At most 1,000,000,000 are written"):
        check_format("a.png", Image.new("RGB", (8, 8)), (20001, 50000))


def test_refuses_a_truncated_16_bit_png(tmp_path):
    (tmp_path / "a.png").write_bytes(tf.io.encode_png(pixels(60, 60, 3, dtype="uint16")).numpy()[:9000])
    with pytest.raises(ValueError, match="a.png: damaged"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("options", [{"planarconfig": "separate"}, {"tile": (16, 16)}, {"bigtiff": True}], ids=str)
@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg"])
def test_how_a_tiff_stores_its_pixels_does_not_pass_to_the_copy(tmp_path, options, suffix):
    stored = pixels(40, 50, 3)
    planes = np.moveaxis(stored, 2, 0) if "planarconfig" in options else stored
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", description="a tiff", **options)
    picture = read_picture(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.asarray(picture.image), stored)
    write_picture(tmp_path / f"b{suffix}", picture)
    written = read_picture(tmp_path / f"b{suffix}")
    assert np.asarray(written.image).shape == stored.shape
    if suffix != ".jpg":
        np.testing.assert_array_equal(np.asarray(written.image), stored)
    assert b"a tiff" in written.exif


def test_reads_the_photograph_of_a_phones_mpo(tmp_path):
    frames = [Image.fromarray(pixels(20, 20, 3)) for _ in range(2)]
    frames[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=frames[1:])
    assert read_picture(tmp_path / "a.jpg").image.size == (20, 20)


@pytest.mark.parametrize(("name", "mode"), [("a.jpg", "CMYK"), ("a.tif", "LAB")])
def test_a_profile_of_other_colors_than_rgb_is_left_out(tmp_path, name, mode):
    image = Image.fromarray(pixels(20, 20, 4) if mode == "CMYK" else pixels(20, 20, 3), mode)
    image.save(tmp_path / name, icc_profile=PROFILE)
    picture = read_picture(tmp_path / name)
    restored = restore(RED10(channels=3, filters=4, weights=None), picture.image)
    write_picture(tmp_path / "b.png", dataclasses.replace(picture, image=restored))
    with Image.open(tmp_path / "b.png") as written:
        assert written.mode == "RGB"
        assert "icc_profile" not in written.info


@pytest.mark.parametrize("color_type", [0, 2])  # gray, RGB
def test_refuses_16_bits_with_a_transparent_color(tmp_path, color_type):
    encoded = tf.io.encode_png(pixels(9, 9, 1 + color_type, dtype="uint16")).numpy()
    transparent = bytes(2 + 2 * color_type)
    chunk = _chunk(b"tRNS", transparent)
    (tmp_path / "a.png").write_bytes(encoded[:33] + chunk + encoded[33:])
    with pytest.raises(ValueError, match=r"a.png: .*16 bits with a transparent colour; save it as 16-bit RGBA"):
        read_picture(tmp_path / "a.png")


def test_metadata_too_long_for_a_format_is_a_value_error(tmp_path):
    with pytest.raises(ValueError, match=r"a.jpg: could not be written as JPEG. EXIF data is too long"):
        write_picture(tmp_path / "a.jpg", Picture(Image.new("RGB", (4, 4)), exif=b"Exif\0\0" + bytes(70_000)))
    assert not list(tmp_path.iterdir())


def test_refuses_several_pages_and_what_would_lose_depth(tmp_path):
    frames = [Image.fromarray(pixels(9, 9, 3)) for _ in range(2)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="an animation or a file of several pages"):
        read_picture(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", pixels(9, 9, 3, dtype="uint16"), photometric="rgb")
    gray_alpha = tf.io.encode_png(pixels(9, 9, 2, dtype="uint16")).numpy()
    (tmp_path / "c.png").write_bytes(gray_alpha)
    with pytest.raises(ValueError, match="16-bit gray with transparency would lose its depth"):
        read_picture(tmp_path / "c.png")
    with pytest.raises(ValueError, match="16-bit colour TIFF would lose its depth; save it as 16-bit PNG"):
        read_picture(tmp_path / "b.tif")
    tifffile.imwrite(tmp_path / "d.tif", pixels(9, 8, dtype="uint16") // 16, photometric="minisblack")
    whole = bytearray((tmp_path / "d.tif").read_bytes())
    at = whole.index(struct.pack("<HHIH", 258, 3, 1, 16))  # as if they were packed
    whole[at + 8] = 12
    (tmp_path / "d.tif").write_bytes(whole)
    with pytest.raises(ValueError, match="d.tif: a TIFF of 12 bits; save it with 16"):
        read_picture(tmp_path / "d.tif")


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "missing.png")


@pytest.mark.parametrize(
    ("image", "suffix", "message"),
    [
        (Image.new("RGBA", (4, 4)), ".jpg", "JPEG cannot hold transparency; choose PNG or TIFF or WEBP"),
        (pixels(4, 4, 3, dtype="uint16"), ".tif", "TIFF cannot hold 16-bit colour; choose PNG"),
        (Image.fromarray(pixels(4, 4, dtype="uint16")), ".webp", "WEBP cannot hold 16-bit gray; choose PNG or TIFF"),
        (Image.new("F", (4, 4)), ".png", "PNG cannot hold floating-point values; choose TIFF"),
        (Image.new("RGB", (4, 4)), ".xyz", "the name must end in one of .bmp"),
    ],
)
def test_refuses_a_format_that_would_lose_something(tmp_path, image, suffix, message):
    with pytest.raises(ValueError, match=message):
        write_picture(tmp_path / f"a{suffix}", Picture(image))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["ppm", "jp2", "eps", "gif"])
def test_reads_no_format_that_it_cannot_keep(tmp_path, suffix):
    """Pillow takes 8 bits of a PPM of 16, does not say that a JPEG 2000 was lossy, and hands PostScript on."""
    Image.fromarray(pixels(20, 30, 3)).save(tmp_path / f"a.{suffix}")
    picture = tmp_path / "a.png"
    (tmp_path / f"a.{suffix}").rename(picture)
    with pytest.raises(
        ValueError, match=r"a.png: not a picture in a format that is read: BMP, JPEG, PNG, TIFF or WebP"
    ):
        read_picture(picture)
    with pytest.raises(OSError, match="cannot identify"):
        read_image(picture)


@pytest.mark.parametrize("start", [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"])
def test_a_tiff_that_pillow_does_not_know_is_called_one(tmp_path, start):
    (tmp_path / "a.tif").write_bytes(start + bytes(100))
    with pytest.raises(
        ValueError, match=r"a.tif: a TIFF that is damaged, or of a kind that is not read, .*; save it as 16-bit PNG"
    ):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("tags", [[(254, "I", 1, 1, True)], [(0xC612, "B", 4, (1, 4, 0, 0), True)]])
def test_refuses_the_preview_in_a_raw_file(tmp_path, tags):
    tifffile.imwrite(tmp_path / "photo.tif", pixels(12, 16, 3), photometric="rgb", extratags=tags)
    with pytest.raises(ValueError, match=r"photo.tif: a camera's raw file, or a preview.*develop it first"):
        read_picture(tmp_path / "photo.tif")


def test_a_profile_of_gray_is_none_of_a_webp_which_holds_colour(tmp_path):
    gray = b"\0" * 16 + b"GRAY" + b"\0" * 108
    picture = Picture(Image.fromarray(pixels(20, 30, 1)[..., 0]), icc_profile=gray)
    for suffix, profile in (("png", gray), ("webp", None)):
        write_picture(tmp_path / f"a.{suffix}", picture)
        assert read_picture(tmp_path / f"a.{suffix}").icc_profile == profile


def test_refuses_16_bit_colour_that_would_not_be_encoded():
    check_format("a.png", np.zeros((1, 1, 3), np.uint16), (26000, 27000))
    with pytest.raises(
        ValueError, match="a.png: would have 27000x30000 pixels of 16-bit colour. At most 2,147,483,646"
    ):
        check_format("a.png", np.zeros((1, 1, 3), np.uint16), (30000, 27000))
