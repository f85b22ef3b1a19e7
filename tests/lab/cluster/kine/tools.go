//go:build tools

// Package kine pins what the lab compiles.
package kine

import (
	_ "github.com/k3s-io/kine"
)
