//go:build tools

// Package actionlint pins the checker of workflow files that `build` compiles.
package actionlint

import _ "github.com/rhysd/actionlint/cmd/actionlint"
