"""The required gates: what runs on an export of the revision, in which order, and the receipt it leaves."""
