//go:build tools

// Package tools pins CoreDNS, the DNS of the real cluster. It is built and never linked.
package tools

import _ "github.com/coredns/coredns"
