package ir

// Rate is a token bucket of one proxy: it holds Tokens at most and gets Refill of them every Period.
type Rate struct {
	Tokens uint32   `json:"tokens"`
	Refill uint32   `json:"refill"`
	Period Duration `json:"period"`
}

// RequestRate limits requests and says what those over the limit are answered.
type RequestRate struct {
	Rate
	// Status is the code of the answer; 0 is 429.
	Status uint32 `json:"status,omitempty"`
	// Headers are added to the answer, in order.
	Headers []Header `json:"headers,omitempty"`
}

// Header is a header's name and literal value.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Quota is a rate limit service to ask.
type Quota struct {
	// Cluster is where the service is, Domain the set of limits in it.
	Cluster string `json:"cluster"`
	Domain  string `json:"domain"`
	// Timeout is how long an answer may take; 0 is Envoy's own 20ms.
	Timeout Duration `json:"timeout,omitempty"`
	// FailClosed refuses when there is no answer.
	FailClosed bool `json:"failClosed,omitempty"`
}

// ConnectionQuota asks about every connection; those over the limit are closed.
type ConnectionQuota struct {
	Quota
	Descriptors []Descriptor `json:"descriptors"`
}

// RequestQuota asks about requests of virtual hosts and routes that carry descriptors.
type RequestQuota struct {
	Quota
	// XRateLimitHeaders adds x-ratelimit-* to answers.
	XRateLimitHeaders bool `json:"xRateLimitHeaders,omitempty"`
	// Status answers requests over the limit; 0 is 429.
	Status uint32 `json:"status,omitempty"`
}

// Descriptor is one question to a rate limit service: a list of keys and values. One whose entry has no value for a
// request is not asked.
type Descriptor struct {
	Entries []DescriptorEntry `json:"entries"`
}

// EntryKind says where an entry's value comes from.
type EntryKind string

// The kinds of entries.
const (
	// GenericKey: the Key and Value as they stand; an empty Key is Envoy's "generic_key".
	GenericKey EntryKind = "genericKey"
	// RemoteAddress: the caller's address, under the key "remote_address".
	RemoteAddress EntryKind = "remoteAddress"
	// RequestHeader: the value of the header Header.
	RequestHeader EntryKind = "requestHeader"
	// HeaderValueMatch: Value if Headers match (with Not: if they do not); an empty Key is Envoy's "header_match".
	HeaderValueMatch EntryKind = "headerValueMatch"
)

// DescriptorEntry is one part of a descriptor.
type DescriptorEntry struct {
	Kind    EntryKind         `json:"kind"`
	Key     string            `json:"key,omitempty"`
	Value   string            `json:"value,omitempty"`
	Header  string            `json:"header,omitempty"`
	Headers []HeaderCondition `json:"headers,omitempty"`
	Not     bool              `json:"not,omitempty"`
}

// HeaderCondition is a condition on one header; besides Name one field is set.
type HeaderCondition struct {
	Name     string `json:"name"`
	Exact    string `json:"exact,omitempty"`
	Prefix   string `json:"prefix,omitempty"`
	Suffix   string `json:"suffix,omitempty"`
	Regex    string `json:"regex,omitempty"`
	Contains string `json:"contains,omitempty"`
	Present  *bool  `json:"present,omitempty"`
}

// ExternalAuthorization asks a gRPC service about every request of a chain.
type ExternalAuthorization struct {
	Cluster    string   `json:"cluster"`
	StatPrefix string   `json:"statPrefix,omitempty"`
	Timeout    Duration `json:"timeout"`
	// FailOpen lets requests pass when there is no answer; otherwise they are answered 403.
	FailOpen bool `json:"failOpen,omitempty"`
}
