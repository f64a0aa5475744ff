package e2e

import (
	"os"
	"sync"
	"testing"

	"openservicemesh.io/osm/test/walkthrough"
)

// Go runs tests in the order of file names, so these are the last: the tests of the other files have used the mesh that
// the story leaves, and now its end is told, and then the whole of it again, from nothing, as a managed extension.

func TestWalkthroughEnds(t *testing.T) {
	walkthroughMesh(t)
	if err := walkthrough.Remove(t.Context(), story()); err != nil {
		t.Fatal(err)
	}
}

func TestWalkthroughManaged(t *testing.T) {
	err := walkthrough.Run(t.Context(), walkthrough.Options{
		Cluster: mesh, Out: os.Stdout, Namespace: "arc-osm-system", Managed: true})
	if err != nil {
		t.Fatal(err)
	}
}

func story() walkthrough.Options {
	return walkthrough.Options{Cluster: mesh, Out: os.Stdout, Namespace: meshNamespace, KeepMesh: true}
}

var (
	once    sync.Once
	onceErr error
)

// walkthroughMesh makes sure that the mesh as the canary step leaves it is there: SMI mode, egress off, bookbuyer may call
// bookstore, all of whose traffic goes to bookstore-v2. A test must leave it like that.
func walkthroughMesh(t *testing.T) {
	t.Helper()
	once.Do(func() { onceErr = walkthrough.Run(t.Context(), story()) })
	if onceErr != nil {
		t.Fatalf("the mesh of the walk-through could not be made: %v", onceErr)
	}
}
