package obs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openservicemesh.io/osm/internal/obs/errcode"
)

func lastLine(t *testing.T, b *bytes.Buffer) map[string]any {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	out := map[string]any{}
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &out), b.String())
	return out
}

func TestLogHasTheKeysPipelinesRead(t *testing.T) {
	var b bytes.Buffer
	var codes []errcode.Code
	log := NewLogging(&b, false, func(c errcode.Code) { codes = append(codes, c) }).Logger("envoy/ads")
	log.Error("cannot start", "err", fmt.Errorf("start: %w", errcode.Errorf(errcode.StartingADSServer, "port in use")), "port", 15128)
	got := lastLine(t, &b)
	_, err := time.Parse(time.RFC3339, got["time"].(string))
	require.NoError(t, err)
	require.Regexp(t, `^log_test\.go:\d+$`, got["file"])
	delete(got, "time")
	delete(got, "file")
	require.Equal(t, map[string]any{"level": "error", "component": "envoy/ads", "message": "cannot start",
		"error": "start: port in use", "error_code": "E5009", "port": 15128.0}, got)
	require.Equal(t, []errcode.Code{errcode.StartingADSServer}, codes)

	log.Info("no code", "error", errors.New("x"))
	require.NotContains(t, lastLine(t, &b), "error_code")
}

func TestLevels(t *testing.T) {
	all := map[string]slog.Level{"panic": LevelPanic, "fatal": LevelFatal, "error": slog.LevelError, "warn": slog.LevelWarn,
		"info": slog.LevelInfo, "debug": slog.LevelDebug, "trace": LevelTrace}
	order := Levels()
	for i, set := range order {
		var b bytes.Buffer
		l := NewLogging(&b, false, nil)
		log := l.Logger("x") // made before the level is set: it must follow
		require.NoError(t, l.SetLevel(set))
		require.Equal(t, set, l.Level())
		for j, word := range order[1:] {
			b.Reset()
			log.Log(context.Background(), all[word], "m")
			require.Equal(t, j+1 <= i, b.Len() > 0, "level %s, record %s", set, word)
			if b.Len() > 0 {
				require.Equal(t, word, lastLine(t, &b)["level"])
			}
		}
	}
}

func TestUnknownLevelChangesNothing(t *testing.T) {
	l := NewLogging(&bytes.Buffer{}, false, nil)
	require.NoError(t, l.SetLevel("debug"))
	for _, word := range []string{"", "INFO", "warning", "off"} {
		err := l.SetLevel(word)
		require.ErrorContains(t, err, "want one of disabled, panic, fatal, error, warn, info, debug, trace")
		require.Equal(t, errcode.SettingLogLevel, errcode.Of(err))
	}
	require.Equal(t, "debug", l.Level())
}

// Error counters must not stand still because the log is off.
func TestCodesAreCountedWhenDisabled(t *testing.T) {
	var b bytes.Buffer
	n := 0
	l := NewLogging(&b, false, func(errcode.Code) { n++ })
	require.NoError(t, l.SetLevel("disabled"))
	l.Logger("x").With("a", 1).WithGroup("g").Error("m", "error", errcode.Errorf(errcode.InvalidCA, "x"))
	require.Equal(t, 1, n)
	require.Zero(t, b.Len())
}

func TestHumanLog(t *testing.T) {
	var b bytes.Buffer
	NewLogging(&b, true, nil).Logger("x").Info("hello there")
	require.Contains(t, b.String(), `level=info file=log_test.go:`)
	require.Contains(t, b.String(), `message="hello there" component=x`)
}

// A newline in a message or a name must not make a second record.
func TestLogIsOneLine(t *testing.T) {
	var b bytes.Buffer
	NewLogging(&b, false, nil).Logger("x").Info("a\n{\"level\":\"fatal\"}", "name", "b\nc")
	require.Equal(t, 1, strings.Count(b.String(), "\n"))
}
