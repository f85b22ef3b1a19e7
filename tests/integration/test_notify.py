"""Who is told how a rollout ended: a real command and a real server of HTTP."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lab.site import IMPATIENT, Site

SLOW = "import time; time.sleep(60)"


class Listener(http.server.BaseHTTPRequestHandler):
    """Keeps what is posted to it; an address that ends with `refuse` is refused."""

    heard: list[dict[str, Any]] = []  # noqa: RUF012 -- one list for all requests

    def do_POST(self) -> None:
        self.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(500 if self.path.endswith("refuse") else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    Listener.heard.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/secret-of-the-hook"
        server.shutdown()


def test_the_site_is_told_what_was_proven_and_what_failed(clean: Site, address: str) -> None:
    file = clean.folder / "news"
    told = f'[notify]\ncommand = ["sh", "-c", "cat >> {file}; echo >> {file}"]\nwebhook = "{address}"'
    clean.configure(top=told)
    good = clean.commit("good")
    done = clean.inv("release")
    clean.configure(top=told, probes=IMPATIENT)
    bad = clean.answer_as_another_revision()
    failed = clean.inv("release")
    digest = clean.attempts("test")[0]["digest"]

    news = [json.loads(line) for line in file.read_text().splitlines()]
    assert (done.returncode, failed.returncode) == (0, 51), done.stderr
    assert [(one["event"], one["environment"], one["revision"], one["held"]) for one in news] == [
        ("proven", "test", good, None),
        ("proven", "prod", good, None),
        ("failed", "test", bad, digest),
    ]
    assert news[-1]["runs"] == good
    assert news[-1]["ending"] == "put back, proven"
    assert sorted(map(str, Listener.heard)) == sorted(map(str, news))
    assert all(one["schema"] == 1 for one in news)


def test_who_does_not_take_the_news_fails_no_release(clean: Site, address: str) -> None:
    clean.configure(top=f'[notify]\ncommand = ["sh", "-c", "exit 3"]\nwebhook = "{address}/refuse"')
    clean.commit("refused")
    refused = clean.inv("release", "--to", "test")
    clean.configure(top=f'''[notify]\ncommand = ["python3", "-c", "{SLOW}"]\nwebhook = "http://127.0.0.1:9/x"''')
    slow = clean.inv("restart", "-e", "test")

    assert (refused.returncode, slow.returncode) == (0, 0), refused.stderr + slow.stderr
    assert "notify: sh: " in refused.stderr
    assert "notify: 127.0.0.1: HTTP 500" in refused.stderr
    assert "secret-of-the-hook" not in refused.stderr + refused.stdout
    assert "notify: 127.0.0.1: ConnectionError" in slow.stderr
    assert "notify: not taken within 10 s" in slow.stderr or "notify: python3: " in slow.stderr
    assert clean.processes() == []
