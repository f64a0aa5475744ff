package transcript

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"openservicemesh.io/osm/internal/cli"
	"openservicemesh.io/osm/internal/testkit/fakeapi"
)

var update = flag.Bool("update", false, "write what was printed into the scripts")

func TestMain(m *testing.M) {
	osm := func() { os.Exit(cli.Main()) }
	testscript.Main(m, map[string]func(){"osm": osm, "kubectl-osm": osm})
}

func TestTranscripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", UpdateScripts: *update, RequireExplicitExec: true, RequireUniqueNames: true, Setup: setup,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"cluster": load, "answer": answer, "podlog": podlog, "refuse": refuse, "writes": writes, "object": object, "waitfile": waitfile, "waitobject": waitobject,
			"waitreplicas": waitreplicas, "unready": unready, "endline": endline, "roots": roots,
		},
	})
}

const kubeconfig = `apiVersion: v1
kind: Config
current-context: fake
clusters:
- {name: fake, cluster: {server: "%s"}}
- {name: empty, cluster: {server: "%s"}}
contexts:
- {name: fake, context: {cluster: fake, user: somebody}}
- {name: empty, context: {cluster: empty, user: somebody}}
users:
- {name: somebody, user: {token: "not-a-secret"}}
`

type serverKey struct{}

// setup starts two API servers for a script: that of the kubeconfig's current context, and an empty one.
func setup(env *testscript.Env) error {
	server, empty := fakeapi.New(), fakeapi.New()
	env.Defer(server.Close)
	env.Defer(empty.Close)
	env.Values[serverKey{}] = server
	path := filepath.Join(env.WorkDir, "kubeconfig")
	env.Setenv("KUBECONFIG", path)
	env.Setenv("SERVER", server.URL)
	env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
	env.Setenv("HELM_DRIVER", "")
	return os.WriteFile(path, fmt.Appendf(nil, kubeconfig, server.URL, empty.URL), 0o600)
}

func server(ts *testscript.TestScript) *fakeapi.Server {
	return ts.Value(serverKey{}).(*fakeapi.Server)
}

func usage(ts *testscript.TestScript, ok bool, text string) {
	if !ok {
		ts.Fatalf("usage: %s", text)
	}
}

// load puts the objects of files into the cluster.
func load(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 0, "cluster FILE...")
	for _, file := range args {
		ts.Check(server(ts).Load([]byte(ts.ReadFile(file))))
	}
}

// answer makes a pod answer a request.
func answer(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 6, "answer METHOD NAMESPACE/POD PORT PATH STATUS FILE")
	ns, pod, _ := strings.Cut(args[1], "/")
	status, err := strconv.Atoi(args[4])
	ts.Check(err)
	server(ts).Answer(args[0], ns, pod, args[2], args[3], status, ts.ReadFile(args[5]))
}

func podlog(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 3, "podlog NAMESPACE/POD CONTAINER FILE")
	ns, pod, _ := strings.Cut(args[0], "/")
	server(ts).Log(ns, pod, args[1], ts.ReadFile(args[2]))
}

// refuse makes requests fail with 403.
func refuse(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 3, "refuse VERB RESOURCE MESSAGE")
	server(ts).Refuse(args[0], args[1], args[2])
}

// writes prints the requests since the last time that changed something; "! writes" says that there were none.
func writes(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 0, "[!] writes")
	list := server(ts).Writes()
	if neg && len(list) > 0 {
		ts.Fatalf("requests that changed something:\n%s", strings.Join(list, "\n"))
	}
	for _, w := range list {
		_, _ = fmt.Fprintln(ts.Stdout(), w)
	}
}

// object prints an object of the cluster; "! object" says that there is none.
func object(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, "[!] object RESOURCE [NAMESPACE/]NAME")
	ns, name, qualified := strings.Cut(args[1], "/")
	if !qualified {
		ns, name = "", args[1]
	}
	text := server(ts).Object(args[0], ns, name)
	if neg != (text == "") {
		ts.Fatalf("%s %s:\n%s", args[0], args[1], text)
	}
	_, _ = fmt.Fprint(ts.Stdout(), text)
}

// waitfile waits until a command in the background has made a file.
func waitfile(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "waitfile PATTERN")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if found, err := filepath.Glob(ts.MkAbs(args[0])); err == nil && len(found) > 0 {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not come", args[0])
		}
	}
}

// waitobject waits until a command in the background has made an object.
func waitobject(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "waitobject RESOURCE NAMESPACE/NAME")
	ns, name, _ := strings.Cut(args[1], "/")
	for deadline := time.Now().Add(time.Minute); server(ts).Object(args[0], ns, name) == ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("%s %s does not come", args[0], args[1])
		}
	}
}

// waitreplicas waits until the controller's deployment wants this many pods.
func waitreplicas(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "waitreplicas N")
	want := "replicas: " + args[0] + "\n"
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		have := server(ts).Object("deployments", "osm-system", "osm-controller")
		if strings.Contains(have, want) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("want %s, have:\n%s", want, have)
		}
	}
}

// unready keeps deployments from becoming ready; "! unready" lets them again.
func unready(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 0, "[!] unready")
	server(ts).Unready(!neg)
}

// endline copies standard output to stdout.txt and ends its last line, because files in scripts cannot be without that.
func endline(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 0, "endline")
	ts.Check(os.WriteFile(ts.MkAbs("stdout.txt"), []byte(ts.ReadFile("stdout")+"\n"), 0o600))
}
