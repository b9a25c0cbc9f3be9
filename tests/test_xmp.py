"""Captions, keywords and stars pass to the restored picture; what XMP says of the file does not."""

import struct
import tracemalloc
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageCms

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
    for stale in (
        b"Orientation",
        b"HasExtended",
        b"PixelX",
        b"Thumbnails",
        b"image/jpeg",
        b"MotionPhoto",
        b"Film",
        b">\n<",
    ):
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
        WHOLE.replace(b"<rdf:li>sofa</rdf:li>", b"<unbound:li>sofa</unbound:li>"),
        WHOLE.replace(b"sofa", b"\x01"),
        (BOMB + DESCRIBED.replace("cat", "&b;")).encode(),
        WHOLE.decode().encode("utf-16"),
        WHOLE.replace(b"<dc:title>", b"<dc:title>" + b"<dc:a>" * 2000).replace(
            b"</dc:title>", b"</dc:a>" * 2000 + b"</dc:title>"
        ),
        HEAD.encode() + b"</x:xmpmeta>",
        b"<a/>",
        WHOLE[: WHOLE.index(b"<dc:title>")].replace(b"xmp:Rating", b"tiff:R")
        + b"</rdf:Description></rdf:RDF></x:xmpmeta>",
    ],
    ids=["words", "bytes", "cut", "unclosed", "unbound", "control", "bomb", "utf-16", "deep", "empty", "other", "file"],
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


def kept(tmp_path, packet):
    """Returns the packet that is kept of one, as text, and the attributes and elements of its first node."""
    save(tmp_path / "a.png", packet if isinstance(packet, bytes) else packet.encode())
    found = read_picture(tmp_path / "a.png").xmp
    node = None if found is None else ElementTree.fromstring(found.decode().strip("\ufeff"))[0][0]
    return found and found.decode(), node


def packet(properties, elements="", namespaces=""):
    uris = {"dc": DC, "digiKam": "http://www.digikam.org/ns/1.0/", "exif": "http://ns.adobe.com/exif/1.0/"}
    declared = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in uris.items())
    node = f'<rdf:Description rdf:about=""{declared}{namespaces} {properties}>{elements}</rdf:Description>'
    return f'{HEAD}<rdf:RDF xmlns:rdf="{RDF}">{node}</rdf:RDF></x:xmpmeta>'


DC = "http://purl.org/dc/elements/1.1/"


def test_values_are_those_of_the_file(tmp_path):
    value = "one&#xA;two&#x9;&quot;&lt;&amp;'"
    _, node = kept(tmp_path, packet(f'dc:source="{value}"', f"<dc:title><![CDATA[<a>&]]>&#xD;{value}</dc:title>"))
    assert node.get(f"{{{DC}}}source") == "one\ntwo\t\"<&'"
    assert node[0].text == "<a>&\rone\ntwo\t\"<&'"


def test_places_are_kept_and_the_identity_of_the_file_is_not(tmp_path):
    text, node = kept(
        tmp_path,
        packet(
            'exif:GPSLatitude="52,30N" exif:ExposureTime="1/8" digiKam:ImageUniqueID="7"',
            "<digiKam:ImageHistory>edited</digiKam:ImageHistory><digiKam:TagsList><rdf:Seq/></digiKam:TagsList>",
        ),
    )
    assert node.get("{http://ns.adobe.com/exif/1.0/}GPSLatitude") == "52,30N"
    assert [child.tag for child in node] == ["{http://www.digikam.org/ns/1.0/}TagsList"]
    assert "Exposure" not in text
    assert "UniqueID" not in text


@pytest.mark.parametrize("encoding", ["latin-1", "nosuch"])
def test_the_encoding_is_that_of_xmp_whatever_it_says(tmp_path, encoding):
    said = f'<?xml version="1.0" encoding="{encoding}"?>' + packet("", "<dc:title>Zoë</dc:title>").removeprefix(HEAD)
    _, node = kept(tmp_path, said.replace("</x:xmpmeta>", ""))
    assert node[0].text == "Zoë"


@pytest.mark.parametrize("behind", ["garbage", "<more/>", "\0\0"])
def test_what_stands_behind_the_packet_does_no_harm(tmp_path, behind):
    _, node = kept(tmp_path, packet('dc:source="mine"') + behind)
    assert node.get(f"{{{DC}}}source") == "mine"


def test_namespaces_may_be_those_of_elements_around_and_have_no_prefix(tmp_path):
    inner = f'<Description xmlns="{RDF}" d:source="mine"><title xmlns="{DC}">cat</title><li>no</li></Description>'
    around = f'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:d="{DC}"><RDF xmlns="{RDF}">{inner}</RDF></x:xmpmeta>'
    _, node = kept(tmp_path, around)
    assert node.get(f"{{{DC}}}source") == "mine"
    assert [(child.tag, child.text) for child in node] == [(f"{{{DC}}}title", "cat")]


@pytest.mark.parametrize(
    "hostile",
    [
        packet(" ".join(f'p:a{i}=""' for i in range(20_000)), namespaces=f' xmlns:p="{"u" * 500_000}"'),
        packet("", "<dc:a/>\n" * 30_000),
        packet("", "<exif:a/>\n" * 30_000),
        packet("", "".join(f'<dc:a xmlns:p{i}="u"/>' for i in range(10_000))),
        packet("", "<dc:title>" + "&#xD;" * 200_000 + "</dc:title>"),
    ],
    ids=["long namespace", "kept", "left out", "prefixes", "line breaks"],
)
def test_hostile_packets_take_little_memory(tmp_path, hostile):
    assert len(hostile) < LONGEST
    save(tmp_path / "a.png", hostile.encode())
    tracemalloc.start()
    try:
        read_picture(tmp_path / "a.png")
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_beside_exif_data_and_a_profile(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "words"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options = {"exif": exif.tobytes(), "icc_profile": profile, "xmp": WHOLE}
    Image.new("RGB", (24, 16)).save(tmp_path / "a.jpg", **options)
    write_picture(tmp_path / f"b{suffix}", read_picture(tmp_path / "a.jpg"))
    with Image.open(tmp_path / f"b{suffix}") as written:
        assert written.size == (16, 24)
        assert written.info["icc_profile"] == profile
        assert written.getexif()[0x010E] == "words"
        assert b"cat" in written.info["xmp"]
    content = (tmp_path / f"b{suffix}").read_bytes()
    assert content.count(b"<rdf:RDF") == 1
