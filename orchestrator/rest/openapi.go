package rest

import _ "embed"

// openAPI describes the interface. A test makes it from the table of routes and
// from package api with its comments, and holds it to the handlers: see
// openapi_test.go, which rewrites it with -update.
//
//go:embed openapi.json
var openAPI []byte
