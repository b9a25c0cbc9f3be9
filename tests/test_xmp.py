"""Captions, keywords and stars pass to the restored picture; what XMP says of the file does not."""

import struct
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from keras_rednet.cli import main
from keras_rednet.exif import add_to_tiff
from keras_rednet.pictures import Picture, _add_chunks, read_picture, write_picture
from keras_rednet.xmp import LONGEST, RDF

HEAD = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
DESCRIBED = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
 xmlns:xmpGImg="http://ns.adobe.com/xap/1.0/g/img/"
 xmp:Rating="4" tiff:Orientation="6" xmpNote:HasExtendedXMP="0123" dc:format="image/jpeg">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Zoë &amp; 東京 &lt;1&gt;</rdf:li></rdf:Alt></dc:title>
<dc:subject><rdf:Bag><rdf:li>cat</rdf:li><rdf:li>sofa</rdf:li></rdf:Bag></dc:subject>
<exif:PixelXDimension>4000</exif:PixelXDimension>
<xmp:Thumbnails><rdf:Alt><rdf:li rdf:parseType="Resource"><xmpGImg:image>AAAA</xmpGImg:image></rdf:li></rdf:Alt>
</xmp:Thumbnails>
<lr:hierarchicalSubject><rdf:Bag><rdf:li>animal|cat</rdf:li></rdf:Bag></lr:hierarchicalSubject>
</rdf:Description>
<rdf:Description rdf:about="" xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MotionPhoto="1"/>
<GCamera:Film xmlns:GCamera="http://ns.google.com/photos/1.0/camera/">1</GCamera:Film>
</rdf:RDF>"""
WHOLE = f'{HEAD}{DESCRIBED}</x:xmpmeta>{" " * 500}<?xpacket end="w"?>'.encode()
SUFFIXES = [".jpg", ".png", ".tif", ".webp"]


def save(path, packet, mode="RGB"):
    """Writes a picture whose XMP is a packet, without the package's own means where Pillow has some."""
    Image.new(mode, (24, 16), "gray").save(path, **({"xmp": packet} if path.suffix in (".jpg", ".webp") else {}))
    if path.suffix == ".png":
        _add_chunks(path, [(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)])
    elif path.suffix == ".tif":
        add_to_tiff(path, b"", packet)


def found(path):
    with Image.open(path) as picture:
        return picture.info.get("xmp")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("source", SUFFIXES)
def test_what_describes_the_picture_is_kept_and_nothing_else(tmp_path, source, suffix):
    save(tmp_path / f"a{source}", WHOLE)
    assert found(tmp_path / f"a{source}") == WHOLE
    write_picture(tmp_path / f"b{suffix}", read_picture(tmp_path / f"a{source}"))
    packet = found(tmp_path / f"b{suffix}")
    ((described,),) = ElementTree.fromstring(packet.decode().strip("\ufeff"))
    assert described.get("{http://ns.adobe.com/xap/1.0/}Rating") == "4"
    values = {child.tag.split("}")[1]: [li.text for li in child.iter(f"{{{RDF}}}li")] for child in described}
    assert values == {"title": ["Zoë & 東京 <1>"], "subject": ["cat", "sofa"], "hierarchicalSubject": ["animal|cat"]}
    assert described.find(f".//{{{RDF}}}li").attrib == {"{http://www.w3.org/XML/1998/namespace}lang": "x-default"}
    for stale in (b"Orientation", b"HasExtended", b"PixelX", b"Thumbnails", b"image/jpeg", b"MotionPhoto", b"Film"):
        assert stale not in packet
    assert read_picture(tmp_path / f"b{suffix}").xmp == packet  # once restored, always the same


def test_16_bit_colour_keeps_it(tmp_path):
    save(tmp_path / "a.png", WHOLE)
    packet = read_picture(tmp_path / "a.png").xmp
    deep = np.random.default_rng(0).integers(0, 65535, (8, 9, 3), "uint16")
    write_picture(tmp_path / "b.png", Picture(deep, xmp=packet))
    picture = read_picture(tmp_path / "b.png")
    assert picture.xmp == packet
    np.testing.assert_array_equal(picture.image, deep)


def test_the_command_keeps_it(tmp_path):
    save(tmp_path / "a.jpg", WHOLE)
    weights = ["--weights", "red10-fast-denoise-blind-gray"]
    assert main(["denoise", str(tmp_path / "a.jpg"), "-o", str(tmp_path / "b.tif"), *weights]) == 0
    assert found(tmp_path / "b.tif") == read_picture(tmp_path / "a.jpg").xmp is not None


BOMB = f'<!DOCTYPE x [<!ENTITY a "{"a" * 1000}"><!ENTITY b "{"&a;" * 1000}">]>'


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "packet",
    [
        b"nothing",
        b"\xff\xfe\0",
        WHOLE[:-700],
        WHOLE.replace(b"</dc:title>", b""),
        WHOLE.replace(b"tiff:Orientation", b"unbound:Orientation"),
        (BOMB + DESCRIBED.replace("cat", "&b;")).encode(),
        WHOLE.decode().encode("utf-16"),
        WHOLE.replace(b"<dc:title>", b"<dc:title>" + b"<dc:a>" * 2000).replace(
            b"</dc:title>", b"</dc:a>" * 2000 + b"</dc:title>"
        ),
        HEAD.encode() + b"</x:xmpmeta>",
        b"<a/>",
    ],
    ids=["words", "bytes", "cut", "unclosed", "unbound", "bomb", "utf-16", "deep", "empty", "other"],
)
def test_what_is_damaged_or_hostile_is_left_out(tmp_path, packet, suffix):
    save(tmp_path / f"a{suffix}", packet[:65000] if suffix == ".jpg" else packet)
    picture = read_picture(tmp_path / f"a{suffix}")
    assert picture.xmp is None
    write_picture(tmp_path / f"b{suffix}", picture)
    assert found(tmp_path / f"b{suffix}") is None


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_more_than_a_jpeg_holds(tmp_path, suffix):
    save(tmp_path / f"a{suffix}", WHOLE.replace(b"sofa", b"sofa" * 20_000))
    picture = read_picture(tmp_path / f"a{suffix}")
    write_picture(tmp_path / f"b{suffix}", picture)
    assert found(tmp_path / f"b{suffix}") == picture.xmp is not None
    write_picture(tmp_path / "c.jpg", picture)
    assert found(tmp_path / "c.jpg") is None
    save(tmp_path / f"d{suffix}", WHOLE.replace(b"sofa", b"sofa" * (LONGEST // 4)))
    assert read_picture(tmp_path / f"d{suffix}").xmp is None


def test_a_text_or_a_field_that_is_only_called_so(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    _add_chunks(tmp_path / "a.png", [(b"tEXt", b"xmp\0" + WHOLE)])
    assert read_picture(tmp_path / "a.png").xmp is None
    Image.new("L", (8, 8)).save(tmp_path / "a.tif", tiffinfo={700: struct.pack("<I", 5)})
    assert read_picture(tmp_path / "a.tif").xmp is None
