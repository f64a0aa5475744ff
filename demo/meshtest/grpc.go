package meshtest

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

func runGRPCEcho(ctx context.Context, env Env, args []string) int {
	fs := flag.NewFlagSet("grpcecho", flag.ContinueOnError)
	ports := fs.String("ports", "9001", "ports to serve, separated by commas")
	address := fs.String("address", "", "address to serve on; empty means all")
	secure := fs.Bool("tls", false, "serve TLS with a certificate of its own")
	if _, code, ok := parse(env, fs, args); !ok {
		return code
	}
	pod, transport := podName(env), insecure.NewCredentials()
	if *secure {
		certificate, err := selfSigned()
		if err != nil {
			return fail(env, err)
		}
		transport = credentials.NewServerTLSFromCert(&certificate)
	}
	return listenAll(ctx, env, *address, *ports, func(ctx context.Context, ln net.Listener) error {
		srv := grpc.NewServer(grpc.Creds(transport), grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			_ = grpc.SetHeader(ctx, metadata.Pairs("pod", pod))
			return next(ctx, req)
		}))
		healthpb.RegisterHealthServer(srv, health.NewServer())
		context.AfterFunc(ctx, srv.GracefulStop)
		return srv.Serve(ln)
	})
}

// runGRPCGet asks the health service and prints the serving status, the
// answering pod and the peer.
func runGRPCGet(ctx context.Context, env Env, args []string) int {
	fs := flag.NewFlagSet("grpcget", flag.ContinueOnError)
	timeout := fs.Duration("timeout", 5*time.Second, "how long all may take")
	service := fs.String("service", "", "service to ask for; empty means the whole server")
	authority := fs.String("authority", "", "authority to send instead of HOST:PORT")
	secure := fs.Bool("tls", false, "speak TLS, with a server of any certificate")
	rest, code, ok := parse(env, fs, args, "HOST:PORT")
	if !ok {
		return code
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	var dialErr error
	transport := insecure.NewCredentials()
	if *secure {
		transport = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}) //nolint:gosec // as get does
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithContextDialer(func(ctx context.Context, target string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
			if err != nil {
				dialErr = err
			}
			return conn, err
		}),
	}
	if *authority != "" {
		options = append(options, grpc.WithAuthority(*authority))
	}
	conn, err := grpc.NewClient("passthrough:///"+rest[0], options...)
	if err != nil {
		return fail(env, err)
	}
	var header metadata.MD
	var from peer.Peer
	resp, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: *service}, grpc.Header(&header), grpc.Peer(&from))
	_ = conn.Close()
	switch {
	case err == nil:
		_, _ = fmt.Fprintf(env.Stdout, "%s pod=%v peer=%v\n", resp.Status, header.Get("pod"), from.Addr)
		return exitOK
	case dialErr != nil:
		return report(env, dialErr)
	case status.Code(err) == codes.DeadlineExceeded:
		return report(env, context.DeadlineExceeded)
	default:
		_, _ = fmt.Fprintf(env.Stderr, "%s: %v\n", KindStatus, err)
		return KindStatus.ExitCode()
	}
}
