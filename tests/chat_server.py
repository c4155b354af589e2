"""A server on the loopback that speaks chat completions, and looks at the pictures that it gets.

It decodes every JPEG of a question, answers by what colour they have in common, and notes what came
with them. `faults` are answers to successive questions instead: a status, bytes, or a text.
"""

import base64
import io
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image

NAMES = ("Red sand dunes", "Green grass", "Blue water")


class ChatServer(ThreadingHTTPServer):
    """`asked` holds (model, pictures) of every question, `seen` the requests' paths and keys."""

    daemon_threads = True

    def __init__(self, models=("eye",), key=""):
        super().__init__(("127.0.0.1", 0), Handler)
        self.models, self.key, self.faults = list(models), key, []
        self.asked, self.seen = [], []
        self.listed = None  # an answer to the question for models

    def handle_error(self, *_):
        """Who asked has heard enough, and hangs up."""

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.seen.append(("GET", self.path, self.headers.get("Authorization")))
        if self.refused():
            return
        if self.server.models is None or self.path != "/v1/models":
            self.answer({"error": {"message": "no such route"}}, 404)
        elif self.server.listed is not None:
            self.answer(self.server.listed)
        else:
            self.answer({"object": "list", "data": [{"id": m} for m in self.server.models]})

    def do_POST(self):
        doc = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append(("POST", self.path, self.headers.get("Authorization")))
        if self.refused():
            return
        fault = self.server.faults.pop(0) if self.server.faults else None
        if isinstance(fault, int):
            self.answer({"error": {"message": "busy \x1b[31m with others"}}, fault, wait="0")
        elif isinstance(fault, bytes | dict):
            self.answer(fault)
        else:
            (message,) = doc["messages"]
            text, *parts = message["content"]
            assert (message["role"], text["type"]) == ("user", "text")
            pictures = [self.picture(part) for part in parts]
            self.server.asked.append((doc["model"], pictures))
            colour = np.mean([np.asarray(p).reshape(-1, 3).mean(0) for p in pictures], axis=0)
            said = NAMES[int(colour.argmax())] if fault is None else fault
            self.answer({"choices": [{"message": {"role": "assistant", "content": said}}]})

    def refused(self):
        if not self.server.key or self.headers.get("Authorization") == f"Bearer {self.server.key}":
            return False
        self.answer({"error": {"message": f"wrong key {self.headers.get('Authorization')}"}}, 401)
        return True

    def picture(self, part):
        assert part["type"] == "image_url"
        head, _, data = part["image_url"]["url"].partition(",")
        assert head == "data:image/jpeg;base64"
        return Image.open(io.BytesIO(base64.b64decode(data, validate=True)))

    def answer(self, content, status=200, wait=None):
        page = isinstance(content, bytes)
        body = content if page else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if page else "application/json")
        self.send_header("Content-Length", str(len(body)))
        if wait is not None:
            self.send_header("Retry-After", wait)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(**settings):
    """The server at work in a thread."""
    server = ChatServer(**settings)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
