package bootstrap

// Kept is how many texts a memory holds.
func (m *Memory) Kept() int { return len(m.kept) }
