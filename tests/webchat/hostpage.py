"""Pages of the force that hold the chat, served from an origin of their own: strict, and hostile in looks."""

from __future__ import annotations

import contextlib
import html
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOSTILE = """
* {
  all: revert !important; position: static !important; float: left !important; clear: both !important;
  width: 40px !important; height: 9px !important; min-height: 0 !important; max-width: 60px !important;
  margin: 77px !important; padding: 0 !important; border: 9px dotted lime !important; overflow: hidden !important;
  color: red !important; background: yellow !important; font: 700 37px/0.4 cursive !important;
  letter-spacing: 9px !important; text-transform: uppercase !important; text-indent: -50px !important;
  opacity: .2 !important; filter: invert(1) !important; transform: rotate(3deg) scale(.5) !important;
  z-index: -5 !important; pointer-events: none !important; user-select: none !important;
  cursor: none !important; text-align: right !important; white-space: nowrap !important;
  outline: none !important; box-shadow: none !important; clip-path: circle(3px) !important;
  list-style: none !important; text-decoration: line-through !important; word-spacing: 50px !important;
}
a { visibility: hidden !important; }
button { display: none !important; }
dialog, iframe, section { display: none !important; }
::backdrop { background: red !important; }
"""
PLAIN = "body { font: 16px/1.5 Arial, sans-serif; margin: 1rem; }"


@dataclass(slots=True)
class HostPage:
    """A server of pages. `home` is where the chat lives; set it before a page is asked for."""

    port: int
    home: str = ""
    page: str = ""
    """The signed attribute."""
    attributes: str = ""
    asked: list[str] = field(default_factory=list)

    @property
    def base(self) -> str:
        """Another site than 127.0.0.1, to a browser."""
        return f"http://localhost:{self.port}"

    @property
    def foreign(self) -> str:
        """The same pages from an origin that no list names."""
        return f"http://127.0.0.1:{self.port}"

    def policy(self) -> str:
        """For the chat no more than docs/channels/webchat.md asks for; the picture is the host's own."""
        return (
            f"default-src 'none'; style-src 'self'; script-src {self.home}; frame-src {self.home}; "
            "img-src data:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
        )

    def body(self, path: str) -> str:
        """A page with the tag on it, as docs/channels/webchat.md says."""
        looks = "hostile" if "hostile" in path else "plain"
        page = f' page="{html.escape(self.page)}"' if self.page else ""
        return (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Report a problem</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<link rel="icon" href="data:,"><link rel="stylesheet" href="/{looks}.css">'
            f'<script type="module" src="{self.home}/chat/widget.js"></script></head><body>'
            "<main><h1>Report antisocial behaviour</h1><p>Words of the host.</p>"
            '<p><a id="next" href="/next">Another page</a> <input aria-label="A field"></p>'
            f"<front-counter-chat{page} {self.attributes}>"
            f'<a href="{self.home}/chat">Chat with us</a></front-counter-chat>'
            "</main></body></html>"
        )

    def framing(self) -> str:
        """A page that puts the chat's frame on itself, without the tag."""
        return (
            '<!DOCTYPE html><html lang="en"><title>Not ours</title>'
            f'<iframe id="stolen" src="{self.home}/chat/frame" referrerpolicy="no-referrer"></iframe></html>'
        )


@contextlib.contextmanager
def host_page() -> Iterator[HostPage]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            found.asked.append(path)
            if path.endswith(".css"):
                kind, text = "text/css", HOSTILE if "hostile" in path else PLAIN
            elif path == "/framing":
                kind, text = "text/html; charset=utf-8", found.framing()
            else:
                kind, text = "text/html; charset=utf-8", found.body(path)
            data = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            if path != "/framing":
                self.send_header("Content-Security-Policy", found.policy())
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = HostPage(server.server_address[1])
    worker = threading.Thread(target=server.serve_forever, name="host-page", daemon=True)
    worker.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        worker.join(30)
