package walkthrough

import (
	"context"
	"fmt"
	"strings"
)

// captureIsTLS looks at the bytes on the interface of bookstore's pod while bookbuyer calls. It needs to stand in the
// cluster's network, so it runs on the local cluster only.
func (s *Story) captureIsTLS(ctx context.Context) error {
	ip, err := s.cluster.Output(ctx, "kubectl", "get", "pods", "-n", "bookstore", "-l", "app=bookstore", "-o", "jsonpath={.items[0].status.podIP}")
	if err != nil {
		return err
	}
	cmd := s.Cluster.Inside(ctx, "go", "run", "./test/walkthrough/capture", "-ip", ip, "-port", "14001", "-seconds", "3")
	if cmd == nil {
		s.say("   (no packet capture: only the local cluster's network can be entered)")
		return nil
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("capture: %w\n%s", err, out)
	}
	s.ok("%s", strings.TrimSpace(string(out)))
	return nil
}
