//go:build tools

// Package tools pins promtool, with which the tests check and try the chart's alerts. It is built and never linked.
package tools

import _ "github.com/prometheus/prometheus/cmd/promtool"
