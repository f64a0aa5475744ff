// Command probe is the program of the test image: a small server, and a client
// that says what it saw.
//
//	probe serve            answers every request on :8080 with "hello from HOSTNAME"
//	probe get URL          prints the answer
//	probe lookup DNS NAME  prints the addresses that the server DNS has
//	probe sleep            does nothing
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "serve":
		host, err := os.Hostname()
		if err != nil {
			return err
		}
		return http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, "hello from", host)
		}))
	case len(args) == 2 && args[0] == "get":
		resp, err := (&http.Client{Timeout: 3 * time.Second}).Get(args[1])
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(os.Stdout, resp.Body)
		return err
	case len(args) == 3 && args[0] == "lookup":
		server := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, network, net.JoinHostPort(args[1], "53"))
		}}
		addrs, err := server.LookupHost(context.Background(), args[2])
		fmt.Println(strings.Join(addrs, " "))
		return err
	case len(args) == 1 && args[0] == "sleep":
		time.Sleep(time.Hour)
		return nil
	}
	return fmt.Errorf("usage: probe serve | get URL | lookup DNS NAME | sleep, not %q", args)
}
