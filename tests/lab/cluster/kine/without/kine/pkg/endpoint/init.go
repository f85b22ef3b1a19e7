// Package endpoint knows the storage that k3s takes by itself, and no other: their clients would be most of what is
// compiled.
package endpoint

import (
	_ "github.com/k3s-io/kine/pkg/drivers/sqlite" // registers itself
)
