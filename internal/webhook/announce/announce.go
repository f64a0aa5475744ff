package announce

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"openservicemesh.io/osm/internal/core/names"
)

const (
	lookPeriod = 5 * time.Second
	retryPause = time.Second
)

// Client is the client of one kind of webhook configuration. The generated clients implement it.
type Client[T any] interface {
	Get(ctx context.Context, name string, opts metav1.GetOptions) (T, error)
	Create(ctx context.Context, c T, opts metav1.CreateOptions) (T, error)
	Update(ctx context.Context, c T, opts metav1.UpdateOptions) (T, error)
}

// Root is where the certificate comes from that the webhook's own is checked against.
type Root interface {
	TrustBundle() []byte
	// Changed is closed when the trust bundle is another one.
	Changed() <-chan struct{}
}

// Remembered is a Root that remembers which bundle Keep took last: when looked is called, the one that the API server has.
type Remembered struct {
	Root
	Bundle []byte
}

// TrustBundle implements Root.
func (r *Remembered) TrustBundle() []byte {
	r.Bundle = r.Root.TrustBundle()
	return r.Bundle
}

// Keeper keeps one configuration of kind T, a pointer to a webhook configuration.
type Keeper[T metav1.Object] struct {
	Client Client[T]
	// Build makes the whole object, every field set that the API server would default and the version as a label.
	Build func(caBundle []byte) T
	// Same compares the webhooks of two objects, Take has the first one take over those of the second.
	Same func(have, want T) bool
	Take func(have, want T)
	// Stays reports whether this version is the one that is to run.
	Stays func(context.Context) (bool, error)
	// Failed says what could not be done, "create", "read" or "update", around the API's error. It is called with errors alone.
	Failed func(verb string, err error) error
	// Reconcile puts back what somebody changed or deleted. Without it a deleted configuration stays deleted, for its
	// removal is part of removing a mesh.
	Reconcile bool
}

// effort is how far Ensure goes.
type effort int

const (
	takeOver effort = iota // no further than another version's configuration
	mend                   // and what differs in this version's
	create                 // and what is missing
)

// Keep writes the configuration when it begins, when the root changes and when another version has left it behind; with
// Reconcile also when somebody changed or deleted it. It returns when ctx ends. looked is called after each look that went
// well, with whether it was the first and whether something was written.
func (k Keeper[T]) Keep(ctx context.Context, root Root, log *slog.Logger, looked func(first, wrote bool)) {
	var told []byte // the trust bundle that the API server was told last
	for first := true; ctx.Err() == nil; {
		changed, bundle := root.Changed(), root.TrustBundle()
		how := takeOver
		switch {
		case first || k.Reconcile:
			how = create
		case !bytes.Equal(bundle, told):
			how = mend
		}
		wrote, err := k.ensure(ctx, bundle, how)
		pause := lookPeriod
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Error("cannot write the webhook configuration, trying again", "error", err)
			pause = retryPause
		default:
			looked(first, wrote)
			first, told = false, bundle
		}
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-wait.C:
		}
		wait.Stop()
	}
}

// ensure makes the object in the cluster what Build says, or finds that it is or that it is another version's to write. It
// writes only what differs, so that replicas that agree do not write in turns.
func (k Keeper[T]) ensure(ctx context.Context, caBundle []byte, how effort) (wrote bool, err error) {
	want := k.Build(caBundle)
	again := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }
	err = retry.OnError(retry.DefaultBackoff, again, func() error {
		have, err := k.Client.Get(ctx, want.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			if how < create {
				return nil
			}
			_, err = k.Client.Create(ctx, want, metav1.CreateOptions{})
			wrote = err == nil
			return k.failed("create", err)
		}
		if err != nil {
			return k.failed("read", err)
		}
		if mine, err := k.mine(ctx, have, want, how); !mine {
			return err
		}
		if carries(have.GetLabels(), want.GetLabels()) && k.Same(have, want) {
			return nil
		}
		k.Take(have, want)
		labels := maps.Clone(have.GetLabels())
		if labels == nil {
			labels = map[string]string{}
		}
		maps.Copy(labels, want.GetLabels())
		have.SetLabels(labels)
		_, err = k.Client.Update(ctx, have, metav1.UpdateOptions{})
		wrote = err == nil
		return k.failed("update", err)
	})
	return wrote, err
}

// mine reports whether this replica may write the object: its own version wrote it last, or is the one that stays.
func (k Keeper[T]) mine(ctx context.Context, have, want T, how effort) (bool, error) {
	if have.GetLabels()[names.LabelAppVersion] == want.GetLabels()[names.LabelAppVersion] {
		return how > takeOver, nil
	}
	stays, err := k.Stays(ctx)
	return stays, k.failed("update", err)
}

// failed keeps the API error inside, which the retry looks at.
func (k Keeper[T]) failed(verb string, err error) error {
	if err == nil {
		return nil
	}
	return k.Failed(verb, err)
}

// carries reports whether labels hold what this program sets; those of others do not matter.
func carries(have, want map[string]string) bool {
	for k, v := range want {
		if have[k] != v {
			return false
		}
	}
	return true
}
