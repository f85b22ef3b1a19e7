"""The benchmark's watch, on a real server that goes away for a while."""

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator

from benchmarks.silence import Watch, answers
from lab.children import free_port, wait_until

HELD = 0.5


class Alive(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@contextlib.contextmanager
def serving(port: int, handler: type[http.server.BaseHTTPRequestHandler] = Alive) -> Iterator[None]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield
        server.shutdown()
        thread.join()


def test_the_time_without_an_answer_is_kept() -> None:
    port = free_port()
    with Watch(port) as watch:
        with serving(port):
            watch.begin()
            wait_until(lambda: watch.asked > 3, "some answers")
            before = watch.longest
        gone = time.monotonic()
        wait_until(lambda: time.monotonic() - gone > HELD, "the silence")
        with serving(port):
            wait_until(lambda: watch.longest >= HELD, "an answer again")

    assert before < HELD
    assert HELD <= watch.longest < 20 * HELD


def test_a_server_that_never_comes_back_is_silent_to_the_end() -> None:
    port = free_port()
    with Watch(port) as watch:
        watch.begin()
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > HELD, "the silence")

    assert watch.longest >= HELD


def test_an_error_is_no_answer() -> None:
    class Broken(Alive):
        def do_GET(self) -> None:
            self.send_error(503)

    port = free_port()
    with serving(port, Broken):
        told = answers(port)

    assert not told
