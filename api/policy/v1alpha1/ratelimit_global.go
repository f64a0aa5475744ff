package v1alpha1

// GlobalRateLimitSpec are limits that a rate limit service counts.
type GlobalRateLimitSpec struct {
	// tcp limits connections.
	// +optional
	TCP *TCPGlobalRateLimitSpec `json:"tcp,omitempty"`

	// http limits requests.
	// +optional
	HTTP *HTTPGlobalRateLimitSpec `json:"http,omitempty"`
}

// RateLimitServiceSpec is a service that speaks the proxy's rate limit API,
// over gRPC without TLS.
type RateLimitServiceSpec struct {
	// host is the service's host name or IP.
	// +kubebuilder:validation:MinLength=1
	Host string `json:"host"`

	// port is the service's port.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int `json:"port"`
}

// TCPGlobalRateLimitSpec limits connections through a rate limit service.
// Those over the limit are closed.
type TCPGlobalRateLimitSpec struct {
	// rateLimitService is the service that counts.
	// +optional
	RateLimitService *RateLimitServiceSpec `json:"rateLimitService,omitempty"`

	// domain is the set of limits in the service.
	// +optional
	Domain string `json:"domain,omitempty"`

	// descriptors are sent to the service for each connection.
	// +optional
	Descriptors []TCPRateLimitDescriptor `json:"descriptors,omitempty"`

	// timeout is how long an answer may take. Absent: the proxy's own 20ms.
	// +optional
	Timeout Duration `json:"timeout,omitempty"`

	// failOpen takes connections when the service does not answer. Absent:
	// true.
	// +optional
	FailOpen *bool `json:"failOpen,omitempty"`
}

// TCPRateLimitDescriptor is one question to the rate limit service.
type TCPRateLimitDescriptor struct {
	// entries are the descriptor's parts, in order.
	// +optional
	Entries []TCPRateLimitDescriptorEntry `json:"entries,omitempty"`
}

// TCPRateLimitDescriptorEntry is a fixed key and value.
type TCPRateLimitDescriptorEntry struct {
	// key is the entry's key.
	// +kubebuilder:validation:MinLength=1
	Key string `json:"key"`

	// value is the entry's value.
	// +kubebuilder:validation:MinLength=1
	Value string `json:"value"`
}

// HTTPGlobalRateLimitSpec limits requests through a rate limit service.
type HTTPGlobalRateLimitSpec struct {
	// rateLimitService is the service that counts.
	// +optional
	RateLimitService *RateLimitServiceSpec `json:"rateLimitService,omitempty"`

	// domain is the set of limits in the service.
	// +optional
	Domain string `json:"domain,omitempty"`

	// descriptors are sent to the service for each request.
	// +optional
	Descriptors []HTTPGlobalRateLimitDescriptor `json:"descriptors,omitempty"`

	// timeout is how long an answer may take. Absent: the proxy's own 20ms.
	// +optional
	Timeout Duration `json:"timeout,omitempty"`

	// failOpen takes requests when the service does not answer. Absent: true.
	// +optional
	FailOpen *bool `json:"failOpen,omitempty"`

	// enableXRateLimitHeaders adds the x-ratelimit-* headers to answers.
	// Absent: off.
	// +optional
	EnableXRateLimitHeaders *bool `json:"enableXRateLimitHeaders,omitempty"`

	// responseStatusCode answers requests over the limit. Absent: 429.
	// +kubebuilder:validation:Minimum=400
	// +kubebuilder:validation:Maximum=599
	// +optional
	ResponseStatusCode int `json:"responseStatusCode,omitempty"`
}

// HTTPGlobalRateLimitDescriptor is one question to the rate limit service.
type HTTPGlobalRateLimitDescriptor struct {
	// entries are the descriptor's parts, in order.
	// +optional
	Entries []HTTPGlobalRateLimitDescriptorEntry `json:"entries,omitempty"`
}

// HTTPGlobalRateLimitDescriptorEntry is a key and how its value is found;
// exactly one field is set.
type HTTPGlobalRateLimitDescriptorEntry struct {
	// genericKey is a fixed key and value.
	// +optional
	GenericKey *GenericKeyDescriptorEntry `json:"genericKey,omitempty"`

	// remoteAddress is the key `remote_address` with the client's address.
	// +optional
	RemoteAddress *RemoteAddressDescriptorEntry `json:"remoteAddress,omitempty"`

	// requestHeader is a key with the value of a header. Without the header the
	// whole descriptor is not sent.
	// +optional
	RequestHeader *RequestHeaderDescriptorEntry `json:"requestHeader,omitempty"`

	// headerValueMatch is a fixed key and value when the headers match. When
	// they do not, the whole descriptor is not sent.
	// +optional
	HeaderValueMatch *HeaderValueMatchDescriptorEntry `json:"headerValueMatch,omitempty"`
}

// GenericKeyDescriptorEntry is a fixed key and value.
type GenericKeyDescriptorEntry struct {
	// value is the entry's value.
	// +kubebuilder:validation:MinLength=1
	Value string `json:"value"`

	// key is the entry's key. Absent: generic_key.
	// +optional
	Key string `json:"key,omitempty"`
}

// RemoteAddressDescriptorEntry has no settings.
type RemoteAddressDescriptorEntry struct{}

// RequestHeaderDescriptorEntry is a key with the value of a header.
type RequestHeaderDescriptorEntry struct {
	// name is the header's name.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`

	// key is the entry's key.
	// +kubebuilder:validation:MinLength=1
	Key string `json:"key"`
}

// HeaderValueMatchDescriptorEntry is a fixed key and value, sent when all
// headers match.
type HeaderValueMatchDescriptorEntry struct {
	// value is the entry's value.
	// +kubebuilder:validation:MinLength=1
	Value string `json:"value"`

	// headers are the conditions.
	// +optional
	Headers []HTTPHeaderMatcher `json:"headers,omitempty"`

	// key is the entry's key. Absent: header_match.
	// +optional
	Key string `json:"key,omitempty"`

	// expectMatch false turns the condition round. Absent: true.
	// +optional
	ExpectMatch *bool `json:"expectMatch,omitempty"`
}

// HTTPHeaderMatcher is a condition on a header; besides name exactly one field
// is set.
type HTTPHeaderMatcher struct {
	// name is the header's name.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`

	// exact is the header's whole value.
	// +optional
	Exact string `json:"exact,omitempty"`

	// prefix is the beginning of the header's value.
	// +optional
	Prefix string `json:"prefix,omitempty"`

	// suffix is the end of the header's value.
	// +optional
	Suffix string `json:"suffix,omitempty"`

	// regex is an RE2 expression for the header's whole value.
	// +optional
	Regex string `json:"regex,omitempty"`

	// contains is a part of the header's value.
	// +optional
	Contains string `json:"contains,omitempty"`

	// present says whether the header must be there or must not.
	// +optional
	Present *bool `json:"present,omitempty"`
}
