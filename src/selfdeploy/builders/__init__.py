"""The image builders: from a gated tree to a pushed image."""
