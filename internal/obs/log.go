package obs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"k8s.io/klog/v2"

	"openservicemesh.io/osm/internal/obs/errcode"
)

// Levels beyond slog's own, for Logger.Log.
const (
	LevelTrace slog.Level = slog.LevelDebug - 4
	LevelFatal slog.Level = slog.LevelError + 4
	LevelPanic slog.Level = slog.LevelError + 8
	// levelDisabled is above every record.
	levelDisabled slog.Level = math.MaxInt32
)

// EnvHumanLog, set to "true", makes the log readable on a terminal instead of JSON.
const EnvHumanLog = "OSM_HUMAN_DEBUG_LOG"

// Levels lists the words that --verbosity and MeshConfig's spec.observability.osmLogLevel take, most severe first.
func Levels() []string {
	return []string{"disabled", "panic", "fatal", "error", "warn", "info", "debug", "trace"}
}

func levelOf(word string) (slog.Level, bool) {
	i := slices.Index(Levels(), word)
	if i < 0 {
		return 0, false
	}
	return []slog.Level{levelDisabled, LevelPanic, LevelFatal, slog.LevelError, slog.LevelWarn, slog.LevelInfo, slog.LevelDebug, LevelTrace}[i], true
}

func levelName(l slog.Level) string {
	switch {
	case l >= LevelPanic:
		return "panic"
	case l >= LevelFatal:
		return "fatal"
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warn"
	case l >= slog.LevelInfo:
		return "info"
	case l >= slog.LevelDebug:
		return "debug"
	}
	return "trace"
}

// Logging is one process's log. All its loggers share one level.
type Logging struct {
	level   slog.LevelVar
	handler slog.Handler
}

// NewLogging writes to w, one JSON object a line with the keys level, time, component, file, message, error, error_code;
// or, when human is set, text. The level is info until SetLevel. onCode, which may be nil, is called with the error code
// of each record of level error or above, written or not; Metrics.ErrorCode is one.
func NewLogging(w io.Writer, human bool, onCode func(errcode.Code)) *Logging {
	l := &Logging{}
	opts := &slog.HandlerOptions{AddSource: true, Level: LevelTrace, ReplaceAttr: zerologKeys}
	var out slog.Handler = slog.NewJSONHandler(w, opts)
	if human {
		out = slog.NewTextHandler(w, opts)
	}
	l.handler = &handler{out: out, level: &l.level, onCode: onCode}
	return l
}

// Start is NewLogging on standard output with the level and the format the process was started with. It takes the
// log of the Kubernetes client along.
func Start(verbosity string, onCode func(errcode.Code)) (*Logging, error) {
	l := NewLogging(os.Stdout, os.Getenv(EnvHumanLog) == "true", onCode)
	klog.SetSlogLogger(l.Logger("kubernetes-client"))
	if err := l.SetLevel(verbosity); err != nil {
		return l, fmt.Errorf("--verbosity: %w", err)
	}
	return l, nil
}

// Logger returns the logger of a component, for example "envoy/ads" or "osm-injector/main".
func (l *Logging) Logger(component string) *slog.Logger {
	return slog.New(l.handler.WithAttrs([]slog.Attr{slog.String("component", component)}))
}

// SetLevel changes the level of all loggers at once. An unknown word is an error with code E1001 and changes nothing.
func (l *Logging) SetLevel(word string) error {
	lv, ok := levelOf(word)
	if !ok {
		return errcode.Errorf(errcode.SettingLogLevel, "log level %q is unknown: want one of %s", word, strings.Join(Levels(), ", "))
	}
	l.level.Set(lv)
	return nil
}

// Level returns the present level's word.
func (l *Logging) Level() string {
	if l.level.Level() == levelDisabled {
		return "disabled"
	}
	return levelName(l.level.Level())
}

// handler puts the code of a logged error beside it and counts it.
type handler struct {
	out    slog.Handler
	level  *slog.LevelVar
	onCode func(errcode.Code)
}

// Enabled lets errors through whatever the level, so that Handle can count them.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= h.level.Level() || l >= slog.LevelError
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if code := codeOf(r); code != "" && r.Level >= slog.LevelError {
		if h.onCode != nil {
			h.onCode(code)
		}
		r = r.Clone()
		r.AddAttrs(slog.String("error_code", string(code)))
	}
	if r.Level < h.level.Level() {
		return nil
	}
	return h.out.Handle(ctx, r)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{out: h.out.WithAttrs(attrs), level: h.level, onCode: h.onCode}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{out: h.out.WithGroup(name), level: h.level, onCode: h.onCode}
}

func codeOf(r slog.Record) (code errcode.Code) {
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok {
			code = errcode.Of(err)
		}
		return code == ""
	})
	return code
}

// zerologKeys gives slog's own fields the names and forms that log pipelines of the original read.
func zerologKeys(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.LevelKey:
		if l, ok := a.Value.Any().(slog.Level); ok {
			return slog.String("level", levelName(l))
		}
	case slog.MessageKey:
		a.Key = "message"
	case slog.SourceKey:
		if s, ok := a.Value.Any().(*slog.Source); ok {
			return slog.String("file", filepath.Base(s.File)+":"+strconv.Itoa(s.Line))
		}
	case "err":
		a.Key = "error"
	}
	return a
}
