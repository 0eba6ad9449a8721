"""Files from a web server: bounded in time and size, checked, retried politely, and resumed.

The only part of boxray that opens a connection, and only for who calls it. Servers may be slow,
cut off, reset or lie about lengths: every wait has an end, and what arrives is whole or an error.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from boxray import __version__
from boxray.errors import NetworkError

CHUNK = 1 << 18
SLOWEST = 4096  # bytes per second, once a transfer had GRACE_S to get going
ENOUGH = 16 << 20  # bytes after which earlier failures are forgotten
LONGEST_PAUSE_S = 60.0  # that a server may ask for before the next attempt
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # worth another attempt


class _OnlyWeb(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https addresses, and never from the latter to the former."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: Any,
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        allowed = ("https://",) if req.full_url.startswith("https://") else ("https://", "http://")
        if not newurl.startswith(allowed):
            fp.close()
            raise NetworkError(f"{req.full_url} leads to {newurl[:120]}, which is not followed.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _PassingError(Exception):
    """A failure that another attempt may not meet. pause_s: what the server asks to wait."""

    def __init__(self, reason: str, pause_s: float = 0.0) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


@dataclass(frozen=True)
class Client:
    """How patient a download is.

    timeout_s: for a connection, and for silence. attempts: in a row, with pauses of pause_s,
    twice that, and so on between them. grace_s: time for a transfer to reach SLOWEST. wait: how
    to pause for some seconds; true where the download is to stop.
    """

    timeout_s: float = 20.0
    attempts: int = 5
    pause_s: float = 1.0
    grace_s: float = 30.0
    wait: Callable[[float], bool | None] = time.sleep

    def get(self, url: str, most_bytes: int) -> bytes:
        """The whole file, of at most so many bytes, its length and checksum as the server says.

        Raises NetworkError where it is not there, too large, or never arrives whole.
        """
        return b"".join(self.stream(url, most_bytes))

    def stream(
        self, url: str, most_bytes: int, on_bytes: Callable[[int, int], None] | None = None
    ) -> Generator[bytes]:
        """The file in pieces; where it breaks off, the rest is asked for.

        on_bytes: told how many bytes came and how many there are, 0 where the server does not
        say. Raises NetworkError like `get`, with the last attempt's reason.
        """
        transfer = _Transfer(self, url, most_bytes)
        failures = before = 0
        while not transfer.whole:
            try:
                for piece in transfer.attempt():
                    if on_bytes:
                        on_bytes(transfer.done, transfer.total)
                    yield piece
            except NetworkError:
                raise
            except (OSError, http.client.HTTPException, _PassingError) as error:
                failures = 1 if transfer.done - before > ENOUGH else failures + 1
                before = transfer.done
                if failures >= self.attempts:
                    reason = str(error) or type(error).__name__
                    raise NetworkError(f"{url} failed {failures} times: {reason}.") from error
                asked_s = error.pause_s if isinstance(error, _PassingError) else 0.0
                if self.wait(max(asked_s, self.pause_s * 2 ** (failures - 1))):
                    raise NetworkError(f"{url}: stopped.") from error


@dataclass
class _Transfer:
    """One file on its way, over one connection or several. done, total: bytes."""

    client: Client
    url: str
    most_bytes: int
    done: int = 0
    total: int = 0
    version: str | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        self.digest = hashlib.md5(usedforsecurity=False)

    def attempt(self) -> Iterator[bytes]:
        """What one connection gives of what is missing."""
        with self._open() as body:
            length = _length(body.headers)
            skip = 0 if body.status == http.HTTPStatus.PARTIAL_CONTENT else self.done
            self.total = (self.done - skip + length) if length is not None else 0
            if self.total > self.most_bytes:
                raise NetworkError(f"{self.url} has {self.total} bytes: {self.most_bytes} allowed.")
            for piece in self._pieces(body):
                new = piece[skip:]  # a server that knows no ranges begins again
                skip -= len(piece) - len(new)
                self.done += len(new)
                if self.done > self.most_bytes:
                    raise NetworkError(f"{self.url} has more than {self.most_bytes} bytes.")
                self.digest.update(new)
                yield new
            if self.total and self.done < self.total:
                raise _PassingError(f"it broke off after {self.done} of {self.total} bytes")
            _check_sum(self.digest.digest(), body.headers, self.url)
            self.whole = True

    def _open(self) -> http.client.HTTPResponse:
        headers = {"User-Agent": f"boxray/{__version__}", "Accept-Encoding": "identity"}
        if self.done:
            headers["Range"] = f"bytes={self.done}-"
            headers |= {"If-Range": self.version} if self.version else {}
        request = urllib.request.Request(self.url, headers=headers)  # noqa: S310  http(s) alone
        try:
            body = _OPENER.open(request, timeout=self.client.timeout_s)
        except urllib.error.HTTPError as error:
            with error:
                self._refuse(error)
        version = body.headers.get("ETag")
        if self.done and version != self.version:
            body.close()
            raise NetworkError(f"{self.url} changed while it was read. Start again.")
        self.version = version
        return body  # type: ignore[no-any-return]

    def _refuse(self, error: urllib.error.HTTPError) -> NoReturn:
        reason = f"the server says {error.code} {error.reason}"
        if error.code in PASSING:
            asked = error.headers.get("Retry-After", "")
            pause_s = min(float(asked), LONGEST_PAUSE_S) if asked.isdigit() else 0.0
            raise _PassingError(reason, pause_s) from error
        raise NetworkError(f"{self.url}: {reason}.") from error

    def _pieces(self, body: http.client.HTTPResponse) -> Iterator[bytes]:
        """What comes, as it comes, as long as it does not trickle."""
        began, came = time.monotonic(), 0
        while piece := body.read1(CHUNK):
            came += len(piece)
            passed_s = time.monotonic() - began
            if passed_s > self.client.grace_s and came < SLOWEST * passed_s:
                raise _PassingError(f"it is slower than {SLOWEST} bytes per second")
            yield piece


def _length(headers: http.client.HTTPMessage) -> int | None:
    text = headers.get("Content-Length", "")
    return int(text) if text.isdigit() and len(text) < 16 else None


def _check_sum(digest: bytes, headers: http.client.HTTPMessage, url: str) -> None:
    """Compare with the MD5 that Google's storage sends with each file, where one is sent."""
    for entry in ",".join(headers.get_all("x-goog-hash", [])).split(","):
        name, _, text = entry.strip().partition("=")
        if name == "md5":
            try:
                stated = base64.b64decode(text, validate=True)
            except binascii.Error:
                continue
            if stated != digest:
                raise NetworkError(f"{url} arrived damaged: its MD5 is not the server's.")


def _opener() -> urllib.request.OpenerDirector:
    """Knows http and https, and none of the other ways of urllib (files, ftp, data)."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _OnlyWeb(),
    ):
        opener.add_handler(handler)
    return opener


_OPENER = _opener()
