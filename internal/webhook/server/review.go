package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/internal/obs/errcode"
)

// maxBody is more than the API server's own limit for one object with its old state and the message around it needs.
const maxBody = 3 << 20

// ReviewFunc answers one request. The response's UID is set by the caller.
type ReviewFunc func(ctx context.Context, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse

// Observer counts. A nil Observer is not allowed; use Discard.
type Observer interface {
	// AdmissionResponse counts an answer by the kind that was reviewed and whether it was allowed.
	AdmissionResponse(kind string, allowed bool, took time.Duration)
	// Failure counts a request that got no answer, by OSM error code.
	Failure(code errcode.Code)
}

// Discard is an Observer that forgets.
type Discard struct{}

// AdmissionResponse does nothing.
func (Discard) AdmissionResponse(string, bool, time.Duration) {}

// Failure does nothing.
func (Discard) Failure(errcode.Code) {}

// Review makes an HTTP handler of a ReviewFunc.
func Review(log *slog.Logger, obs Observer, review ReviewFunc) http.Handler {
	return &handler{log: log, obs: obs, review: review}
}

type handler struct {
	log    *slog.Logger
	obs    Observer
	review ReviewFunc
}

// ServeHTTP refuses what is not one admission.k8s.io/v1 AdmissionReview in JSON, with a status the caller can act on.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	defer h.recover(w)
	req, status, err := decode(w, r)
	if err != nil {
		h.fail(w, status, err)
		return
	}
	resp := h.review(r.Context(), req)
	resp.UID = req.UID
	out, err := json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Response: resp,
	})
	if err != nil {
		h.fail(w, http.StatusInternalServerError, errcode.Errorf(errcode.WritingAdmissionResponse, "encode the admission response: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(out); err != nil {
		h.log.Warn("cannot send the admission response", "error", err, "error_code", errcode.WritingAdmissionResponse)
		h.obs.Failure(errcode.WritingAdmissionResponse)
	}
	h.obs.AdmissionResponse(req.Kind.Kind, resp.Allowed, time.Since(start))
}

func (h *handler) fail(w http.ResponseWriter, status int, err error) {
	h.log.Warn("admission request refused", "error", err, "error_code", errcode.Of(err), "status", status)
	h.obs.Failure(errcode.Of(err))
	http.Error(w, err.Error(), status)
}

// recover turns a reviewer's panic into a refused request. The API server then follows the webhook's failure policy.
func (h *handler) recover(w http.ResponseWriter) {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	h.log.Error("panic in an admission request", "panic", p, "stack", string(debug.Stack()))
	http.Error(w, "internal error, see the logs of this webhook", http.StatusInternalServerError)
}

func decode(w http.ResponseWriter, r *http.Request) (*admissionv1.AdmissionRequest, int, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, http.StatusMethodNotAllowed, errcode.Errorf(errcode.DecodingAdmissionRequest, "method %.16q: use POST", r.Method)
	}
	if ct, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || ct != "application/json" {
		return nil, http.StatusUnsupportedMediaType, errcode.Errorf(errcode.InvalidAdmissionContentType, "content type %.64q: use application/json", r.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, http.StatusRequestEntityTooLarge, errcode.Errorf(errcode.ReadingAdmissionBody, "the body is larger than %d bytes", maxBody)
	case err != nil:
		return nil, http.StatusBadRequest, errcode.Errorf(errcode.ReadingAdmissionBody, "read the body: %w", err)
	case len(body) == 0:
		return nil, http.StatusBadRequest, errcode.Errorf(errcode.NilAdmissionBody, "the body is empty")
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err != nil {
		return nil, http.StatusBadRequest, errcode.Errorf(errcode.DecodingAdmissionRequest, "the body is not an AdmissionReview: %w", err)
	}
	if v := review.APIVersion; v != admissionv1.SchemeGroupVersion.String() {
		return nil, http.StatusBadRequest, errcode.Errorf(errcode.DecodingAdmissionRequest, "apiVersion %.64q: this webhook speaks %s", v, admissionv1.SchemeGroupVersion)
	}
	if review.Request == nil {
		return nil, http.StatusBadRequest, errcode.Errorf(errcode.NilAdmissionRequest, "the AdmissionReview has no request")
	}
	return review.Request, 0, nil
}

// Allow lets the object be as it is.
func Allow() *admissionv1.AdmissionResponse { return &admissionv1.AdmissionResponse{Allowed: true} }

// Deny refuses the object; the API server shows the user the error's text.
func Deny(err error) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Result: &metav1.Status{
		Status: metav1.StatusFailure, Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity, Message: err.Error(),
	}}
}
