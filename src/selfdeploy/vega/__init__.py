"""The shared server, run from the live checkout."""
