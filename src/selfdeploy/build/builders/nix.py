"""The nix2container builder, a preset of the command: SF's flake builds the image and copies it to the registry.

The flake gets two inputs from us, neither of them a flake: `tree`, the folder for the image's `/`, and `labels`, with
the image's labels in `labels.json`. The command runs nix2container's `copyTo`, which passes its arguments on to `skopeo
copy`.
"""

from pathlib import PurePosixPath
from urllib.parse import quote

from selfdeploy import config, registry, source


def argv(image: config.Image, revision: source.Revision) -> tuple[str, ...]:
    """Return the command line that runs IMAGE's `copyTo` from SF's flake at the commit of REVISION."""
    inside = () if revision.path == "." else PurePosixPath(revision.path).parts
    top = revision.checkout.parents[len(inside) - 1] if inside else revision.checkout
    flake = f"git+file://{quote(str(top))}?rev={revision.commit}&shallow=1"
    flake += f"&dir={quote('/'.join(inside))}" if inside else ""
    plain = registry.is_plain(registry.Reference.parse(image.repository).host, insecure=image.insecure)
    return (
        *("nix", "--extra-experimental-features", "nix-command flakes", "run", f"{flake}#{image.nix.copy_to}"),
        *("--override-input", "tree", "path:{root}", "--override-input", "labels", "path:{labels_folder}", "--"),
        *("docker://{to}", "--digestfile", "{digest_file}", *(("--dest-tls-verify=false",) if plain else ())),
    )
