//go:build tools

// Package tailscale pins what the lab compiles.
package tailscale

import (
	_ "tailscale.com/cmd/tailscale"
	_ "tailscale.com/cmd/tailscaled"
)
