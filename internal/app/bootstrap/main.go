package bootstrap

import (
	"context"
	"errors"

	"github.com/spf13/pflag"

	"openservicemesh.io/osm/internal/app/crds"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/obs"
)

// Main runs osm-bootstrap with the arguments after the program's name and returns the exit status. What keeps it from
// starting is logged and put as an event on its own pod.
func Main(ctx context.Context, args []string) int {
	cfg, parseErr := Parse(args)
	if errors.Is(parseErr, pflag.ErrHelp) {
		return 0
	}
	m := obs.NewMetrics()
	logging, levelErr := obs.Start(cfg.Verbosity, m.ErrorCode)
	log := logging.Logger(names.Bootstrap + "/main")
	clients, connectErr := crds.Connect(names.Bootstrap)
	var own obs.PodClients
	if clients.Core != nil {
		own.Pods, own.Events = clients.Core.CoreV1().Pods(cfg.Namespace), clients.Core.CoreV1().Events(cfg.Namespace)
	}
	events := obs.NewPodEvents(own, cfg.Namespace, obs.EnvBootstrapPodName, names.Bootstrap, log)
	for _, f := range []struct {
		reason string
		err    error
	}{
		{obs.ReasonInvalidCLIParameters, parseErr},
		{obs.ReasonInvalidCLIParameters, levelErr},
		{obs.ReasonInvalidCertificateManager, cfg.Certificates.Check()},
		{obs.ReasonInitializationError, connectErr},
	} {
		if f.err != nil {
			events.Warn(ctx, f.reason, f.err)
			return 1
		}
	}
	if err := Run(ctx, cfg, clients, m, log); err != nil {
		if ctx.Err() != nil {
			return 0
		}
		events.Warn(ctx, obs.ReasonInitializationError, err)
		return 1
	}
	return 0
}
