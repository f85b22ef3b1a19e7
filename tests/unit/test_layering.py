"""Which file goes into which layer, and the instructions that copy them."""

import pytest

from selfdeploy import shipped
from selfdeploy.build import images
from selfdeploy.build.builders import layering

OURS = shipped.own(images.DOCKERFILE).read_text()
PLAIN = "FROM x\nARG TREE=.\nCOPY --chown=0:0 ${TREE} /\nUSER 1\n"


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("dist/loader.js", "application"),
        ("node_modules/.package-lock.json", "application"),
        ("node_modules/.package-lock.json/x", "packages"),
        ("node_modules/a/.package-lock.json", "packages"),
        ("node_modules/.bin/a", "packages"),
        ("node_modules/a/node_modules/b/x.js", "packages"),
        ("dist/web/standalone/node_modules/next/x.js", "inner-packages"),
        ("packages/a/node_modules/.package-lock.json", "application"),
        ("packages/a/node_modules/b", "inner-packages"),
        ("packages/node_modules.js", "application"),
        ("node_modules/pty/build/Makefile", "application"),
        ("node_modules/pty/build/config.gypi", "application"),
        ("dist/web/standalone/node_modules/pty/build/pty.target.mk", "application"),
        ("dist/web/standalone/node_modules/pty/build/binding.Makefile", "application"),
        ("node_modules/@scope/pty/native/build/config.gypi", "application"),
        ("node_modules/pty/build/Release/pty.node", "packages"),
        ("node_modules/pty/Makefile", "packages"),
        ("node_modules/pty/build/config.gypi.js", "packages"),
        ("node_modules/rebuild/Makefile", "packages"),
    ],
)
def test_a_file_goes_into_the_layer_of_what_it_changes_with(name: str, layer: str) -> None:
    assert layering.layer(name) == layer


def test_the_folder_of_packages_is_one_of_them() -> None:
    assert layering.layer("node_modules", folder=True) == "packages"
    assert layering.layer("web/node_modules", folder=True) == "inner-packages"
    assert layering.layer("node_modules/.package-lock.json", folder=True) == "packages"
    assert layering.layer("node_modules/a/build/Makefile", folder=True) == "packages"


def test_our_dockerfile_copies_the_layers_one_by_one_from_the_steadiest_to_the_last() -> None:
    told = layering.expand(OURS, ["packages-1", "application-2"])

    copies = [line for line in told.splitlines() if line.startswith("COPY")]
    assert layering.takes_layers(OURS)
    assert copies == ["COPY --chown=0:0 packages-1 /", "COPY --chown=0:0 application-2 /"]
    assert "TREE}" not in told
    assert not layering.takes_tree(told)


@pytest.mark.parametrize(
    "dockerfile",
    [
        PLAIN,
        PLAIN.replace("${TREE}", "$TREE"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("--chown=0:0", "--chown=0:0 --chmod=755 --link"),
        PLAIN.replace("--chown=0:0 ", ""),
        PLAIN.removesuffix("USER 1\n").removesuffix("\n"),
    ],
)
def test_a_dockerfile_of_one_s_own_that_copies_the_tree_once_gets_layers_too(dockerfile: str) -> None:
    told = layering.expand(dockerfile, ["a", "b"])

    assert layering.takes_layers(dockerfile)
    assert [line.split()[-2:] for line in told.splitlines() if line.startswith("COPY")] == [["a", "/"], ["b", "/"]]


@pytest.mark.parametrize(
    "dockerfile",
    [
        "FROM x\nCOPY . /\n",
        "FROM x\n# ARG TREE\nCOPY ${TREE} /\n",
        PLAIN + "COPY ${TREE}/opt /opt/sf/more\n",
        PLAIN + "COPY ${TREE} /\n",
        PLAIN.replace("${TREE} /", "${TREE} /srv"),
        PLAIN.replace("${TREE} /", "${TREE} more /"),
        PLAIN.replace("${TREE}", "${TREE:-.}"),
        PLAIN.replace("COPY --chown", "COPY --from=made --chown"),
        PLAIN.replace("COPY --chown", "COPY --parents --chown"),
        PLAIN.replace("COPY", "ONBUILD COPY"),
        PLAIN.replace("COPY --chown=0:0", "COPY --chown=0:0 \\\n "),
        PLAIN.replace("COPY --chown=0:0 ${TREE} /", 'COPY ["${TREE}", "/"]'),
    ],
)
def test_a_dockerfile_that_does_more_with_the_tree_gets_it_whole(dockerfile: str) -> None:
    assert not layering.takes_layers(dockerfile)
