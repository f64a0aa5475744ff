package crds

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/internal/core/names"
)

const establishedPoll = 50 * time.Millisecond

// WaitEstablished returns when the API server serves every definition. It fails at once when a definition's names are
// taken by another, and otherwise when ctx ends, naming what is missing.
func (s *Set) WaitEstablished(ctx context.Context) error {
	tick := time.NewTicker(establishedPoll)
	defer tick.Stop()
	for {
		waiting, err := s.notEstablished(ctx)
		if err == nil && len(waiting) == 0 {
			return nil
		}
		if taken := (*namesTakenError)(nil); errors.As(err, &taken) {
			return err
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return fmt.Errorf("custom resource definitions cannot be listed: %w", err)
			}
			return fmt.Errorf("custom resource definitions not established in time: %s", strings.Join(waiting, ", "))
		case <-tick.C:
		}
	}
}

// namesTakenError says that another definition has the plural, singular, kind or short name.
type namesTakenError struct{ crd, message string }

// Error names the definition and what the API server says.
func (e *namesTakenError) Error() string {
	return fmt.Sprintf("CustomResourceDefinition %s is not accepted: %s; remove the definition that has these names", e.crd, e.message)
}

func (s *Set) notEstablished(ctx context.Context) ([]string, error) {
	list, err := s.client.ApiextensionsV1().CustomResourceDefinitions().List(ctx, metav1.ListOptions{
		LabelSelector: names.LabelAppName + "=" + names.AppName,
	})
	if err != nil {
		return nil, err
	}
	established := map[string]bool{}
	for i := range list.Items {
		d := &list.Items[i]
		for _, c := range d.Status.Conditions {
			switch {
			case c.Type == apiextv1.Established:
				established[d.Name] = c.Status == apiextv1.ConditionTrue
			case c.Type == apiextv1.NamesAccepted && c.Status == apiextv1.ConditionFalse && s.find(d.Name) != nil:
				return nil, &namesTakenError{d.Name, c.Message}
			}
		}
	}
	var waiting []string
	for _, d := range s.wanted {
		if !established[d.Name] {
			waiting = append(waiting, d.Name)
		}
	}
	return waiting, nil
}

func (s *Set) find(name string) *apiextv1.CustomResourceDefinition {
	for _, d := range s.wanted {
		if d.Name == name {
			return d
		}
	}
	return nil
}
