"""Where an AIcrowd key comes from: the environment, else what `aicrowd login` wrote."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

VARIABLE = "AICROWD_API_KEY"
WANTS = (
    f"set {VARIABLE} to the API key on your profile at https://www.aicrowd.com/participants/me, "
    "or run `aicrowd login`"
)


def key() -> tuple[str, str]:
    """The key and where it was found: `AICROWD_API_KEY`, a path, or "" where there is none."""
    if value := os.environ.get(VARIABLE, "").strip():
        return value, VARIABLE
    path = config()
    try:
        value = tomllib.loads(path.read_text()).get("aicrowd_api_key", "")
    except (OSError, ValueError):  # none, not ours to read, or not TOML: aicrowd-cli's view too
        return "", ""
    return (value.strip(), str(path)) if isinstance(value, str) and value.strip() else ("", "")


def config() -> Path:
    """The settings file of aicrowd-cli, there or not; where click puts those of an application."""
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home())
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "aicrowd-cli" / "config.toml"
