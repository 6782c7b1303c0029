"""``riskd status`` and ``riskd health``: what they ask, of whom, and what is no verdict."""

from __future__ import annotations

import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from monitor.cli.children import die_with_parent
from monitor.cli.main import main
from tests.cli.test_status import document

TOKEN = "a-read-token-of-the-tests"  # noqa: S105 - of the tests


def unwrapped(text: str) -> str:
    """What is told, however it is broken into lines; what people copy is never broken."""
    return " ".join(text.split())


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers what the test wants; keeps what it was asked."""

    answer: tuple[int, bytes] = (200, b"")
    headers_added: tuple[tuple[str, str], ...] = ()
    token = ""
    asked: list[tuple[str, str]] = []  # noqa: RUF012 - reset by the fixture

    def do_GET(self) -> None:
        """Any path."""
        given = self.headers.get("Authorization", "")
        type(self).asked.append((self.path, given))
        status, body = self.answer
        if self.token and given != f"Bearer {self.token}":
            status, body = 401, b"This riskd needs its read token.\n"
        self.send_response(status)
        for name, value in self.headers_added:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silence."""


class Server:
    """Something that listens on loopback."""

    def __init__(self) -> None:
        self.handler = type("Handler", (Answers,), {"asked": []})
        self._server = http.server.HTTPServer(("127.0.0.1", 0), self.handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def says(self, status: int, body: object, *, token: str = "") -> None:
        """From now on."""
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        self.handler.answer = (status, data)  # type: ignore[attr-defined]
        self.handler.token = token  # type: ignore[attr-defined]

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A listener, and an environment that says nothing."""
    for name in ("RISKD_URL", "RISKD_READ_TOKEN", "http_proxy", "HTTP_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    listening = Server()
    yield listening
    listening.close()


@pytest.mark.parametrize(
    ("verdict", "code"), [("safe", 0), ("attention", 1), ("danger", 2), ("blind", 3), ("new", 3)]
)
def test_the_verdict_is_the_exit_code(
    server: Server, verdict: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A verdict of a newer riskd is not taken for a good one."""
    server.says(200, document(safe={"verdict": verdict, "text": "So it is."}))
    assert main(["status", f"--url={server.url}"]) == code
    assert "So it is." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(404, b"<html><body>Not Found</body></html>", id="a web page"),
        pytest.param(200, b"<html>welcome</html>", id="another web page"),
        pytest.param(200, b"[1, 2]", id="other json"),
        pytest.param(200, {"status": "ok"}, id="another program"),
        pytest.param(500, {"error": "x"}, id="a broken program"),
        pytest.param(302, b"", id="a redirect"),
        pytest.param(200, b"", id="nothing"),
    ],
)
@pytest.mark.parametrize("verb", ["status", "health"])
def test_a_stranger_is_no_verdict(
    server: Server, verb: str, status: int, body: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3 and one sentence, never a traceback, never 1 or 2."""
    server.says(status, body)
    assert main([verb, f"--url={server.url}"]) == 3
    told = capsys.readouterr()
    assert f"Something answers at {server.url}, but it is not riskd." in unwrapped(told.out)
    assert told.err == ""


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:abc", "127.0.0.1:9470", "http://", "ftp://x", "http://a b", "http://x:0"],
)
@pytest.mark.parametrize("verb", ["status", "health"])
def test_a_mistyped_url_is_no_verdict(
    verb: str, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3: who was not told is not safe."""
    assert main([verb, f"--url={url}"]) == 3
    assert f"--url must be an address such as http://127.0.0.1:9470; found {url!r}." in (
        unwrapped(capsys.readouterr().out)
    )


def test_a_mistyped_flag_is_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    """2 would mean danger here; other verbs keep 2 for mistakes."""
    for words, code in ((["status", "--jsn"], 3), (["health", "--x"], 3), (["rules", "x"], 2)):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == code
    capsys.readouterr()


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Blind, with what to do next; as JSON too."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        assert main(["status", f"--url={url}"]) == 3
        assert capsys.readouterr().out.startswith(f"BLIND  riskd does not answer at {url}")
        assert main(["status", f"--url={url}", "--json"]) == 3
        assert orjson.loads(capsys.readouterr().out)["safe"]["verdict"] == "blind"


def test_the_token_is_given_by_file_or_environment(
    server: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without one riskd cannot be asked, which is 3 and says how."""
    server.says(200, document(), token=TOKEN)
    words = ["status", f"--url={server.url}"]
    assert main(words) == 3
    assert "needs its read token: give --token-file" in unwrapped(capsys.readouterr().out)
    (tmp_path / "token").write_text(TOKEN + "\n")
    assert main([*words, f"--token-file={tmp_path / 'token'}"]) == 0
    monkeypatch.setenv("RISKD_READ_TOKEN", TOKEN)
    assert main(words) == 0
    capsys.readouterr()
    assert main([*words, f"--token-file={tmp_path / 'gone'}"]) == 3
    assert "gone: No such file or directory." in unwrapped(capsys.readouterr().out)
    (tmp_path / "two").write_text("a\nb\n")
    assert main([*words, f"--token-file={tmp_path / 'two'}"]) == 3
    assert "must be one line" in unwrapped(capsys.readouterr().out)


def test_no_proxy_is_asked(server: Server) -> None:
    """It would be given the read token and the book. The environment is read when riskd starts."""
    proxy = Server()
    try:
        proxy.says(200, document())
        server.says(200, document())
        asked = subprocess.run(
            [sys.executable, "-m", "monitor", "status", f"--url={server.url}"],
            env={"PATH": os.environ["PATH"], "http_proxy": proxy.url, "HTTP_PROXY": proxy.url},
            check=False, capture_output=True, timeout=30, preexec_fn=die_with_parent(),
        )  # fmt: skip
    finally:
        proxy.close()
    assert asked.returncode == 0, asked
    assert proxy.handler.asked == []  # type: ignore[attr-defined]
    assert len(server.handler.asked) == 1  # type: ignore[attr-defined]


def test_no_redirect_is_followed(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The read token is for nobody else."""
    other = Server()
    try:
        other.says(200, document())
        monkeypatch.setenv("RISKD_READ_TOKEN", TOKEN)
        server.says(302, b"")
        server.handler.headers_added = (("Location", other.url),)  # type: ignore[attr-defined]
        assert main(["status", f"--url={server.url}"]) == 3
    finally:
        other.close()
    assert other.handler.asked == []  # type: ignore[attr-defined]
    capsys.readouterr()


@pytest.mark.parametrize(
    ("flags", "path"),
    [([], "/livez"), (["--live"], "/livez"), (["--ready"], "/readyz")],
)
@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_health(
    server: Server,
    flags: list[str],
    path: str,
    status: int,
    code: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """0 yes, 1 no with what is missing."""
    detail = {} if status == 200 else {"dydx": "not reached yet"}
    server.says(status, {"ok": status == 200, "detail": detail})
    assert main(["health", f"--url={server.url}", *flags]) == code
    told = capsys.readouterr().out
    assert told.startswith(f"{path[1:-1]}: {'yes' if code == 0 else 'no'}")
    assert ("dydx: not reached yet" in told) == bool(code)
    assert server.handler.asked[0][0] == path  # type: ignore[attr-defined]
