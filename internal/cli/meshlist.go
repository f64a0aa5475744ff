package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"k8s.io/client-go/kubernetes"

	"openservicemesh.io/osm/internal/core/names"
)

// meshInfo is one mesh as -o json and yaml show it.
type meshInfo struct {
	Name       string   `json:"name"`
	Namespace  string   `json:"namespace"`
	Version    string   `json:"version"`
	Namespaces []string `json:"namespaces"`
	// SMI are the supported kinds, as kind:version; none when no controller answers.
	SMI []string `json:"smi"`
	// ControllersReady of Controllers pods of osm-controller are ready.
	ControllersReady  int  `json:"controllersReady"`
	Controllers       int  `json:"controllers"`
	EnforceSingleMesh bool `json:"enforceSingleMesh"`
}

// describe asks for everything about a mesh but the versions of SMI.
func (m mesh) describe(ctx context.Context, kube kubernetes.Interface) (meshInfo, error) {
	info := meshInfo{Name: m.name, Namespace: m.namespace, Version: m.version, EnforceSingleMesh: m.single, Namespaces: []string{}, SMI: []string{}}
	list, err := namespacesOf(ctx, kube, m.name)
	if err != nil {
		return info, fmt.Errorf("list the namespaces of mesh [%s]: %w", m.name, err)
	}
	for _, ns := range list {
		info.Namespaces = append(info.Namespaces, ns.Name)
	}
	pods, err := kube.CoreV1().Pods(m.namespace).List(ctx, selector(names.LabelApp, names.Controller))
	if err != nil {
		return info, fmt.Errorf("list the pods of %s in namespace %s: %w", names.Controller, m.namespace, err)
	}
	for _, p := range pods.Items {
		if p.DeletionTimestamp != nil {
			continue
		}
		info.Controllers++
		if podReady(&p) {
			info.ControllersReady++
		}
	}
	return info, nil
}

// printMeshes prints the first table of mesh list.
func printMeshes(ctx context.Context, out io.Writer, kube kubernetes.Interface, meshes []mesh, wide bool) error {
	w := table(out)
	say(w, "\nMESH NAME\tMESH NAMESPACE\tVERSION\tADDED NAMESPACES")
	if wide {
		say(w, "\tCONTROLLERS READY\tENFORCE SINGLE MESH")
	}
	say(w, "\n")
	for _, m := range meshes {
		info, err := m.describe(ctx, kube)
		if err != nil {
			return err
		}
		say(w, "%s\t%s\t%s\t%s", m.name, m.namespace, m.version, strings.Join(info.Namespaces, ","))
		if wide {
			say(w, "\t%d/%d\t%s", info.ControllersReady, info.Controllers, strconv.FormatBool(info.EnforceSingleMesh))
		}
		say(w, "\n")
	}
	return w.Flush()
}

func (a *app) meshListStructured(ctx context.Context, cluster *Cluster, meshes []mesh, localPort uint16, output listOutput) error {
	list := []meshInfo{}
	for _, m := range meshes {
		info, err := m.describe(ctx, cluster.Kube)
		if err != nil {
			return err
		}
		if smi := a.smiVersions(ctx, cluster, m, localPort); smi != unknown {
			info.SMI = strings.Split(smi, ",")
		}
		list = append(list, info)
	}
	_, err := output.write(a.Out, list)
	return err
}
