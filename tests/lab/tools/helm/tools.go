//go:build tools

// Package helm pins the package manager that the benchmark compares with.
package helm

import _ "helm.sh/helm/v4/cmd/helm"
