"""From a revision to a release on record: base image, builders, image, record."""
