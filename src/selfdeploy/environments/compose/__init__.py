"""An environment on a Docker engine, run by Compose."""
