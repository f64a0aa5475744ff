package cli

import (
	"context"
	goflag "flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

// Options is the world the command runs in; the zero value is the process's own.
type Options struct {
	In       io.Reader
	Out, Err io.Writer
	// Program is the command's name in usage lines: "osm", or "kubectl osm" where kubectl runs it as a plug-in.
	Program string
	// Getenv reads the environment: OSM_CONFIG, HOME, NO_COLOR.
	Getenv func(string) string
	// Connect opens the cluster that the user's flags choose, once, and only when a command needs it.
	Connect func(Access) (*Cluster, error)
	// Browse shows a URL to the user.
	Browse func(ctx context.Context, url string) error
	// Poll is the time between two looks at a cluster that is becoming ready.
	Poll time.Duration
}

func (o Options) withDefaults() Options {
	if o.In == nil {
		o.In = os.Stdin
	}
	if o.Out == nil {
		o.Out = os.Stdout
	}
	if o.Err == nil {
		o.Err = os.Stderr
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Connect == nil {
		o.Connect = connectFromEnvironment
	}
	if o.Program == "" {
		o.Program = "osm"
	}
	if o.Browse == nil {
		o.Browse = openBrowser
	}
	if o.Poll == 0 {
		o.Poll = 300 * time.Millisecond
	}
	return o
}

// app is what the commands of one run share.
type app struct {
	Options
	config    Config
	namespace string
	access    Access
	verbose   bool
}

// Connect opens the cluster that the user's flags choose.
func (a *app) Connect() (*Cluster, error) { return a.Options.Connect(a.access) }

// Main runs the command with the process's arguments and returns its exit code: 0, or 1 after any error.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first Ctrl-C tidies up, the second one ends that too.
	context.AfterFunc(ctx, stop)
	// Helm writes some of its remarks to the standard logger; what matters of them comes back as errors.
	log.SetOutput(io.Discard)
	return Run(ctx, Options{Program: programName(os.Args[0])}, os.Args[1:])
}

// programName is what the user typed to get here. kubectl runs a program called kubectl-osm for "kubectl osm".
func programName(arg0 string) string {
	name := strings.TrimSuffix(filepath.Base(arg0), ".exe")
	if strings.HasPrefix(name, "kubectl-") {
		return strings.Replace(name, "-", " ", 1)
	}
	return "osm"
}

// Run runs one command line and returns its exit code. Errors go to opts.Err as "Error: <message>".
func Run(ctx context.Context, opts Options, args []string) int {
	opts = opts.withDefaults()
	opts.In = interruptible{ctx, opts.In}
	root, err := New(opts)
	if err != nil {
		say(opts.Err, "%v\n", err)
		return 1
	}
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		return 1
	}
	return 0
}

// New returns the root command. It fails on a configuration file that does not parse.
func New(opts Options) (*cobra.Command, error) {
	opts = opts.withDefaults()
	cfg, err := loadConfig(opts.Getenv)
	if err != nil {
		return nil, fmt.Errorf("Error parsing environment configuration: %w", err)
	}
	a := &app{Options: opts, config: cfg}
	root := &cobra.Command{
		Use:          "osm",
		Short:        "Install and manage Open Service Mesh",
		Long:         "The osm command installs Open Service Mesh in a Kubernetes cluster and manages it there.\n",
		Annotations:  map[string]string{cobra.CommandDisplayNameAnnotation: opts.Program},
		SilenceUsage: true,
		// Where install is hidden, uninstall is no good suggestion for it.
		DisableSuggestions: cfg.Managed(),
	}
	root.SetIn(opts.In)
	root.SetOut(opts.Out)
	root.SetErr(opts.Err)
	flags := root.PersistentFlags()
	flags.StringVar(&a.namespace, "osm-namespace", cfg.Install.Namespace, "namespace of the osm control plane")
	flags.BoolVar(&a.verbose, "verbose", false, "print what the command does, in lines that begin with [debug]")
	flags.StringVar(&a.access.Kubeconfig, "kubeconfig", "", "kubeconfig file in place of $KUBECONFIG and ~/.kube/config")
	flags.StringVar(&a.access.Context, "context", "", "context of the kubeconfig in place of its current one")
	addLogFlags(root)
	root.AddCommand(a.namespaceCommand(), a.meshCommand(), a.metricsCommand(), a.uninstallCommand(), a.proxyCommand(), a.policyCommand(), a.checkCommand(), a.analyzeCommand(), a.describeCommand(), a.edgesCommand(),
		a.supportCommand(), a.verifyCommand(), a.versionCommand(), a.envCommand(), a.alphaCommand(), a.experimentalCommand())
	if !cfg.Managed() {
		root.AddCommand(a.installCommand(), a.dashboardCommand())
	}
	a.addCompletions(root)
	return root, nil
}

// addLogFlags takes over the flags of the Kubernetes client library's log, hidden, because scripts may pass them.
func addLogFlags(root *cobra.Command) {
	fs := goflag.NewFlagSet("klog", goflag.ContinueOnError)
	klog.InitFlags(fs)
	// What the library logs comes back as errors too; --logtostderr shows it nevertheless.
	_ = fs.Set("logtostderr", "false") // a flag that InitFlags has just made
	_ = fs.Set("stderrthreshold", "FATAL")
	klog.SetOutput(io.Discard)
	flags := root.PersistentFlags()
	flags.AddGoFlagSet(fs)
	fs.VisitAll(func(f *goflag.Flag) {
		if pf := flags.Lookup(f.Name); pf != nil {
			pf.Hidden = true
		}
	})
}

// debugf prints one line for --verbose.
func (a *app) debugf(format string, args ...any) {
	if a.verbose {
		say(a.Err, "[debug] "+format+"\n", args...)
	}
}

// logHandler takes the log of the Helm SDK: its errors come back as values, so without --verbose it is dropped.
func (a *app) logHandler() slog.Handler {
	if !a.verbose {
		return slog.DiscardHandler
	}
	return slog.NewTextHandler(prefixWriter{a.Err}, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: dropTime})
}

func dropTime(groups []string, attr slog.Attr) slog.Attr {
	if len(groups) == 0 && (attr.Key == slog.TimeKey || attr.Key == slog.LevelKey) {
		return slog.Attr{}
	}
	return attr
}

// prefixWriter puts "[debug] " before each record; slog writes a record in one call.
type prefixWriter struct{ to io.Writer }

func (w prefixWriter) Write(p []byte) (int, error) {
	if _, err := fmt.Fprintf(w.to, "[debug] %s", p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// say prints. Nothing useful can be done when standard output or error is gone, so what Fprintf returns is dropped; tables
// tell their errors when they are flushed.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// table aligns columns the way all tables of the command do.
func table(out io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(out, 6, 4, 3, ' ', 0) }
