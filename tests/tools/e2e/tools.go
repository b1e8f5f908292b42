//go:build tools

// Package tools pins Kubernetes' own conformance tests and the image that they run in pods. They are built and never linked.
package tools

import (
	_ "k8s.io/kubernetes/test/e2e"
	_ "k8s.io/kubernetes/test/images/agnhost"
)
