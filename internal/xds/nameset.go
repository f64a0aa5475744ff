package xds

import "slices"

// smallSet is how many names a set may note before it looks for those noted twice, and how much room it keeps when empty.
const smallSet = 64

// nameSet is a set of names, kept as a list: most sets come in order, are gone through once and then empty. A map of a hundred names
// takes ten times the space.
type nameSet struct {
	list []string
	// loose is whether list may be out of order or have names twice; at most so many more are noted before it is put in order.
	loose bool
	more  int
}

func (n *nameSet) add(name string) {
	last := len(n.list) - 1
	switch {
	case last >= 0 && n.list[last] == name:
		return
	case last >= 0 && n.list[last] > name:
		n.loose = true
	}
	n.list = append(n.list, name)
	if n.more--; n.more < 0 && n.loose {
		n.more = max(smallSet, len(n.sorted()))
	}
}

// sorted are the names in order, each once. The list is the set's own.
func (n *nameSet) sorted() []string {
	if n.loose {
		slices.Sort(n.list)
		n.list, n.loose = slices.Compact(n.list), false
	}
	return n.list
}

func (n *nameSet) len() int { return len(n.sorted()) }

func (n *nameSet) has(name string) bool {
	_, ok := slices.BinarySearch(n.sorted(), name)
	return ok
}

func (n *nameSet) remove(name string) {
	if i, ok := slices.BinarySearch(n.sorted(), name); ok {
		n.list = slices.Delete(n.list, i, i+1)
	}
}

// keep leaves only the names which f says to keep. f may ask the set, which is whole meanwhile, but not change it.
func (n *nameSet) keep(f func(name string) bool) {
	list := n.sorted()
	out := make([]bool, len(list))
	for i, name := range list {
		out[i] = !f(name)
	}
	left := list[:0]
	for i, name := range list {
		if !out[i] {
			left = append(left, name)
		}
	}
	clear(list[len(left):])
	if n.list = left; len(left) == 0 && cap(left) > smallMap {
		n.list = nil // thousands of streams wait most of the time
	}
}
