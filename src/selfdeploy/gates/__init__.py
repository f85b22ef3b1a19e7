"""The required gates: their order, their run on an export of the revision, and their receipt."""
