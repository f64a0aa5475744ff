// Package e2e runs real clusters and checks that they work, that they heal and
// that they leave nothing behind. It needs root and about ten minutes:
//
//	go test -tags e2e -count=1 -timeout 40m -v ./e2e
//
// E2E_ROUNDS sets how often TestUpDownLeavesNothing goes up and down (10). The
// cluster's programs are taken from the cache, or built.
package e2e
