import pytest

from selfdeploy import source


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://forgejo.lan/o/sf.git", "https://forgejo.lan/o/sf"),
        ("https://forgejo.lan:3000/o/sf/", "https://forgejo.lan:3000/o/sf"),
        ("git@forgejo.lan:o/sf.git", "https://forgejo.lan/o/sf"),
        ("forgejo.lan:o/sf", "https://forgejo.lan/o/sf"),
        ("ssh://git@forgejo.lan:2222/o/sf.git", "https://forgejo.lan/o/sf"),
        ("https://10.0.0.5:3000/o/sf", "https://10.0.0.5:3000/o/sf"),
    ],
)
def test_a_repository_is_named_by_its_page_however_git_reaches_it(address: str, name: str) -> None:
    assert source.name_repository(address) == name


@pytest.mark.parametrize(
    "address",
    ["", "/srv/git/sf.git", "../sf", "a.b/sf", "./sf", "file:///srv/a.b/sf", "https://localhost/o/sf", "sf:o/sf"],
)
def test_a_repository_that_only_this_machine_reaches_is_local(address: str) -> None:
    assert source.name_repository(address) == "local"


@pytest.mark.parametrize(
    "address",
    [
        "https://user:t0ken@forgejo.lan/o/sf.git",
        "https://t0ken@forgejo.lan/o/sf.git",
        "https://us.er:t0k@en@forgejo.lan/o/sf.git",
        "https://us.er:t0/ken@forgejo.lan/o/sf.git",
        "https://us.er:t0ken/@forgejo.lan/o/sf.git",
        "ssh://us.er:t0ken@forgejo.lan/o/sf.git",
        "us.er:t0ken@forgejo.lan:o/sf.git",
        "https://forgejo.lan/o/sf.git?token=t0ken",
        "https://forgejo.lan/o/sf.git#t0ken",
    ],
)
def test_a_login_never_becomes_part_of_the_name(address: str) -> None:
    name = source.name_repository(address)

    assert name in {"https://forgejo.lan/o/sf", "local"}
