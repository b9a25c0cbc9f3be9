"""XMP (ISO 16684-1): of it, what people have written about a picture, which is as true of the restored one.

The rest tells how the file was stored, turned, developed or put together, of which a reader would believe all: a
phone's says that a film lies behind the photograph.
"""

import contextlib
from collections import ChainMap
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XML = "http://www.w3.org/XML/1998/namespace"
# Titles, captions, keywords, stars and labels, places, rights and licences.
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
    "http://ns.acdsee.com/iptc/1.0/",
    "http://ns.iview-multimedia.com/mediapro/1.0/",
    "http://www.metadataworkinggroup.com/schemas/keywords/",
    "http://creativecommons.org/ns#",
}
CAMERA, PLACE = "http://ns.adobe.com/exif/1.0/", "GPS"  # of whose properties those that begin so are kept
# What is of the file nevertheless: its kind, colours, layers, previews, identity, edits, places in it, other parts.
STALE = {
    *("format", "ColorMode", "ICCProfile", "TextLayers", "Thumbnails", "PageInfo", "Preview", "ImageUniqueID"),
    *("History", "ImageHistory", "LensCorrectionSettings", "DocumentAncestors", "ImageRegion"),
    *("EmbeddedXMPDigest", "LegacyIPTCDigest", "SidecarForExtension"),
}
LONGEST = 2**20  # bytes
PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">{}</x:xmpmeta>'
    '<?xpacket end="w"?>'
)
DEEPEST = 64  # levels; four are usual
NODE = 1  # the level below rdf:RDF; properties are below it


def read(image):
    """Returns the part of a picture's XMP that describes what it shows, as a packet in UTF-8, or None.

    Args:
        image: a picture, opened by Pillow, with all of its file read.
    """
    packet = image.info.get("xmp")
    if not isinstance(packet, bytes) or len(packet) > LONGEST:  # of other types, where fields or texts only look so
        return None
    described = _Description()
    with contextlib.suppress(expat.ExpatError, ValueError):  # it is complete, too, where something stands behind it
        described.read(packet.decode().strip("\0\ufeff \r\n\t"))
    return PACKET.format("".join(described.parts)).encode() if described.complete and described.parts else None


class _Description:
    """Writes rdf:RDF as it is read, without what is not to be kept. A tree of it could take any memory."""

    def __init__(self):
        self.parts = []  # of the text
        self.complete = False
        self._scopes = [ChainMap({"xml": XML})]  # {prefix: namespace}, one of each open element that is not skipped
        self._level = None  # of the open element below rdf:RDF
        self._skipped = 0  # levels, of a property that is not kept
        self._begun = []  # for rdf:RDF and its node: how many parts there were, and whether anything has been kept

    def read(self, text):
        # Without expat's own handling of namespaces, which repeats their names at each of their elements.
        parser = expat.ParserCreate("utf-8")  # whatever the text says of itself: it is decoded
        parser.StartDoctypeDeclHandler = self._refuse  # it could multiply what the text holds
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.Parse(text.encode(), True)

    def _refuse(self, *declaration):
        raise ValueError(f"XMP must not declare a document type. Received: {declaration}")

    def _start(self, name, attributes):
        if self.complete or self._skipped:
            self._skipped += not self.complete
            return
        if len(self._scopes) > DEEPEST:
            raise ValueError(f"XMP must not be more than {DEEPEST} elements deep")
        declared = {key[5:].lstrip(":"): value for key, value in attributes.items() if _declares(key)}
        self._scopes.append(self._scopes[-1].new_child(declared))
        if self._level is None:
            if self._resolved(name) != (RDF, "RDF"):
                return
            attributes = {f"xmlns:{key}".rstrip(":"): uri for key, uri in self._scopes[-1].items() if key != "xml"}
            self._level = 0
        elif self._level == NODE and not self._is_kept(name):
            self._scopes.pop()
            self._skipped = 1
            return
        else:
            self._level += 1
        if self._level == NODE:
            attributes = {key: value for key, value in attributes.items() if self._stays(key)}
        if self._level <= NODE:
            self._begun.append([len(self.parts), any(":" in key and self._is_kept(key) for key in attributes)])
        else:
            self._begun[-1][1] = True
        for prefixed in (name, *(key for key in attributes if ":" in key and not _declares(key))):
            if self._resolved(prefixed)[0] is None and ":" in prefixed:
                raise ValueError(f"XMP must say what its prefixes mean. Received: {prefixed}")
        self.parts.append(
            "".join([f"<{name}", *(f" {key}={quoteattr(value)}" for key, value in attributes.items()), ">"])
        )

    def _end(self, name):
        if self.complete or self._skipped:
            self._skipped -= not self.complete
            return
        self._scopes.pop()
        if self._level is None:
            return
        self.parts.append(f"</{name}>")
        if self._level <= NODE:
            begun, anything = self._begun.pop()
            if not anything:
                del self.parts[begun:]
            elif self._begun:
                self._begun[-1][1] = True
        self.complete = self._level == 0
        self._level -= 1

    def _characters(self, data):
        if self._level is not None and self._level > NODE and not self._skipped and not self.complete:
            self.parts.append(escape(data, {"\r": "&#13;"}))

    def _resolved(self, name):
        prefix, _, local = name.rpartition(":")
        return self._scopes[-1].get(prefix), local

    def _is_kept(self, name):
        namespace, local = self._resolved(name)
        if namespace == CAMERA:
            return local.startswith(PLACE)
        return namespace in DESCRIPTIVE and local not in STALE

    def _stays(self, attribute):
        """Tells whether an attribute of a node is a property that is kept, or none but part of the notation."""
        notation = attribute == "about" or _declares(attribute) or self._resolved(attribute)[0] in (RDF, XML)
        return notation or self._is_kept(attribute)


def _declares(attribute):
    """Tells whether an attribute says what a prefix means."""
    return attribute.partition(":")[0] == "xmlns"
