package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// question is something a client asks of a database, and what the answer holds.
type question struct {
	name, answer string
	command      []string
}

func databaseQuestions(suffix string) []question {
	mariadb := func(sql string) []string {
		port := "3306"
		if suffix != "" {
			port = "13306"
		}
		return []string{"mariadb", "--no-defaults", "--protocol=tcp", "--connect-timeout=8", "-h", "mariadb" + suffix + ".db-server", "-P", port, "-u", "root", "-N", "-e", sql}
	}
	postgres := func(sql string) []string {
		return []string{"psql", "-h", "postgres" + suffix + ".db-server", "-U", "postgres", "-At", "-c", sql}
	}
	redis := func(args ...string) []string {
		return append([]string{"redis-cli", "-h", "redis" + suffix + ".db-server"}, args...)
	}
	return []question{
		{"mariadb", "1048576", mariadb("create database if not exists d; create or replace table d.t (x longtext); " +
			"insert into d.t values (repeat('x', 1048576)); select length(x) from d.t")},
		{"postgres", "1048576", postgres("drop table if exists t; create table t as select repeat('x', 1048576) as x; select length(x) from t")},
		{"redis", "PONG", redis("ping")},
		{"redis, a transaction", "OK", redis("eval", "return redis.call('set', 'k', string.rep('x', 1048576))", "0")},
	}
}

// TestDatabases uses real databases through the mesh, with what their ports speak declared and not declared, in both modes.
func TestDatabases(t *testing.T) {
	databasePrograms(t)
	installedMesh(t)
	meshNamespaces(t, "db-server", "db-client")
	applyText(t, manifest(t, "databases.yaml", "PGVERSION", postgresVersion(t)))
	for _, p := range []string{"db-client/client", "db-server/mariadb", "db-server/postgres", "db-server/redis"} {
		ready(t, p)
	}
	client := pod{"db-client", "client", "client"}
	answers := func(t *testing.T) {
		for _, suffix := range []string{"", "-plain"} {
			for _, q := range databaseQuestions(suffix) {
				t.Run(q.name+suffix, func(t *testing.T) {
					start := time.Now()
					client.prints(t, q.answer, q.command...)
					t.Logf("answered within %s", time.Since(start).Round(time.Millisecond))
				})
			}
		}
	}
	silence := func(t *testing.T, only string) {
		for _, suffix := range []string{"", "-plain"} {
			for _, q := range databaseQuestions(suffix) {
				if strings.HasPrefix(q.name, only) {
					t.Run(q.name+suffix, func(t *testing.T) { client.fails(t, q.answer, q.command...) })
				}
			}
		}
	}
	t.Run("permissive", func(t *testing.T) {
		permissive(t, true)
		answers(t)
	})
	t.Run("SMI", func(t *testing.T) {
		permissive(t, false)
		t.Run("without grants", func(t *testing.T) { silence(t, "mariadb") })
		apply(t, "databases-policy.yaml")
		t.Run("granted", answers)
		t.Run("no grant for one", func(t *testing.T) {
			kubectl(t, "delete", "traffictarget", "redis", "-n", "db-server")
			silence(t, "redis")
			client.prints(t, "1", "psql", "-h", "postgres-plain.db-server", "-U", "postgres", "-At", "-c", "select 1")
		})
	})
	t.Run("strict http", func(t *testing.T) {
		permissive(t, true)
		meshConfig(t, `{"spec":{"traffic":{"undeclaredPorts":"http"}}}`)
		client.fails(t, "PONG", "redis-cli", "-h", "redis-plain.db-server", "ping")
		client.prints(t, "PONG", "redis-cli", "-h", "redis.db-server", "ping")
	})
}

func databasePrograms(t *testing.T) {
	t.Helper()
	installed(t, map[string]string{
		"/usr/sbin/mariadbd": "mariadb-server", "/usr/bin/mariadb": "mariadb-client", "/usr/bin/redis-server": "redis-server", "/usr/bin/redis-cli": "redis-tools",
		"/usr/lib/postgresql/*/bin/postgres": "postgresql", "/usr/bin/psql": "postgresql-client",
	})
}

func postgresVersion(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		t.Fatal("no PostgreSQL server:", err)
	}
	return filepath.Base(filepath.Dir(filepath.Dir(found[len(found)-1])))
}

// exec runs any program there.
func (p pod) exec(t *testing.T, command ...string) (string, error) {
	t.Helper()
	return mesh.Run(t.Context(), "kubectl", append([]string{"exec", "-n", p.namespace, p.name, "-c", p.container, "--"}, command...)...)
}

// prints repeats a program until it succeeds and prints a text.
func (p pod) prints(t *testing.T, text string, command ...string) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		if out, err := p.exec(t, command...); err != nil || !strings.Contains(out, text) {
			return fmt.Errorf("%v: want %q, got %w\n%s", command, text, err, out)
		}
		return nil
	})
}

// fails repeats a program until it fails, without a text.
func (p pod) fails(t *testing.T, text string, command ...string) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		if out, err := p.exec(t, command...); err == nil || strings.HasSuffix(strings.TrimSpace(out), text) {
			return fmt.Errorf("%v: want a failure, got\n%s", command, out)
		}
		return nil
	})
}
