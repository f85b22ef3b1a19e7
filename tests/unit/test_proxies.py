import json

import pytest

from selfdeploy.environments.compose import proxies

RENDERED = json.dumps({"services": {"server": {"environment": {"HTTP_PROXY": "http://ours", "HOME": "/home/sf"}}}})
IMAGE = {"Config": {"Env": ["no_proxy=.lan", "PATH=/bin"]}}


def test_a_proxy_is_foreign_that_neither_the_file_nor_the_image_has() -> None:
    there = ["HTTP_PROXY=http://ours", "http_proxy=http://theirs", "ALL_PROXY=x", "no_proxy=.lan", "PATH=/bin", "A=b"]

    assert proxies.foreign(there, IMAGE, RENDERED) == ["ALL_PROXY", "http_proxy"]


def test_compose_s_other_way_to_write_variables_counts_too() -> None:
    listed = json.dumps({"services": {"server": {"environment": ["http_proxy=http://ours", "https_proxy"]}}})

    assert proxies.foreign(["http_proxy=http://ours", "https_proxy=x"], {}, listed) == []


@pytest.mark.parametrize("rendered", ["", "[", "{}", "services: 1", '{"services": {"server": {"environment": 7}}}'])
@pytest.mark.parametrize("image", [{}, {"Config": None}, {"Config": {"Env": "x"}}, {"Config": []}])
def test_what_cannot_be_read_has_no_proxies_of_ours(rendered: str, image: dict[str, object]) -> None:
    assert proxies.foreign(["https_proxy=x"], image, rendered) == ["https_proxy"]
    assert proxies.foreign(["PATH=/bin"], image, rendered) == []
