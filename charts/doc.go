// Package charts embeds the Helm chart of the control plane, so that the osm command installs without a download.
// Input: the files under charts/osm and the version of this build. Output: a chart as the Helm SDK takes it. It must not
// import anything of internal but internal/version.
package charts
