"""Releases that are killed, or meet a fault, at every instant; and what has to hold after each (docs/chaos.md)."""
