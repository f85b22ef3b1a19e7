"""A namespace of a Kubernetes cluster: the way in, the lock, the record, the rollout, and the environment they make."""
