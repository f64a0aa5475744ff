package meshtest

import (
	"context"
	"flag"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// Request headers that tell the authorizer what to say.
const (
	headerAuthzDeny  = "x-authz-deny"
	headerAuthzDelay = "x-authz-delay"
)

// runAuthz serves Envoy's external authorization API. It allows every request but one with the header
// x-authz-deny, whose value is the status of the refusal, and waits first as long as x-authz-delay says. What is
// allowed reaches the application with x-authz-allowed: the number of body bytes the authorizer saw; a refusal bears
// the header x-authz: denied.
func runAuthz(ctx context.Context, env Env, args []string) int {
	fs := flag.NewFlagSet("authz", flag.ContinueOnError)
	ports := fs.String("ports", "9191", "ports to serve, separated by commas")
	address := fs.String("address", "", "address to serve on; empty means all")
	if _, code, ok := parse(env, fs, args); !ok {
		return code
	}
	var out sync.Mutex
	return listenAll(ctx, env, *address, *ports, func(ctx context.Context, ln net.Listener) error {
		srv := grpc.NewServer()
		authv3.RegisterAuthorizationServer(srv, authorizer{said: func(verdict, method, path string) {
			out.Lock()
			defer out.Unlock()
			_, _ = fmt.Fprintf(env.Stdout, "%s %s %s\n", verdict, method, path)
		}})
		context.AfterFunc(ctx, srv.GracefulStop)
		return srv.Serve(ln)
	})
}

type authorizer struct {
	authv3.UnimplementedAuthorizationServer
	said func(verdict, method, path string)
}

// Check answers one question of a sidecar.
func (a authorizer) Check(ctx context.Context, req *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	r := req.GetAttributes().GetRequest().GetHttp()
	if d, err := time.ParseDuration(r.GetHeaders()[headerAuthzDelay]); err == nil && !pause(ctx, d) {
		return nil, ctx.Err()
	}
	if text, ok := r.GetHeaders()[headerAuthzDeny]; ok {
		a.said("deny", r.GetMethod(), r.GetPath())
		return refusal(text), nil
	}
	a.said("allow", r.GetMethod(), r.GetPath())
	return &authv3.CheckResponse{
		Status: &rpcstatus.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			Headers: []*corev3.HeaderValueOption{option("x-authz-allowed", strconv.Itoa(len(r.GetBody())))}}},
	}, nil
}

func refusal(text string) *authv3.CheckResponse {
	code, err := strconv.Atoi(text)
	if err != nil || code < 400 || code > 599 {
		code = int(typev3.StatusCode_Forbidden)
	}
	return &authv3.CheckResponse{
		Status: &rpcstatus.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode(code)},
			Headers: []*corev3.HeaderValueOption{
				option("x-authz", "denied")},
			Body: "the authorizer says no\n",
		}},
	}
}

func option(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: value}}
}
