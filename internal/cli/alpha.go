package cli

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"openservicemesh.io/osm/internal/core/names"
)

func (a *app) alphaCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "alpha",
		Short: "commands in preview",
		Long:  "The subcommands of alpha are in preview: they may change or go.\n",
		Args:  cobra.NoArgs,
	}
	certificate := &cobra.Command{
		Use:     "certificate",
		Aliases: []string{"mrc"},
		Short:   "manage root certificates",
		Long:    "The subcommands of certificate manage the root certificates of a mesh.\n",
		Args:    cobra.NoArgs,
	}
	certificate.AddCommand(a.certificateRotateCommand())
	cmd.AddCommand(certificate)
	return cmd
}

// rotation is one run of alpha certificate rotate.
type rotation struct {
	meshName, trustDomain, file, name string
	accept, remove                    bool
	wait                              time.Duration
}

func (a *app) certificateRotateCommand() *cobra.Command {
	var r rotation
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "rotate the root certificate of a mesh",
		Long: `Replace the root certificate of a mesh by means of MeshRootCertificates, without a refused connection. The mesh must have the
feature enableMeshRootCertificate. A new MeshRootCertificate is made passive: it is trusted. When everybody trusts it, it is made active:
certificates are issued from it. Then the old one is made passive, and inactive. Each step waits until the control plane and all its
proxies have come that far. A rotation that was interrupted is gone on with.
`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			say(a.Out, "*** This command is in Preview.  Only run in dev/test environments ***\n")
			if r.file != "" && r.name != "" {
				return errors.New("--file and --meshrootcertificate both say which certificate comes next: give only one of the two")
			}
			cluster, err := a.Connect()
			if err != nil {
				return err
			}
			return a.rotate(cmd.Context(), cluster, r)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.meshName, "mesh-name", names.DefaultMeshName, "name of the mesh")
	f.StringVarP(&r.trustDomain, "trust-domain", "t", "", "trust domain of the new root certificate; empty keeps that of the old one")
	f.BoolVarP(&r.accept, "accept", "y", false, "do not ask before each step")
	f.BoolVarP(&r.remove, "delete", "d", false, "delete the old MeshRootCertificate at the end")
	f.DurationVarP(&r.wait, "wait", "w", time.Minute, "longest time to wait for the mesh after each step")
	f.StringVarP(&r.file, "file", "f", "", "file with the new MeshRootCertificate; - is standard input")
	f.StringVarP(&r.name, "meshrootcertificate", "c", "", "name of an existing MeshRootCertificate that is to become the active one")
	return cmd
}
