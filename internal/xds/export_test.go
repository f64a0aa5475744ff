package xds

// Sizes are the lengths of everything the hub keeps, for tests that look for leaks.
func (h *Hub) Sizes() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return map[string]int{
		"conns": len(h.conns), "behind": len(h.behind), "refusing": len(h.refusing), "pods": len(h.byPod),
		"groups": len(h.groups), "interest": len(h.interest), "waiting": h.waiting,
	}
}
