// Package xdstest makes small encoded resources and views of them for tests of what is delivered to proxies. Input:
// names and revisions. Output: envoy.Resource values and a View. It must not import internal/xds, whose own tests use it.
package xdstest
