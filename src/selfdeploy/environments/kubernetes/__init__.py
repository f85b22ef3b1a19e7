"""Kubernetes environments: access to one namespace, the lock, the record, the rollout, and the environment itself."""
