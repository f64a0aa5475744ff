package preinstall

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"openservicemesh.io/osm/internal/app/crds"
	"openservicemesh.io/osm/internal/core/coexist"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/obs"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// program is the name in logs.
const program = "osm-preinstall"

// Config is osm-preinstall's flags.
type Config struct {
	Verbosity, Namespace string
	// EnforceSingleMesh: the new mesh wants to be the only one of the cluster.
	EnforceSingleMesh bool
}

// Parse reads the command line, without the program's name. pflag.ErrHelp means that help was asked for and printed.
func Parse(args []string) (Config, error) {
	var c Config
	fs := pflag.NewFlagSet(program, pflag.ContinueOnError)
	fs.StringVarP(&c.Verbosity, "verbosity", "v", "info", "log level: disabled, panic, fatal, error, warn, info, debug or trace")
	fs.BoolVar(&c.EnforceSingleMesh, "enforce-single-mesh", true, "the new mesh is to be the only one in the cluster")
	fs.StringVar(&c.Namespace, "namespace", "", "namespace the new mesh is installed in")
	switch err := fs.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		return c, err
	case err != nil:
		return c, errcode.Errorf(errcode.InvalidCLIArgument, "%w", err)
	case fs.NArg() > 0:
		return c, errcode.Errorf(errcode.InvalidCLIArgument, "unexpected argument %q", fs.Arg(0))
	case c.Namespace == "":
		return c, errcode.Errorf(errcode.InvalidCLIArgument, "--namespace is empty: name the namespace of the new mesh")
	}
	return c, nil
}

// Check returns every reason why the mesh must not be installed, joined, or nil.
func Check(ctx context.Context, client kubernetes.Interface, c Config) error {
	list, err := client.AppsV1().Deployments(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		LabelSelector: names.LabelApp + "=" + names.Controller,
	})
	if err != nil {
		return fmt.Errorf("cannot list the Deployments of existing meshes in all namespaces: %w", err)
	}
	var meshes []coexist.Mesh
	for i := range list.Items {
		d := &list.Items[i]
		meshes = append(meshes, coexist.Mesh{Name: d.Labels[names.LabelMeshName], Namespace: d.Namespace, Only: d.Labels[names.LabelEnforceSingleMesh] == "true"})
	}
	return coexist.Refusal(coexist.Obstacles(coexist.Mesh{Namespace: c.Namespace, Only: c.EnforceSingleMesh}, meshes))
}

// Main runs osm-preinstall with the arguments after the program's name and returns the exit status.
func Main(ctx context.Context, args []string) int {
	cfg, err := Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		return 0
	}
	logging, levelErr := obs.Start(cfg.Verbosity, nil)
	log := logging.Logger(program)
	if err = errors.Join(err, levelErr); err == nil {
		var clients crds.Clients
		if clients, err = crds.Connect(program); err == nil {
			err = Check(ctx, clients.Core, cfg)
		}
	}
	if err != nil {
		log.Error("the mesh cannot be installed", "error", err)
		return 1
	}
	log.Info("nothing stands against installing the mesh", "namespace", cfg.Namespace)
	return 0
}
