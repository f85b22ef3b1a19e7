"""The commands: `inv --list`."""

from selfdeploy.tasks import namespace as namespace
