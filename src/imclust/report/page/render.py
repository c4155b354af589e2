"""Templates, styles, scripts and data put into one file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from imclust.clustering.correction_facts import in_words
from imclust.core.wording import counted
from imclust.report.page.tables import shown
from imclust.report.palette import ON_DARK, ON_LIGHT

HERE = Path(__file__).parent
SCRIPTS = (
    *(
        "data",
        "images",
        "tables",
        "charts",
        "dots",
        "labels",
        "map",
        "corrections",
        "pairs",
        "sections",
        "find",
    ),
    "main",
)
# Bokeh's own files (BSD-3-Clause), as its package ships them.
PLOTTING = ("bokeh.min.js", "bokeh-api.min.js")
# No address is allowed: the page can neither fetch nor send anything. Of scripts, only those run
# whose digest stands here; `{scripts}` is where.
POLICY = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
    "script-src {scripts}; base-uri 'none'; form-action 'none'"
)
# Characters that are not seen and change how others are shown: controls, directions, of no width.
UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)


def look() -> str:
    """Digest of the templates, styles and scripts: a page is made again when they change.

    Examples
    --------
    >>> len(look())
    16
    """
    h = hashlib.sha256(_colours().encode())
    for path in sorted([*HERE.glob("templates/*.j2"), *HERE.glob("static/*")]):
        h.update(path.name.encode() + path.read_bytes())
    return h.hexdigest()[:16]


def render(context: dict[str, Any], data: dict[str, Any], path: Path) -> None:
    """Write the page.

    Parameters
    ----------
    context : dict[str, Any]
        What the templates show; its `facts` are for the scripts, as JSON.
    data : dict[str, Any]
        Columns of the images, for the scripts, compressed.
    path : Path
        Of the file.

    Examples
    --------
    >>> from jinja2 import UndefinedError
    >>> try:  # what the templates show must all be there
    ...     render({"title": "Photos"}, {}, Path("report.html"))
    ... except UndefinedError as e:
    ...     str(e)
    "'k' is undefined"
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    env = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["shown"] = shown
    env.filters["marked"] = marked
    env.filters["counted"] = lambda n, what: counted(n, what.removesuffix("s"))
    env.filters["said"] = in_words
    plotting, own = _plotting(), _script()
    inlined = {
        "policy": policy([*plotting, own]),
        "css": Markup((HERE / "static" / "page.css").read_text(encoding="utf-8") + _colours()),
        "plotting": [Markup(text) for text in plotting],
        "script": Markup(own),
        "rows": squeezed(data),
    }
    text = env.get_template("report.html.j2").render(context | inlined)
    path.write_text(text, encoding="utf-8")


def policy(scripts: list[str]) -> str:
    """The page's Content-Security-Policy: nothing is fetched or sent, and only these scripts run.

    Examples
    --------
    >>> policy(["go()"]).partition("script-src ")[2].partition(";")[0]
    "'sha256-5KYv+PUboo5h+0+YAtGRPbwv5d/QxzHslP4YGnUaxRw='"
    """
    digests = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts)
    return POLICY.format(scripts=" ".join(f"'sha256-{digest}'" for digest in digests))


def marked(name: str) -> str:
    """A name with every character that is not seen as a mark, such as `[U+202E]`.

    Examples
    --------
    >>> marked("photo" + chr(0x202E) + "gpj.exe")
    'photo[U+202E]gpj.exe'
    """
    return UNSEEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", name)


def _colours() -> str:
    """The palette of clusters as properties of the style: `--c0` and so on, of both themes."""
    themes = {":root": ON_LIGHT, ':root[data-theme="dark"]': ON_DARK}
    return "".join(
        f"{of} {{ {' '.join(f'--c{n}: {colour};' for n, colour in enumerate(colours))} }}\n"
        for of, colours in themes.items()
    )


def _script() -> str:
    """The page's own scripts as one."""
    texts = [(HERE / "static" / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    return '"use strict";\n(() => {\n' + "\n".join(texts) + "\n})();"


def squeezed(data: Any) -> str:
    """JSON, compressed, as base64: ids of many images say much the same.

    Examples
    --------
    >>> gzip.decompress(base64.b64decode(squeezed({"id": ["a", "b"]})))
    b'{"id":["a","b"]}'
    """
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    return base64.b64encode(gzip.compress(text, 6, mtime=0)).decode()


def _plotting() -> list[str]:
    """The plotting library's scripts, out of its package, without importing that."""
    spec = importlib.util.find_spec("bokeh")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("bokeh, which requirements.txt names, is not installed")
    folder = Path(next(iter(spec.submodule_search_locations))) / "server" / "static" / "js"
    texts = [(folder / name).read_text(encoding="utf-8") for name in PLOTTING]
    for text in texts:
        if "</script" in text or "<!--" in text:
            raise AssertionError("a script of the plotting library would end its own element")
    return texts
