package component

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPodPlugin: the plugin that the configuration names is there, runs ptp with what it was given, and before that switches off
// the search for duplicate addresses where there are IPv6 ones.
func TestPodPlugin(t *testing.T) {
	for _, ipv6 := range []bool{true, false} {
		s := settings(t, ipv6)
		s.CNIBinDir = t.TempDir()
		ptp := "#!/bin/sh\necho \"$CNI_COMMAND in $CNI_PATH:\"\ncat\n"
		if err := os.WriteFile(filepath.Join(s.CNIBinDir, "ptp"), []byte(ptp), 0o755); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(file(t, s, "10-localcluster.conflist"), `"type":"`+podPlugin+`"`) {
			t.Errorf("the configuration does not name %s", podPlugin)
		}
		script := file(t, s, "cni/bin/"+podPlugin)
		if got := strings.Contains(script, "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad"); got != ipv6 {
			t.Errorf("IPv6 %v:\n%s", ipv6, script)
		}
		cmd := exec.Command("sh", "-c", script)
		cmd.Env, cmd.Stdin = append(os.Environ(), "CNI_COMMAND=DEL"), strings.NewReader("config")
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != "DEL in "+s.CNIBinDir+":\nconfig" {
			t.Errorf("%v: %q", err, out)
		}
	}
}
