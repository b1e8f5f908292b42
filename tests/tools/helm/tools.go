//go:build tools

// Package tools pins helm, with which the tests and the demo render the chart. It is built and never linked.
package tools

import _ "helm.sh/helm/v4/cmd/helm"
