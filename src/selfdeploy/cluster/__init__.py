"""A Kubernetes cluster through kubectl: the way in, its answers, its errors."""
