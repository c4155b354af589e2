"""A stand-in for AIcrowd, Kaggle and Google Drive on the loopback, for unmodified clients.

One port speaks plain HTTP (`standin.url` as a base URL), absolute-URI proxy requests and CONNECT
with TLS (`standin.environment(tmp_path)`). Hosts it does not know answer 404: nothing can leave.

    standin.files["images.npy"] = data
    standin.faults["GET", "/data/images.npy"] = [Cut(1000), EXPIRED]  # two calls, then none
    standin.faults["POST", "*/CreateSubmission"] = NoAnswer()  # every call
    standin.asked("POST", "/api/v1/submissions")[0].body["challenge_id"]
"""

import email
import hashlib
import json
import socket
import ssl
import threading
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import trustme

from standin_services import HOSTS, STORAGE, Services, answer_of, host_by_path

AICROWD_KEY = Services.aicrowd_key
KAGGLE_USER, KAGGLE_KEY = Services.kaggle_auth
KAGGLE_TOKEN = Services.kaggle_token
KEYS = ("AICROWD_API_KEY", "KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_PROXY")
NOISE = ("VERBOSE", "VERBOSE_OUTPUT", "KAGGLE_API_ENVIRONMENT")  # conftest takes away both


# Faults. A list of them goes to successive calls (None: that call goes well); one alone to all.


@dataclass(frozen=True)
class Status:
    """Another answer. `body`: bytes, text, or what becomes JSON."""

    code: int
    body: object = b""
    headers: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Html:
    """A web page with status 200."""

    page: str = "<!doctype html><html><body>Sign in to continue</body></html>"


@dataclass(frozen=True)
class Cut:
    """The connection ends after so many bytes of the body, its full length announced."""

    after: int


@dataclass(frozen=True)
class Stall:
    """Nothing comes for a while: before the headers, or `after` so many bytes of the body."""

    seconds: float
    after: int | None = None


@dataclass(frozen=True)
class NoLength:
    """The body's length is not announced; `cut` ends it early, which nobody can see."""

    cut: int | None = None


@dataclass(frozen=True)
class WrongLength:
    """The announced length is off by so many bytes (less: the body is cut to it)."""

    by: int = -1


@dataclass(frozen=True)
class IgnoreRange:
    """The whole file with 200, whatever part was asked for."""


@dataclass(frozen=True)
class ChangedEtag:
    """The file is another version now. `careless`: a part of it comes in spite of If-Range."""

    careless: bool = False


@dataclass(frozen=True)
class NoAnswer:
    """The connection closes without an answer; what was asked for is done all the same or not."""

    recorded: bool = True


EXPIRED = Status(
    403, "<?xml version='1.0'?><Error><Code>ExpiredToken</Code></Error>",
    {"Content-Type": "application/xml"},
)  # fmt: skip


def mark(secret):
    """What stands for a secret in the journal."""
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()[:12]


@dataclass
class Request:
    """One request as it came. Secrets in `headers` and `body` are replaced by `mark(secret)`.

    `body`: JSON as it is; a form's fields as a dict, files as {name, size, sha256}; other bytes as
    {size, sha256}. `via`: plain, proxy or connect. `status`: as answered, 0 for none.
    """

    method: str
    url: str
    headers: dict
    body: object
    via: str
    status: int = 0

    @property
    def host(self):
        return urlsplit(self.url).hostname

    @property
    def path(self):
        return urlsplit(self.url).path

    @property
    def query(self):
        return {k: v[0] for k, v in parse_qs(urlsplit(self.url).query).items()}


def digest(data, name=""):
    return {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def parsed(data, content_type):
    """A body as the journal keeps it."""
    if content_type.startswith("multipart/"):
        whole = email.message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + data)
        fields = {}
        for part in whole.get_payload():
            name, value = part.get_param("name", header="content-disposition"), part.get_payload()
            file = part.get_filename()
            fields[name] = digest(part.get_payload(decode=True), file) if file else value.strip()
        return fields
    try:
        doc = json.loads(data)
    except ValueError:
        return digest(data) if data else None
    if isinstance(doc, dict) and isinstance(doc.get("token"), str):
        doc["token"] = mark(doc["token"])
    return doc


def hidden(name, value):
    if name.lower() not in ("authorization", "cookie", "proxy-authorization"):
        return value
    scheme, _, secret = value.rpartition(" ")
    return f"{scheme} {mark(secret)}".strip()


class StandIn(Services):
    """The server, its state and its journal; what it serves and how is set by attributes.

    Attributes:
        faults: (method, path pattern) -> fault or list of them; patterns as of fnmatch.
        journal: every `Request` in the order of arrival.
        The others: see `Services`.
    """

    def __init__(self, folder):
        super().__init__()
        self.faults = {}
        self.journal = []
        self.unknown = []
        self.closing = threading.Event()
        self.lock = threading.Lock()
        authority = trustme.CA()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*HOSTS).configure_cert(self.tls)
        self.authority = folder / "stand-in-ca.pem"
        authority.cert_pem.write_to_path(self.authority)
        self.server = Server(("127.0.0.1", 0), type("Handler", (Handler,), {"standin": self}))
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def environment(self, folder, **more):
        """What brings an unmodified client here, with homes below `folder` and no keys but `more`.

        For a subprocess over `os.environ`; `use` does the same to this process.
        """
        home = folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        return {
            **dict.fromkeys(["NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"], ""),
            **dict.fromkeys(["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"], self.url),
            **dict.fromkeys(["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"], str(self.authority)),
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "XDG_CACHE_HOME": str(home / ".cache"),
            "KAGGLE_CONFIG_DIR": str(home / ".kaggle"),
            **more,
        }

    def use(self, monkeypatch, folder, **more):
        """This process and its children come here, see `environment`."""
        for name, value in self.environment(folder, **more).items():
            monkeypatch.delenv(name, raising=False)
            if value:
                monkeypatch.setenv(name, value)

    def asked(self, method="*", path="*"):
        """The requests so far whose method and path match."""
        return [r for r in self.journal if fnmatchcase(r.method, method) and
                fnmatchcase(r.path, path)]  # fmt: skip

    def fault(self, method, path):
        """The fault of this call, taken off its list."""
        with self.lock:
            for (m, pattern), fault in self.faults.items():
                if m == method and fnmatchcase(path, pattern):
                    if not isinstance(fault, list):
                        return fault
                    if fault:
                        return fault.pop(0)
        return None

    def link(self, request, host, path):
        """An address here as the client of `request` can reach it.

        By plain HTTP storage has another name than the services, as it has in life.
        """
        if request.via == "plain":
            return f"http://{'localhost' if host in STORAGE else '127.0.0.1'}:{self.port}{path}"
        return f"https://{host}{path}"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        """Clients that hang up are what is tested."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    tunnel = ""

    def log_message(self, *args):
        pass

    def do_CONNECT(self):
        self.tunnel = self.path.split(":")[0]
        if self.tunnel not in HOSTS:
            self.standin.unknown.append(self.tunnel)
            return self.send_error(404)
        self.send_response(200)
        self.end_headers()
        self.connection = self.standin.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False
        while not self.close_connection:
            self.handle_one_request()
        self.close_connection = True
        return None

    def do_any(self):
        standin = self.standin
        u = urlsplit(self.path)
        via = "connect" if self.tunnel else "proxy" if u.scheme else "plain"
        host = self.tunnel or u.hostname or ""
        if host in ("", "localhost", "127.0.0.1"):
            host = host_by_path(u.path)
        query = f"?{u.query}" if u.query else ""
        raw = self.received()
        request = Request(
            self.command,
            f"{'https' if self.tunnel else 'http'}://{host or 'unknown'}{u.path}{query}",
            {k: hidden(k, v) for k, v in self.headers.items()},
            parsed(raw, self.headers.get("Content-Type", "")),
            via,
        )
        with standin.lock:
            standin.journal.append(request)
        fault = standin.fault(self.command, u.path) if host in HOSTS else None
        if isinstance(fault, Stall) and fault.after is None:
            standin.closing.wait(fault.seconds)
        if isinstance(fault, Status):
            answer = answer_of(fault.code, fault.body, **fault.headers)
        elif isinstance(fault, Html):
            answer = answer_of(200, fault.page)
        elif isinstance(fault, NoAnswer) and not fault.recorded:
            return self.hang_up()
        elif host in HOSTS:
            headers = {k.lower(): v for k, v in self.headers.items()}
            if isinstance(fault, IgnoreRange):
                headers.pop("range", None)
            with standin.lock:
                answer = standin.route(host, request, headers, raw, fault)
        else:
            standin.unknown.append(u.hostname or u.path)
            answer = answer_of(404, {"message": "no such host in the stand-in"})
        if isinstance(fault, NoAnswer):
            return self.hang_up()
        request.status = answer.code
        return self.send(answer, fault)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_any

    def received(self):
        if (length := self.headers.get("Content-Length")) is not None:
            return self.rfile.read(int(length))
        data = b""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return data

    def send(self, answer, fault):
        body, length = answer.body, len(answer.body)
        if isinstance(fault, WrongLength):
            length += fault.by
            body = body[:length]
        if isinstance(fault, NoLength):
            body = body[: fault.cut]
        if isinstance(fault, Cut):
            body = body[: fault.after]
        self.send_response(answer.code)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if isinstance(fault, NoLength):
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "HEAD":
            return
        if isinstance(fault, Stall) and fault.after is not None:
            self.wfile.write(body[: fault.after])
            self.standin.closing.wait(fault.seconds)
            body = body[fault.after :]
        self.wfile.write(body)
        if isinstance(fault, NoLength) or len(body) < length:
            self.hang_up()

    def hang_up(self):
        self.close_connection = True
        try:
            if self.tunnel:
                self.connection.unwrap()
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
