package crds

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/obs"
	"openservicemesh.io/osm/internal/obs/errcode"
)

const (
	program        = "osm-crds"
	cleanupTimeout = 90 * time.Second // within the Job's deadline
	usage          = `osm-crds runs after an uninstallation, as the chart's post-delete hook.

It puts the mesh's custom resource definitions that are in the cluster back to this version's, and deletes what the control
plane made at run time: the MeshConfig, the MeshRootCertificate osm-mesh-root-certificate, the Secret with the mesh's
root certificate, the Lease of the leader and the webhook configurations. Users' policies stay.

Flags:
`
)

// parse reads osm-crds' command line, without the program's name.
func parse(args []string) (in Installation, verbosity string, err error) {
	fs := pflag.NewFlagSet(program, pflag.ContinueOnError)
	fs.Usage = func() { _, _ = fmt.Fprint(os.Stdout, usage+fs.FlagUsages()) }
	fs.StringVarP(&verbosity, "verbosity", "v", "info", "log level: disabled, panic, fatal, error, warn, info, debug or trace")
	fs.StringVar(&in.MeshName, "mesh-name", "", "name of the mesh that was removed")
	fs.StringVar(&in.Namespace, "osm-namespace", "", "namespace of its control plane")
	fs.StringVar(&in.ConfigName, "osm-config-name", names.MeshConfig, "name of its MeshConfig")
	fs.StringVar(&in.CABundleSecret, "ca-bundle-secret-name", names.CABundleSecret, "Secret with its root certificate")
	bad := func(format string, a ...any) error { return errcode.Errorf(errcode.InvalidCLIArgument, format, a...) }
	switch err = fs.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		return in, verbosity, err
	case err != nil:
		return in, verbosity, bad("%w", err)
	case fs.NArg() > 0:
		return in, verbosity, bad("unexpected argument %q", fs.Arg(0))
	case in.MeshName == "":
		return in, verbosity, bad("--mesh-name is empty: name the mesh that was removed")
	case in.Namespace == "":
		return in, verbosity, bad("--osm-namespace is empty: name the namespace of the removed control plane")
	case in.ConfigName == "" || in.CABundleSecret == "":
		return in, verbosity, bad("--osm-config-name and --ca-bundle-secret-name must not be empty")
	}
	return in, verbosity, nil
}

// Main runs osm-crds with the arguments after the program's name and returns the exit status.
func Main(ctx context.Context, args []string) int {
	in, verbosity, err := parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		return 0
	}
	logging, levelErr := obs.Start(verbosity, nil)
	log := logging.Logger(program)
	if err = errors.Join(err, levelErr); err == nil {
		var clients Clients
		if clients, err = Connect(program); err == nil {
			ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
			defer cancel()
			err = Cleanup(ctx, clients, in, log)
		}
	}
	if err != nil {
		log.Error("the mesh's remains could not all be removed", "error", err)
		return 1
	}
	return 0
}
