"""Pages of the server itself, for which no scene is needed."""

from __future__ import annotations

import html

from aiohttp import web


def notice(status: int, title: str, text: str, below: str) -> web.Response:
    """Return a page.

    Args:
        status: HTTP status.
        title: Heading.
        text: One paragraph.
        below: HTML of what can be done.
    """
    page = f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>DSM Segment: {html.escape(title)}</title>
<style>body {{ font: 16px sans-serif; background: #121212; color: #eee; }}
main {{ max-width: 34em; margin: 15vh auto; padding: 0 1em; }} a {{ color: #90caf9; }}
input, button {{ font: inherit; color: inherit; background: #222; border: 1px solid #888; border-radius: 4px;
padding: 0.4em 0.6em; margin: 0.4em 0.4em 0 0; }} input {{ width: 22em; max-width: 100%; box-sizing: border-box; }}
</style></head>
<body><main><h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>{below}</main></body></html>"""
    return web.Response(status=status, text=page, content_type="text/html")
