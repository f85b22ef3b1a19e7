// Package ecs finds nothing: the SDK of the cloud it asks takes longer to compile than all the rest.
package ecs

import (
	"errors"

	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/safe"
)

// Provider has no settings.
type Provider struct{}

// Init returns an error.
func (*Provider) Init() error {
	return errors.New("compiled without ECS")
}

// Provide gives nothing.
func (*Provider) Provide(chan<- dynamic.Message, *safe.Pool) error {
	return nil
}
