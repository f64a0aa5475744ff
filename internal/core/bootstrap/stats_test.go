package bootstrap

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStatsThatStay: what dashboards, alerts and the guides ask for is there; what is left out tells nothing about calls.
func TestStatsThatStay(t *testing.T) {
	left := regexp.MustCompile("^(" + idleStats + ")$")
	for _, name := range []string{
		"upstream_rq_xx", "upstream_rq_2xx", "upstream_rq_200", "upstream_rq_total", "upstream_rq_timeout", "upstream_rq_rx_reset", "upstream_rq_retry",
		"upstream_rq_retry_success", "upstream_rq_pending_failure_eject", "upstream_rq_pending_overflow", "upstream_rq_time", "upstream_cx_active",
		"upstream_cx_tx_bytes_total", "upstream_cx_rx_bytes_total", "upstream_cx_connect_timeout", "upstream_cx_destroy_remote_with_active_rq",
		"upstream_cx_destroy_local_with_active_rq", "health_check.success", "membership_total", "membership_healthy", "membership_change",
		"circuit_breakers.default.remaining_rq", "circuit_breakers.default.cx_open", "outlier_detection.ejections_active", "lb_healthy_panic",
		"ssl.handshake", "ssl.fail_verify_san", "ssl.connection_error", "ssl.session_reused", "upstream_cx_http2_total", "retry_or_shadow_abandoned",
	} {
		require.NotRegexp(t, left, "cluster.bookstore/bookstore-v1|14001."+name)
		require.NotRegexp(t, left, "cluster.shop/web-0.web|5432|tcp."+name)
	}
	for _, name := range []string{
		"update_success", "update_duration", "version", "version_text", "init_fetch_timeout", "warming_state", "lb_subsets_active", "lb_zone_routing_sampled",
		"membership_degraded", "ssl.ocsp_staple_failed", "ssl.certificate.service-cert:a/b.expiration_unix_time_seconds", "max_host_weight",
		"client_ssl_socket_factory.ssl_context_update_by_sds", "default.total_match_count", "circuit_breakers.high.rq_open", "assignment_stale",
	} {
		require.Regexp(t, left, "cluster.bookstore/bookstore-v1|14001."+name)
		require.NotRegexp(t, left, "cluster.osm-controller."+name, "the proxy's own clusters are few")
	}
}
