"""`docker-credential-selfdeploy`: gives Docker, and us, a login from environment variables instead of a file.

The protocol is docker-credential-helpers': the action is the argument, the registry's address is on standard input.
"""

import json
import os
import re
import sys

from selfdeploy import errors
from selfdeploy.config import deploy_toml

USER, TOKEN = "SF_REGISTRY_USER", "SF_REGISTRY_TOKEN"
"""Variables with the login; the helper gives it for the registry of `image.repository` only."""


def answer(action: str, address: str) -> tuple[str, int]:
    """Return the output and the exit code for ACTION on the registry at ADDRESS."""
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
    except errors.SelfdeployError:  # the command that needs the login reports it
        return ""


def main() -> None:
    """Run the helper: read standard input, answer on standard output, and exit."""
    text, code = answer(sys.argv[1] if len(sys.argv) > 1 else "", sys.stdin.buffer.read().decode(errors="replace"))
    print(text)
    sys.exit(code)
