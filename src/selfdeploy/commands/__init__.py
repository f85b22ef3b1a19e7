"""The commands, a function each; their modules load when one is run."""
