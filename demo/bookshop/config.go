package bookshop

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Config is what one application reads from its environment.
type Config struct {
	// Listen is the address served, from LISTEN (default ":14001").
	Listen string
	// Identity is the name a store answers with, from IDENTITY
	// (default "bookstore-v1").
	Identity string
	// StoreURL is where shoppers buy, from BOOKSTORE_URL; no trailing slash.
	StoreURL string
	// WarehouseURL is where stores restock, from BOOKWAREHOUSE_URL; no
	// trailing slash.
	WarehouseURL string
	// Interval is the time between two fetches of the same URL, from
	// FETCH_INTERVAL (default 1s).
	Interval time.Duration
	// Timeout bounds one outgoing request, from FETCH_TIMEOUT (default 2s).
	Timeout time.Duration
	// Drain is how long the application goes on serving after it was asked
	// to stop, while it already reports itself unready, from DRAIN
	// (default 2s).
	Drain time.Duration
}

// ReadConfig reads a Config through getenv, which answers "" for a variable
// that is not set. An error names the variable, its value and what is wanted.
func ReadConfig(getenv func(string) string) (Config, error) {
	c := Config{
		Listen:   or(getenv("LISTEN"), ":14001"),
		Identity: or(getenv("IDENTITY"), "bookstore-v1"),
	}
	var err error
	if c.StoreURL, err = baseURL(getenv, "BOOKSTORE_URL", "http://bookstore.bookstore:14001"); err != nil {
		return Config{}, err
	}
	if c.WarehouseURL, err = baseURL(getenv, "BOOKWAREHOUSE_URL", "http://bookwarehouse.bookwarehouse:14001"); err != nil {
		return Config{}, err
	}
	if c.Interval, err = duration(getenv, "FETCH_INTERVAL", time.Second); err != nil {
		return Config{}, err
	}
	if c.Timeout, err = duration(getenv, "FETCH_TIMEOUT", 2*time.Second); err != nil {
		return Config{}, err
	}
	if c.Drain, err = duration(getenv, "DRAIN", 2*time.Second); err != nil {
		return Config{}, err
	}
	return c, nil
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

func baseURL(getenv func(string) string, name, fallback string) (string, error) {
	value := or(getenv(name), fallback)
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", fmt.Errorf("environment variable %s is %q: set it to a URL such as %q", name, value, fallback)
	}
	return strings.TrimRight(value, "/"), nil
}

func duration(getenv func(string) string, name string, fallback time.Duration) (time.Duration, error) {
	value := getenv(name)
	if value == "" {
		return fallback, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("environment variable %s is %q: set it to a time above zero such as %q", name, value, fallback)
	}
	return d, nil
}
