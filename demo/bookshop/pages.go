package bookshop

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
)

//go:embed templates/page.html
var templates embed.FS

var page = template.Must(template.ParseFS(templates, "templates/page.html"))

// view is what the pages of the four applications have in common.
type view struct {
	// headline says what Report.Books counts; names what Report.Tallies does.
	headline, names string
	report          func() Report
	reset           func()
}

// register adds the page at exactly /, the JSON at /api/books and /reset.
func (v view) register(mux *http.ServeMux) {
	mux.HandleFunc("/{$}", v.page)
	mux.HandleFunc("/api/books", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(v.report())
	})
	mux.HandleFunc("/reset", func(w http.ResponseWriter, r *http.Request) {
		v.reset()
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
}

func (v view) page(w http.ResponseWriter, _ *http.Request) {
	var body bytes.Buffer
	err := page.Execute(&body, struct {
		Report
		Headline, Names string
	}{v.report(), v.headline, v.names})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body.Bytes())
}
