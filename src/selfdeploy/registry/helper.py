"""`docker-credential-selfdeploy`: tells Docker, and us, a login that is in the environment and in no file.

The protocol is docker-credential-helpers': the action is the argument, the registry's address comes on standard input.
"""

import json
import os
import re
import sys

from selfdeploy import deploy_toml, errors

USER, TOKEN = "SF_REGISTRY_USER", "SF_REGISTRY_TOKEN"
"""The variables that hold the login; it is told of the registry of `image.repository`, and of no other."""


def answer(action: str, address: str) -> tuple[str, int]:
    """Return what to write for ACTION on the registry at ADDRESS, and the exit code."""
    if action == "list":
        return "{}", 0
    if action != "get":
        return f"{action}: this login is kept in {USER} and {TOKEN}", 1
    user, token = os.environ.get(USER, ""), os.environ.get(TOKEN, "")
    host = re.sub(r"^https?://|/.*", "", address.strip())
    if not token or host != _host():
        return "credentials not found in native keychain", 1
    return json.dumps({"ServerURL": address.strip(), "Username": user, "Secret": token}), 0


def _host() -> str:
    try:
        return deploy_toml.load().image.repository.partition("/")[0]
    except errors.SelfdeployError:  # it is told by the command that needed the login
        return ""


def main() -> None:
    """Answer on standard output."""
    text, code = answer(sys.argv[1] if len(sys.argv) > 1 else "", sys.stdin.buffer.read().decode(errors="replace"))
    print(text)
    sys.exit(code)
