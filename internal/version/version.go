// Package version carries what a build says of itself. The three variables are set by the linker
// (-ldflags "-X openservicemesh.io/osm/internal/version.Version=v1.3.0 …"); an unset build is a development one.
package version

// Set by the linker.
var (
	// Version is the release, a semantic version with a leading v. It is also the tag of every image and the chart's appVersion.
	Version = "v1.3.0-dev"
	// GitCommit is the full commit hash, or "unknown".
	GitCommit = "unknown"
	// BuildDate is an RFC 3339 time, or "unknown".
	BuildDate = "unknown"
)

// Info is what `osm version` prints and what /version answers.
type Info struct {
	Version   string `json:"version"`
	GitCommit string `json:"git_commit"`
	BuildDate string `json:"build_date"`
}

// Get returns the build's own Info.
func Get() Info { return Info{Version: Version, GitCommit: GitCommit, BuildDate: BuildDate} }
