package bookshop

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReadConfig(t *testing.T) {
	defaults := Config{
		Listen: ":14001", Identity: "bookstore-v1",
		StoreURL: "http://bookstore.bookstore:14001", WarehouseURL: "http://bookwarehouse.bookwarehouse:14001",
		Interval: time.Second, Timeout: 2 * time.Second, Drain: 2 * time.Second,
	}
	tests := map[string]struct {
		env     map[string]string
		want    func(Config) Config
		wantErr string
	}{
		"nothing set gives the addresses of the walk-through": {want: func(c Config) Config { return c }},
		"everything set": {
			env: map[string]string{
				"LISTEN": ":1", "IDENTITY": "bookstore-v2", "BOOKSTORE_URL": "http://a:1/", "BOOKWAREHOUSE_URL": "https://b/x",
				"FETCH_INTERVAL": "10ms", "FETCH_TIMEOUT": "3s", "DRAIN": "1ms",
			},
			want: func(Config) Config {
				return Config{":1", "bookstore-v2", "http://a:1", "https://b/x", 10 * time.Millisecond, 3 * time.Second, time.Millisecond}
			},
		},
		"a URL without a host": {
			env:     map[string]string{"BOOKSTORE_URL": "bookstore:14001"},
			wantErr: `environment variable BOOKSTORE_URL is "bookstore:14001": set it to a URL such as "http://bookstore.bookstore:14001"`,
		},
		"a time without a unit": {
			env:     map[string]string{"FETCH_INTERVAL": "1"},
			wantErr: `environment variable FETCH_INTERVAL is "1": set it to a time above zero such as "1s"`,
		},
		"a time of zero": {
			env:     map[string]string{"DRAIN": "0s"},
			wantErr: `environment variable DRAIN is "0s": set it to a time above zero such as "2s"`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ReadConfig(func(k string) string { return tt.env[k] })
			if tt.wantErr != "" {
				require.EqualError(t, err, tt.wantErr)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want(defaults), got)
		})
	}
}
