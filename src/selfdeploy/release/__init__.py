"""The commands' work: whole releases, plans, status, and upkeep."""
