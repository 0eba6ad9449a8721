"""Pages that are one file: what a browser shows without a server, a network or another file."""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from importlib.resources import files
from typing import Any

_THEME = "theme.css"
_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>{styles}</style>
</head>
<body>
{body}
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def document(title: str, *, body: str, styles: str, script: str, data: Any) -> str:
    """A whole HTML page. `data` is there for the script, as JSON in the element of id `data`.

    body, styles and script are boxray's own and go in as they are. Whatever comes from a user
    belongs into title or data, where it is text: it cannot end an element, and the page's policy
    lets no other script run and nothing be fetched. Raises ValueError for NaN or infinity.
    """
    whole_styles = theme() + styles
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_digest(whole_styles)}'; script-src '{_digest(script)}'"
    )
    return _TEMPLATE.format(
        policy=policy,
        title=escape(title),
        styles=whole_styles,
        body=body,
        data=embedded(data),
        script=script,
    )


def theme() -> str:
    """The colours and letters of every page, for a light and a dark screen."""
    return asset(_THEME)


def asset(*names: str) -> str:
    """Files of this folder, one after the other: a page's script or styles, or their first part."""
    return "".join(files(__name__).joinpath(name).read_text("utf-8") for name in names)


def embedded(data: Any) -> str:
    """JSON that may stand inside a script element, whatever texts it holds."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    # no "</script>" and no "<!--" can occur; & for readers that take the page as XML
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def data_uri(content: bytes, kind: str) -> str:
    """A picture as an address that holds it: kind is `jpeg` or `png`."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _digest(text: str) -> str:
    """What the page's policy calls this style or script by. Source: W3C, CSP Level 3, 2.3.1."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
