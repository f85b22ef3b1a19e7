"""The whole release of the bundled application to two namespaces of a real cluster."""

from lab.cluster.site import Site


def test_a_release_goes_from_test_to_prod(site: Site) -> None:
    assert [site.public_version(name)["revision"] for name in ("test", "prod")] == [site.revision] * 2
    assert [len(site.pods(name)) for name in ("test", "prod")] == [1, 2]
    assert [site.record(name)["attempts"][0]["ending"] for name in ("test", "prod")] == ["proven", "proven"]


def test_a_second_release_changes_nothing(site: Site) -> None:
    before = [*site.pods("test"), *site.pods("prod")]

    again = site.inv("release")

    assert again.returncode == 0, again.stderr
    assert "missing" not in again.stderr
    assert [*site.pods("test"), *site.pods("prod")] == before
