// Package contract checks the requests of the SDK against an OpenAPI description of the service, testdata/openapi.yaml in the root module.
// It is a module of its own, so that importers of the SDK download no validator.
package contract
