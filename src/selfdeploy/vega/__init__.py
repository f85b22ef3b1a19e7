"""The shared server that runs from the live checkout."""
