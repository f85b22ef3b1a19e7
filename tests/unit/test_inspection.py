import pytest

from selfdeploy.build import inspection

LABELS = {inspection.REVISION: "a" * 40, inspection.TREE: "sha256:" + "1" * 64}
BASE = "127.0.0.1:5000/base@sha256:" + "2" * 64


def test_the_tag_of_an_image_is_one_that_a_registry_takes_and_depends_on_no_order() -> None:
    tag = inspection.tag(LABELS, b"FROM x\n", BASE, 1)

    assert len(tag) <= 128
    assert tag == inspection.tag(dict(reversed(LABELS.items())), b"FROM x\n", BASE, 1)


@pytest.mark.parametrize(
    "other",
    [
        (LABELS | {inspection.REVISION: "b" * 40}, b"FROM x\n", BASE, 1),
        (LABELS | {inspection.TREE: "sha256:" + "3" * 64}, b"FROM x\n", BASE, 1),
        (LABELS, b"FROM x \n", BASE, 1),
        (LABELS, b"FROM x\n", BASE.replace("2", "4"), 1),
        (LABELS, b"FROM x\n", BASE, 2),
    ],
    ids=["revision", "tree", "Dockerfile", "base", "time"],
)
def test_what_differs_in_anything_it_is_made_from_is_another_image(
    other: tuple[dict[str, str], bytes, str, int],
) -> None:
    assert inspection.tag(*other) != inspection.tag(LABELS, b"FROM x\n", BASE, 1)
