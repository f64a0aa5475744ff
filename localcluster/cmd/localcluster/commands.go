package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"openservicemesh.io/osm/localcluster/internal/build"
	"openservicemesh.io/osm/localcluster/internal/cluster"
	"openservicemesh.io/osm/localcluster/internal/lifecycle"
	"openservicemesh.io/osm/localcluster/internal/supervisor"
)

// stateEnv overrides the default of --state-dir.
const stateEnv = "LOCALCLUSTER_STATE_DIR"

// cli is what all commands share.
type cli struct {
	name, stateDir string
	out, errOut    io.Writer
}

func (c *cli) layout() (cluster.Layout, error) { return cluster.NewLayout(c.name, c.stateDir) }

// say prints a line of the answer.
func (c *cli) say(format string, args ...any) { fmt.Fprintf(c.out, format+"\n", args...) }

// timed returns a Reporter that puts the time since now in front.
func (c *cli) timed() lifecycle.Reporter {
	began := time.Now()
	return func(format string, args ...any) {
		c.say("[%6.1fs] %s", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
}

func newCommand(out, errOut io.Writer) *cobra.Command {
	c := &cli{out: out, errOut: errOut}
	root := &cobra.Command{
		Use:           "localcluster",
		Short:         "Real Kubernetes on this machine, in a network of its own",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(out)
	root.SetErr(errOut)
	state := cluster.DefaultStateDir
	if d := os.Getenv(stateEnv); d != "" {
		state = d
	}
	root.PersistentFlags().StringVar(&c.name, "name", cluster.DefaultName, "name of the cluster; several can be up side by side")
	root.PersistentFlags().StringVar(&c.stateDir, "state-dir", state, "folder for everything that clusters write (also "+stateEnv+")")
	root.AddCommand(c.up(), c.down(), c.status(), c.load(), c.kubeconfig(), c.exec(), c.logs(), c.build(), c.supervise())
	return root
}

func (c *cli) up() *cobra.Command {
	var o lifecycle.UpOptions
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Bring the cluster up, or heal it, until node and DNS are Ready",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := c.layout()
			if err != nil {
				return err
			}
			o.Out = c.errOut
			say := c.timed()
			if err := lifecycle.Up(cmd.Context(), l, o, say); err != nil {
				return err
			}
			say("cluster %q is up", l.Name)
			c.say("\nLook around:  kubectl --kubeconfig %s get pods --all-namespaces", l.Kubeconfig())
			c.say("Inside its network:  localcluster --name %s exec -- COMMAND", l.Name)
			c.say("Remove it:  localcluster --name %s down", l.Name)
			return nil
		},
	}
	cmd.Flags().StringVar(&o.Source, "source", "", "folder of the localcluster sources (also "+build.SourceEnv+")")
	cmd.Flags().IntVar(&o.APIPort, "api-port", 0, "port of the API server on 127.0.0.1; 0 takes a free one")
	cmd.Flags().DurationVar(&o.Timeout, "timeout", 3*time.Minute, "how long starting may take, without building")
	return cmd
}

func (c *cli) down() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Remove the cluster with everything that it made",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			l, err := c.layout()
			if err != nil {
				return err
			}
			return lifecycle.Down(l, c.timed())
		},
	}
}

func (c *cli) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the cluster; fails when it is not ready",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := c.layout()
			if err != nil {
				return err
			}
			return lifecycle.Status(cmd.Context(), l, c.say)
		},
	}
}

func (c *cli) load() *cobra.Command {
	return &cobra.Command{
		Use:   "load IMAGE.tar...",
		Short: "Load container images from tar files",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := c.layout()
			if err != nil {
				return err
			}
			return lifecycle.Load(cmd.Context(), l, args, c.say)
		},
	}
}

func (c *cli) kubeconfig() *cobra.Command {
	var path bool
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the administrator's kubeconfig, valid here and inside the cluster's network",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			l, err := c.layout()
			if err != nil {
				return err
			}
			b, err := os.ReadFile(l.Kubeconfig())
			if err != nil {
				return fmt.Errorf("cluster %q has no kubeconfig: %w; start it with `localcluster up --name %s`", l.Name, err, l.Name)
			}
			if path {
				c.say("%s", l.Kubeconfig())
				return nil
			}
			_, err = c.out.Write(b)
			return err
		},
	}
	cmd.Flags().BoolVar(&path, "path", false, "print the path of the file instead")
	return cmd
}

func (c *cli) exec() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec -- COMMAND [ARG...]",
		Short: "Run a command where the cluster's network is reachable, with KUBECONFIG set",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := c.layout()
			if err != nil {
				return err
			}
			return lifecycle.Exec(l, args)
		},
	}
	cmd.Flags().SetInterspersed(false) // what follows the command's name is the command's
	return cmd
}

func (c *cli) logs() *cobra.Command {
	var follow bool
	var lines int
	cmd := &cobra.Command{
		Use:       "logs COMPONENT",
		Short:     "Show the log of a component",
		Long:      "Show the log of a component: " + strings.Join(lifecycle.LogNames(), ", ") + ".",
		Args:      cobra.ExactArgs(1),
		ValidArgs: lifecycle.LogNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := c.layout()
			if err != nil {
				return err
			}
			return lifecycle.Logs(cmd.Context(), l, args[0], lines, follow, c.out)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is logged from now on")
	cmd.Flags().IntVar(&lines, "tail", -1, "number of lines from the end; negative for all")
	return cmd
}

func (c *cli) build() *cobra.Command {
	var source string
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build the cluster's programs into the cache, as `up` does, and print where they are",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			began := time.Now()
			out, err := lifecycle.Build(cmd.Context(), source, func(format string, args ...any) {
				fmt.Fprintf(c.errOut, "[%6.1fs] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
			})
			if err == nil {
				c.say("%s", out.Dir)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "folder of the localcluster sources (also "+build.SourceEnv+")")
	return cmd
}

// supervise is process 1 of a cluster; `up` starts it.
func (c *cli) supervise() *cobra.Command {
	return &cobra.Command{
		Use:    "supervise",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			l, err := c.layout()
			if err != nil {
				return err
			}
			return supervisor.Run(l)
		},
	}
}
