//go:build tools

// Package tools pins etcd's server, which the tests, the demo and the bench run. It is built and never linked.
package tools

import _ "go.etcd.io/etcd/server/v3"
