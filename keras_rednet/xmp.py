"""XMP (ISO 16684-1): of it, what people have written about a picture, which is as true of the restored one.

The rest tells how the file was stored, turned, developed or put together, of which a reader would believe all: a
phone's says that a film lies behind the photograph.
"""

from xml.dom import minidom
from xml.parsers.expat import ExpatError

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
# Titles, captions, keywords, stars and labels, people and places, rights and licences.
DESCRIPTIVE = {
    "http://purl.org/dc/elements/1.1/",
    "http://ns.adobe.com/xap/1.0/",
    "http://ns.adobe.com/xap/1.0/rights/",
    "http://ns.adobe.com/photoshop/1.0/",
    "http://ns.adobe.com/lightroom/1.0/",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "http://ns.useplus.org/ldf/xmp/1.0/",
    "http://www.digikam.org/ns/1.0/",
    "http://ns.microsoft.com/photo/1.0/",
    "http://ns.microsoft.com/photo/1.0",
    "http://creativecommons.org/ns#",
}
# What is of the file nevertheless: its kind, colours, layers and thumbnail, places in it, checksums of other parts.
STALE = {
    *("format", "ColorMode", "ICCProfile", "TextLayers", "Thumbnails", "History", "DocumentAncestors", "ImageRegion"),
    *("EmbeddedXMPDigest", "LegacyIPTCDigest"),
}
LONGEST = 2**20  # bytes, as parsing takes many times as much
PACKET = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{}<?xpacket end="w"?>'


def read(image):
    """Returns the part of a picture's XMP that describes what it shows, as a packet in UTF-8, or None.

    Args:
        image: a picture, opened by Pillow, with all of its file read.
    """
    packet = image.info.get("xmp")
    if not isinstance(packet, bytes) or len(packet) > LONGEST:  # of other types, where fields or texts only look so
        return None
    try:
        text = packet.decode().strip("\0\ufeff \r\n\t")
        if "<!DOCTYPE" in text:  # which could multiply what it holds
            return None
        document = minidom.parseString(text.encode())
        for parent in document.getElementsByTagNameNS(RDF, "RDF"):
            for node in _elements(parent):
                if not _describes(node):
                    parent.removeChild(node)
        if not document.getElementsByTagNameNS(RDF, "Description"):
            return None
        return PACKET.format(document.documentElement.toxml()).encode()
    except (ExpatError, UnicodeError, ValueError, RecursionError):
        return None


def _describes(node):
    """Removes from a description what is not to be kept, and returns whether that leaves anything."""
    attributes = [x for x in node.attributes.values() if x.namespaceURI not in (RDF, minidom.XMLNS_NAMESPACE)]
    for attribute in attributes:
        if not _is_kept(attribute):
            node.removeAttributeNode(attribute)
    for child in _elements(node):
        if not _is_kept(child):
            node.removeChild(child)
    return any(map(_is_kept, attributes)) or bool(_elements(node))


def _elements(node):
    return [child for child in node.childNodes if child.nodeType == child.ELEMENT_NODE]


def _is_kept(node):
    return node.namespaceURI in DESCRIPTIVE and node.localName not in STALE
