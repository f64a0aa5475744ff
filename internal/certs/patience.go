package certs

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"openservicemesh.io/osm/internal/obs"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// A control plane often starts together with the cluster's network, so the API server's Service may not be routed to yet.
const (
	startPatience = time.Minute
	startPause    = 500 * time.Millisecond
)

// certificateCodes is how error codes about certificates begin.
const certificateCodes = "E40"

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
	case errcode.FetchingCertSecret, errcode.CreatingCertSecret, errcode.FetchingRootCert, errcode.IssuingCert, errcode.CreatingCertReq, "":
		return nil
	}
	return err
}

// EventReason is the reason of the event that tells why a program did not start.
func EventReason(err error) string {
	switch code := errcode.Of(err); {
	case code == errcode.IssuingCert, code == errcode.FetchingRootCert, code == errcode.CreatingCertReq:
		return obs.ReasonCertificateIssuanceFailure
	case strings.HasPrefix(string(code), certificateCodes) && Permanent(err) != nil:
		return obs.ReasonInvalidCertificateManager
	}
	return obs.ReasonInitializationError
}
