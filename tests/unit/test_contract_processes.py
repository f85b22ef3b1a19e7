import pytest

from selfdeploy.contract import pending, processes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0100007F:0FA0", ("127.0.0.1", 4000)),
        ("00000000:0050", ("0.0.0.0", 80)),  # noqa: S104 -- nothing listens there
        ("00000000000000000000000000000000:0FA0", ("::", 4000)),
        ("00000000000000000000000001000000:0FA0", ("::1", 4000)),
        ("0000000000000000FFFF00000100007F:0FA0", ("127.0.0.1", 4000)),
    ],
)
def test_an_address_of_proc_net_tcp_is_read_in_its_byte_order(text: str, expected: tuple[str, int]) -> None:
    assert processes.parse_address(text) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"", 0),
        (b"HTTP/1.1 200 OK\r\n", 0),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", 200),
        (b"HTTP/1.1 100 Continue\r\n\r\n", 0),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 No\r\n\r\nbody", 401),
        (b"nonsense\r\n\r\n", 0),
        (b"HTTP/1.1\r\n\r\n", 0),
    ],
)
def test_the_status_is_the_final_response_s(answer: bytes, expected: int) -> None:
    assert pending.read_status(answer) == expected
