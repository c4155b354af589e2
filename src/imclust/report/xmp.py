"""Keywords as XMP sidecars: small files beside images, which photo programs read."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

TEMPLATE = """<?xpacket begin="\N{ZERO WIDTH NO-BREAK SPACE}" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="imclust">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/">
   <dc:subject>
    <rdf:Bag>{words}
    </rdf:Bag>
   </dc:subject>
   <lr:hierarchicalSubject>
    <rdf:Bag>{paths}
    </rdf:Bag>
   </lr:hierarchicalSubject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""


def sidecar(keywords: Sequence[str]) -> str:
    """The text of `name.ext.xmp` (XMP specification, part 1; dc:subject, and Lightroom's tree).

    Parameters
    ----------
    keywords : sequence of str
        Any text; what XML cannot hold is left out.

    Examples
    --------
    >>> "<rdf:li>cats &amp; dogs</rdf:li>" in sidecar(["cats & dogs"])
    True
    """
    clean = ["".join(c for c in word if c.isprintable()) for word in keywords]
    return TEMPLATE.format(
        words=_items(clean), paths=_items([f"imclust|{w.replace('|', ' ')}" for w in clean])
    )


def _items(words: Sequence[str]) -> str:
    return "".join(f"\n     <rdf:li>{escape(word)}</rdf:li>" for word in words)
