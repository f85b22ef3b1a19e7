// Package creds knows the logins of Docker's configuration alone: the helpers of three clouds take long to compile.
package creds

import "github.com/google/go-containerregistry/pkg/authn"

// GetKeychain returns what finds the login of a registry.
func GetKeychain() authn.Keychain {
	return authn.DefaultKeychain
}
