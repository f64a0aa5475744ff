package manifests

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"openservicemesh.io/osm/api/scheme"
)

// maxDocument bounds one document; the API server's own limit for an object is below it.
const maxDocument = 3 << 20

// reader decodes documents strictly: an unknown or doubled field is an error, as with `kubectl --validate=strict`.
type reader struct {
	scheme  *runtime.Scheme
	decoder runtime.Decoder
	objects []runtime.Object
	// skipped are the kinds of objects that the mesh has no use for.
	skipped map[string]bool
}

func newReader() (*reader, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, discoveryv1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, scheme.AddToScheme,
	} {
		if err := add(s); err != nil {
			return nil, err
		}
	}
	return &reader{
		scheme: s, skipped: map[string]bool{},
		decoder: serializer.NewCodecFactory(s, serializer.EnableStrict).UniversalDeserializer(),
	}, nil
}

// path reads a file, or every .yaml, .yml and .json file below a directory, in order of their names.
func (r *reader) path(path string) error {
	var errs []error
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() || (p != path && !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(p))) {
			return nil
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		errs = append(errs, r.stream(p, f), f.Close())
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// stream reads documents; name is what errors call it. All documents are read, so that all errors show at once.
func (r *reader) stream(name string, in io.Reader) error {
	var errs []error
	docs := utilyaml.NewYAMLReader(bufio.NewReader(in))
	for n := 1; ; n++ {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return errors.Join(errs...)
		}
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("%s, document %d: %w", name, n, err))...)
		}
		if len(doc) > maxDocument {
			errs = append(errs, fmt.Errorf("%s, document %d: %d bytes are too large for one object", name, n, len(doc)))
			continue
		}
		if err := r.document(doc); err != nil {
			errs = append(errs, fmt.Errorf("%s, document %d: %w", name, n, err))
		}
	}
}

func (r *reader) document(doc []byte) error {
	if len(bytes.TrimSpace(doc)) == 0 {
		return nil
	}
	var head struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        struct {
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
		} `json:"metadata"`
	}
	if err := yaml.Unmarshal(doc, &head); err != nil {
		return fmt.Errorf("not YAML: %w", err)
	}
	if head.Kind == "" && head.APIVersion == "" {
		return onlyComments(doc)
	}
	gvk := head.GroupVersionKind()
	label := strings.TrimPrefix(gvk.Kind+" "+head.Metadata.Namespace+"/"+head.Metadata.Name, "/")
	if !r.scheme.Recognizes(gvk) {
		if r.ours(gvk.Group) {
			return fmt.Errorf("%s: there is no kind %q in %s; see `osm policy` for those there are", label, gvk.Kind, head.APIVersion)
		}
		r.skipped[gvk.Kind] = true
		return nil
	}
	obj, _, err := r.decoder.Decode(doc, nil, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", label, err)
	}
	if list, ok := obj.(*corev1.List); ok {
		for i, item := range list.Items {
			if err := r.document(item.Raw); err != nil {
				return fmt.Errorf("item %d: %w", i+1, err)
			}
		}
		return nil
	}
	if head.Metadata.Name == "" {
		return fmt.Errorf("%s: metadata.name is missing", label)
	}
	r.objects = append(r.objects, obj)
	return nil
}

// onlyComments accepts a document without content.
func onlyComments(doc []byte) error {
	var anything any
	if err := yaml.Unmarshal(doc, &anything); err != nil {
		return fmt.Errorf("not YAML: %w", err)
	}
	if anything != nil {
		return errors.New("apiVersion and kind are missing")
	}
	return nil
}

// ours reports whether a group is one of the mesh's own, where an unknown kind is a mistake.
func (r *reader) ours(group string) bool {
	for _, k := range scheme.Kinds() {
		if k.Group == group {
			return true
		}
	}
	return false
}
