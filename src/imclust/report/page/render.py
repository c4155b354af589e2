"""Templates, styles, scripts and data put into one file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

from imclust.report.page.tables import shown

HERE = Path(__file__).parent
SCRIPTS = (
    *("data", "images", "tables", "charts", "map", "corrections", "pairs", "sections", "find"),
    "main",
)
# Bokeh's own files (BSD-3-Clause), as its package ships them.
PLOTTING = ("bokeh.min.js", "bokeh-api.min.js")
# No address is allowed: the page can neither fetch nor send anything.
POLICY = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)


def look() -> str:
    """Digest of the templates, styles and scripts: a page is made again when they change."""
    h = hashlib.sha256()
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
    inlined = {
        "policy": POLICY,
        "css": Markup((HERE / "static" / "page.css").read_text(encoding="utf-8")),
        "plotting": [Markup(text) for text in _plotting()],
        "script": Markup(script()),
        "rows": squeezed(data),
    }
    text = env.get_template("report.html.j2").render(context | inlined)
    path.write_text(text, encoding="utf-8")


def script() -> str:
    """The page's own scripts as one."""
    texts = [(HERE / "static" / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    return '"use strict";\n(() => {\n' + "\n".join(texts) + "\n})();"


def squeezed(data: Any) -> str:
    """JSON, compressed, as base64: ids of many images say much the same."""
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
