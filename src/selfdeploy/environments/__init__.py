"""The runtimes a release can be rolled out to."""
