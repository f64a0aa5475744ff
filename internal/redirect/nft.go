package redirect

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"

	"openservicemesh.io/osm/internal/core/capture"
	"openservicemesh.io/osm/internal/core/names"
)

// Registers: conditions use one, a NAT target the same one after them.
const reg = 1

// Where addresses and ports stand in the headers.
const (
	offsetDst4, offsetDst6 = 16, 24
	offsetSrcPort          = 0
	offsetDstPort          = 2
)

// refuseTable holds the fallback of refuse6, beside the redirecting table.
const refuseTable = "osm_refuse"

// batch collects one transaction; the first error sticks.
type batch struct {
	conn *nftables.Conn
	err  error
}

// table returns an empty table of that name. Adding it first makes deleting it safe when it is not there.
func (b *batch) table(name string, f nftables.TableFamily) *nftables.Table {
	t := &nftables.Table{Name: name, Family: f}
	b.conn.AddTable(t)
	b.conn.DelTable(t)
	return b.conn.AddTable(t)
}

func (b *batch) redirect(r capture.Rules) {
	family := nftables.TableFamilyIPv4
	if r.Family == capture.IPv6 {
		family = nftables.TableFamilyIPv6
		// What an earlier run refused is redirected now.
		t := &nftables.Table{Name: refuseTable, Family: family}
		b.conn.AddTable(t)
		b.conn.DelTable(t)
	}
	t := b.table(Table, family)
	in := b.conn.AddChain(&nftables.Chain{
		Name: capture.ChainInbound, Table: t, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest,
	})
	out := b.conn.AddChain(&nftables.Chain{
		Name: capture.ChainOutbound, Table: t, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest,
	})
	b.guard(t, r.Guarded)
	for _, rule := range r.Inbound {
		b.add(t, in, r.Family, rule)
	}
	for _, rule := range r.Outbound {
		b.add(t, out, r.Family, rule)
	}
}

// guard drops what anybody but the sidecar answers from its ports; the kernel knows the listening socket's owner when
// it sends the second packet of the handshake.
func (b *batch) guard(t *nftables.Table, ports []uint16) {
	if len(ports) == 0 {
		return
	}
	policy := nftables.ChainPolicyAccept
	c := b.conn.AddChain(&nftables.Chain{
		Name: capture.ChainGuard, Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter, Policy: &policy,
	})
	es := append(tcpOnly(), iface(expr.MetaKeyOIFNAME, "lo", expr.CmpOpNeq)...)
	es = append(es, owner(capture.NotSidecar)...)
	es = append(es, b.ports(t, offsetSrcPort, ports, false)...)
	b.conn.AddRule(&nftables.Rule{
		Table: t, Chain: c, Exprs: append(es, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}),
		UserData: userdata.AppendString(nil, userdata.TypeComment, "only the sidecar answers on its ports"),
	})
}

// refuse6 answers every new IPv6 connection but the loopback's with a reset. (Only the first packet: the reset itself
// leaves through the output chain.)
func (b *batch) refuse6() {
	t := b.table(refuseTable, nftables.TableFamilyIPv6)
	policy := nftables.ChainPolicyAccept
	for name, hook := range map[string]*nftables.ChainHook{"input": nftables.ChainHookInput, "output": nftables.ChainHookOutput} {
		c := b.conn.AddChain(&nftables.Chain{
			Name: name, Table: t, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFilter, Policy: &policy,
		})
		key := expr.MetaKeyOIFNAME
		if name == "input" {
			key = expr.MetaKeyIIFNAME
		}
		es := append(tcpOnly(), iface(key, "lo", expr.CmpOpNeq)...)
		es = append(es, opening()...)
		es = append(es, &expr.Reject{Type: unix.NFT_REJECT_TCP_RST})
		b.conn.AddRule(&nftables.Rule{Table: t, Chain: c, Exprs: es})
	}
}

func (b *batch) add(t *nftables.Table, c *nftables.Chain, f capture.Family, r capture.Rule) {
	es := tcpOnly()
	if r.InInterface != "" {
		es = append(es, iface(expr.MetaKeyIIFNAME, r.InInterface, expr.CmpOpEq)...)
	}
	if r.OutInterface != "" {
		es = append(es, iface(expr.MetaKeyOIFNAME, r.OutInterface, expr.CmpOpEq)...)
	}
	if r.UID != "" {
		es = append(es, owner(r.UID)...)
	}
	if r.Dst.IsValid() {
		es = append(es, destination(f, r.Dst, expr.CmpOpEq)...)
	}
	if r.NotDst.IsValid() {
		es = append(es, destination(f, r.NotDst, expr.CmpOpNeq)...)
	}
	es = append(es, b.ports(t, offsetDstPort, r.Ports, false)...)
	es = append(es, b.ports(t, offsetDstPort, r.NotPorts, true)...)
	b.conn.AddRule(&nftables.Rule{
		Table: t, Chain: c, Exprs: append(es, b.action(f, r.Action)...),
		UserData: userdata.AppendString(nil, userdata.TypeComment, r.Why),
	})
}

func (b *batch) action(f capture.Family, a capture.Action) []expr.Any {
	switch a.Kind {
	case capture.Pass:
		return []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept}}
	case capture.Redirect:
		return []expr.Any{&expr.Counter{}, &expr.Immediate{Register: reg, Data: binaryutil.BigEndian.PutUint16(a.Port)}, &expr.Redir{RegisterProtoMin: reg}}
	case capture.Rewrite:
		family := uint32(unix.NFPROTO_IPV4)
		if f == capture.IPv6 {
			family = unix.NFPROTO_IPV6
		}
		return []expr.Any{
			&expr.Counter{},
			&expr.Immediate{Register: reg, Data: a.Addr.AsSlice()},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: family, RegAddrMin: reg},
		}
	}
	b.fail(fmt.Errorf("unknown action %q", a.Kind))
	return nil
}

// ports is an anonymous set, as large as the user's list.
func (b *batch) ports(t *nftables.Table, offset uint32, ports []uint16, not bool) []expr.Any {
	if len(ports) == 0 {
		return nil
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(ports)))
	set := &nftables.Set{Table: t, Anonymous: true, Constant: true, KeyType: nftables.TypeInetService}
	elements := make([]nftables.SetElement, len(sorted))
	for i, p := range sorted {
		elements[i].Key = binaryutil.BigEndian.PutUint16(p)
	}
	if err := b.conn.AddSet(set, elements); err != nil {
		b.fail(fmt.Errorf("set of ports %v: %w", sorted, err))
		return nil
	}
	return []expr.Any{
		&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2},
		&expr.Lookup{SourceRegister: reg, SetName: set.Name, SetID: set.ID, Invert: not},
	}
}

func (b *batch) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

func tcpOnly() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: []byte{unix.IPPROTO_TCP}},
	}
}

// opening matches the first packet of a connection: SYN without ACK.
func opening() []expr.Any {
	const offsetFlags, syn, ack = 13, 0x02, 0x10
	return []expr.Any{
		&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: offsetFlags, Len: 1},
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 1, Mask: []byte{syn | ack}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: []byte{syn}},
	}
}

// iface compares an interface's name: all 16 bytes, or as many as stand before a trailing "+".
func iface(key expr.MetaKey, name string, op expr.CmpOp) []expr.Any {
	data := make([]byte, unix.IFNAMSIZ)
	copy(data, name)
	if prefix, wild := strings.CutSuffix(name, "+"); wild {
		data = []byte(prefix)
	}
	return []expr.Any{&expr.Meta{Key: key, Register: reg}, &expr.Cmp{Op: op, Register: reg, Data: data}}
}

func owner(m capture.UIDMatch) []expr.Any {
	op := expr.CmpOpEq
	if m == capture.NotSidecar {
		op = expr.CmpOpNeq
	}
	uid := make([]byte, 4)
	binary.NativeEndian.PutUint32(uid, names.SidecarUID)
	return []expr.Any{&expr.Meta{Key: expr.MetaKeySKUID, Register: reg}, &expr.Cmp{Op: op, Register: reg, Data: uid}}
}

func destination(f capture.Family, p netip.Prefix, op expr.CmpOp) []expr.Any {
	offset, size := uint32(offsetDst4), uint32(4)
	if f == capture.IPv6 {
		offset, size = offsetDst6, 16
	}
	es := []expr.Any{&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size}}
	if p.Bits() < int(size)*8 {
		es = append(es, &expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: size, Mask: mask(p.Bits(), int(size)), Xor: make([]byte, size)})
	}
	return append(es, &expr.Cmp{Op: op, Register: reg, Data: p.Masked().Addr().AsSlice()})
}

func mask(bits, size int) []byte {
	m := make([]byte, size)
	for i := range bits {
		m[i/8] |= 0x80 >> (i % 8)
	}
	return m
}
