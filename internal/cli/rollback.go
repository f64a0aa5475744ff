package cli

import (
	"context"
	"fmt"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/kube"
	rcommon "helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
)

// rollBackTimeout bounds the way back after a failed upgrade. The previous control plane still runs as a rule: Kubernetes
// does not stop its pods before new ones are ready.
const rollBackTimeout = 3 * time.Minute

// rollBackUpgrade brings a mesh back to the revision that served before an upgrade failed or was interrupted, and returns
// the failure with what became of the mesh. Helm's own roll-back would wait with the context that the interrupt has ended.
func rollBackUpgrade(ctx context.Context, cfg *action.Configuration, meshName, namespace string, failed error) error {
	interrupted := ctx.Err() != nil
	good := lastGood(cfg, meshName)
	if good == nil {
		return fmt.Errorf("%w; there is no earlier revision of mesh [%s] that was ready, so nothing was rolled back: "+
			"\"osm mesh upgrade\" tries again, \"osm uninstall mesh\" removes it", failed, meshName)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollBackTimeout)
	defer cancel()
	helm := action.NewRollback(cfg)
	helm.Version = good.Version
	helm.WaitStrategy = kube.StatusWatcherStrategy
	helm.WaitOptions = []kube.WaitOption{kube.WithWaitContext(ctx)}
	helm.Timeout = rollBackTimeout
	helm.CleanupOnFail = true
	if err := helm.Run(meshName); err != nil {
		return fmt.Errorf("the upgrade of mesh [%s] failed and could not be rolled back to revision %d: %w; sidecars keep what they have meanwhile; "+
			"when the cause is mended, \"osm mesh upgrade\" completes the upgrade and \"helm rollback %s %d -n %s\" goes back; the upgrade failed with: %w",
			meshName, good.Version, err, meshName, good.Version, namespace, failed)
	}
	became := fmt.Sprintf("mesh [%s] in namespace [%s] is back at revision %d (version %s)", meshName, namespace, good.Version, versionOf(good))
	if interrupted {
		return fmt.Errorf("interrupted, and the upgrade was rolled back: %s; \"osm mesh upgrade\" tries again: %w", became, failed)
	}
	return fmt.Errorf("the upgrade failed and was rolled back: %s; mend the cause and run \"osm mesh upgrade\" again: %w", became, failed)
}

// lastGood is the revision that serves: the deployed one, else the newest that once was; nil when there is none. Helm
// calls a revision superseded, too, that failed and whose roll-back failed.
func lastGood(cfg *action.Configuration, name string) *release.Release {
	history, err := cfg.Releases.History(name)
	if err != nil {
		return nil
	}
	var good *release.Release
	for _, status := range []rcommon.Status{rcommon.StatusDeployed, rcommon.StatusSuperseded} {
		for _, r := range history {
			rel, ok := r.(*release.Release)
			if ok && rel.Info != nil && rel.Info.Status == status && (good == nil || rel.Version > good.Version) {
				good = rel
			}
		}
		if good != nil {
			return good
		}
	}
	return nil
}

func versionOf(rel *release.Release) string {
	if rel.Chart == nil || rel.Chart.Metadata == nil {
		return unknown
	}
	return rel.Chart.Metadata.AppVersion
}

// settlePending refuses a mesh that somebody else is changing. A run that was killed half-way looks the same; takeOver
// declares its revision failed, so that Helm goes on.
func settlePending(cfg *action.Configuration, rel *release.Release, namespace string, takeOver bool) error {
	if rel.Info == nil || !rel.Info.Status.IsPending() {
		return nil
	}
	if !takeOver {
		return fmt.Errorf("mesh [%s] in namespace [%s] is being changed since %s (release status: %s): wait until that is done; "+
			"if it was killed half-way, --take-over goes on from there",
			rel.Name, namespace, rel.Info.LastDeployed.UTC().Format(time.RFC3339), rel.Info.Status)
	}
	rel.SetStatus(rcommon.StatusFailed, "ended half-way")
	if err := cfg.Releases.Update(rel); err != nil {
		return fmt.Errorf("take over mesh [%s]: %w", rel.Name, err)
	}
	return nil
}
