package injector

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
)

// nativeSince is the first Kubernetes whose init containers may go on running by default.
const nativeSince = "1.29.0"

// nativeSidecars decides the sidecar mode. auto asks the API server for its version.
func nativeSidecars(mode string, api discovery.ServerVersionInterface) (bool, error) {
	switch mode {
	case ModeNative:
		return true, nil
	case ModeClassic:
		return false, nil
	}
	return serverAtLeast(api, nativeSince)
}

// sleepSince is the first Kubernetes that knows the lifecycle action "sleep" by default. An older one would drop the
// unknown word and refuse the pod for a hook that does nothing.
const sleepSince = "1.30.0"

func preStopSleep(api discovery.ServerVersionInterface) (bool, error) {
	return serverAtLeast(api, sleepSince)
}

func serverAtLeast(api discovery.ServerVersionInterface, want string) (bool, error) {
	info, err := api.ServerVersion()
	if err != nil {
		return false, fmt.Errorf("ask the API server for its version: %w", err)
	}
	v, err := version.ParseGeneric(info.GitVersion)
	if err != nil {
		return false, fmt.Errorf("the API server's version %q cannot be read (%w): set --sidecar-mode (chart value osm.sidecarMode) to native or classic", info.GitVersion, err)
	}
	return v.AtLeast(version.MustParseGeneric(want)), nil
}
