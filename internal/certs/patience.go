package certs

import (
	"context"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"openservicemesh.io/osm/internal/obs/errcode"
)

// A control plane often starts together with the cluster's network, so the API server's Service may not be routed to yet.
const (
	startPatience = time.Minute
	startPause    = 500 * time.Millisecond
)

// Patiently repeats the first talks with the API server for a while, until one succeeds. It gives up at once when the
// error is Permanent.
func Patiently(ctx context.Context, log *slog.Logger, try func() error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, startPause, startPatience, true, func(context.Context) (bool, error) {
		if last = try(); last != nil {
			log.Warn("not started yet, trying again", "error", last)
		}
		return last == nil, Permanent(last)
	})
	if last != nil {
		return last
	}
	return err
}

// Permanent returns an error that names a root certificate which is there and cannot be used, and nil for any other: such
// a root does not become usable by waiting.
func Permanent(err error) error {
	switch errcode.Of(err) {
	case errcode.FetchingCertSecret, errcode.CreatingCertSecret, "":
		return nil
	}
	return err
}
