package e2e

import "testing"

// With passthrough on, any destination outside is reached as it is, whatever is spoken; with it off, nothing is.
func TestEgressPassthrough(t *testing.T) {
	debianPrograms(t)
	closedMesh(t)
	startPods(t, "egress-passthrough.yaml", "passthrough")
	world(t)
	client := pod{"passthrough", "client", "app"}
	calls := map[string][]string{
		"outside GET www.example.com /x":  {"get", "http://www.example.com/x"},
		"outside GET api.example.com /y":  {"get", "https://api.example.com/y"},
		"outside GET " + worldIP + " /z ": {"get", "http://" + worldIP + "/z"},
		"welcome":                         {"tcpget", "-send", "", worldIP + ":3306"},
	}
	off := func(t *testing.T) {
		for _, args := range calls {
			client.want(t, 7, "", args...)
		}
	}
	t.Run("off", off)
	t.Run("on", func(t *testing.T) {
		meshConfig(t, `{"spec":{"traffic":{"enableEgress":true}}}`)
		for answer, args := range calls {
			client.want(t, 0, answer, args...)
		}
	})
	t.Run("off again", off)
}
