"""An assignment as one piece of HTML for a notebook: small pictures inside, nothing fetched."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from imclust.core.wording import counted
from imclust.data.images import ImageRow
from imclust.data.loader import Preprocessing, pixels
from imclust.report.results import FolderAssignment

SIDE = 72  # pixels of a picture
QUALITY = 70  # of its JPEG: about 2 kB
PICTURES = 120  # at most, of all clusters
A_CLUSTER = 10  # at most
CLUSTERS = 40  # shown


def gallery(clustering: FolderAssignment, caption: str) -> str:
    """Clusters, the largest first, each with pictures from its centre to its rim.

    Self-contained, at most about 350 kB: no script, no address but `data:`. Names are escaped;
    images that have gone leave their names.

    Examples
    --------
    >>> clustering = FolderAssignment.load(Path("run/clusters"), Path("raw/index"))
    >>> html = gallery(clustering, "Photos")
    >>> html.count("<img"), "24 images" in html
    (20, True)
    """
    members = [clustering.members(c) for c in range(len(clustering.names))]
    order = sorted(range(len(members)), key=lambda c: (-len(members[c]), c))
    shown = order[:CLUSTERS]
    each = max(2, min(A_CLUSTER, PICTURES // max(len(shown), 1)))
    parts = [f"<p>{escape(caption)}. {counted(len(clustering.rows), 'image')}.</p>"]
    for c in shown:
        few = spread(members[c], each)
        pictures = "".join(_picture(clustering.images[i], clustering.rows[i].file) for i in few)
        title = f"<b>{escape(clustering.title(c))}</b> &nbsp; {counted(len(members[c]), 'image')}"
        parts.append(f'<div style="margin:6px 0">{title}<br>{pictures}</div>')
    if len(order) > len(shown):
        parts.append(f"<p>and {len(order) - len(shown)} smaller clusters</p>")
    return f'<div style="font-family:sans-serif">{"".join(parts)}</div>'


def table(sizes: Sequence[int], caption: str) -> str:
    """Clusters and their sizes as HTML, for answers about vectors, whose images nobody knows.

    Examples
    --------
    >>> table([3, 5], "8 rows").startswith("<p>8 rows</p>")
    True
    """
    rows = "".join(
        f"<tr><td>{c}</td><td>{size}</td></tr>" for c, size in enumerate(sizes[:CLUSTERS])
    )
    more = f"<p>and {len(sizes) - CLUSTERS} more</p>" if len(sizes) > CLUSTERS else ""
    head = "<thead><tr><th>cluster</th><th>rows</th></tr></thead>"
    return f"<p>{escape(caption)}</p><table>{head}<tbody>{rows}</tbody></table>{more}"


def spread(members: list[int], most: int) -> list[int]:
    """At most so many of a ranking, evenly from its first to its last.

    Examples
    --------
    >>> spread([0, 1, 2, 3, 4, 5, 6], 3)
    [0, 3, 6]
    """
    few = min(most, len(members))
    if few < 2:
        return members[:few]
    return [members[round(i * (len(members) - 1) / (few - 1))] for i in range(few)]


def _picture(image: ImageRow, file: str) -> str:
    name = escape(file, quote=True)
    style = f"width:{SIDE}px;height:{SIDE}px;object-fit:cover;margin:1px"
    try:
        if not Path(image.source).is_file():
            raise ValueError("gone")
        data = data_uri(pixels(image, Preprocessing(SIDE)))
    except (ValueError, OSError):
        return f'<code title="{name}">{name}</code> '
    return f'<img src="{data}" alt="{name}" title="{name}" style="{style}">'


def data_uri(rgb: np.ndarray) -> str:
    """An image (h, w, 3) uint8 as a JPEG inside of an address.

    Examples
    --------
    >>> data_uri(np.zeros((2, 2, 3), np.uint8))[:23]
    'data:image/jpeg;base64,'
    """
    import cv2

    found, jpeg = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not found:
        raise ValueError("OpenCV cannot write a JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
