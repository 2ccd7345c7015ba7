package pipelinestest_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

func TestTheStorageRefuses(t *testing.T) {
	f := setup(t, pipelinestest.WithLinkLifetime(time.Minute))
	f.repo.Script("main", logged)
	path := f.started()
	f.clock.Advance(time.Hour)
	link := f.get(f.step(path, 0) + "/log").Header.Get("Location")

	credentials := f.get(link)
	require.Equal(t, http.StatusBadRequest, credentials.StatusCode)
	require.Contains(t, credentials.text, "<Code>InvalidArgument</Code>")
	require.Equal(t, "application/xml", credentials.Header.Get("Content-Type"))
	require.Equal(t, http.StatusForbidden, f.get(strings.Replace(link, "Expires=1", "Expires=2", 1), "Authorization", "").StatusCode)
	require.Equal(t, http.StatusMethodNotAllowed, f.send(http.MethodPut, link, "", "Authorization", "").StatusCode)

	f.clock.Advance(time.Minute)
	expired := f.get(link, "Authorization", "")
	require.Equal(t, http.StatusForbidden, expired.StatusCode)
	require.Contains(t, expired.text, "Request has expired")
}

func TestTheStorageIsReachableByIPv4AndIPv6(t *testing.T) {
	f := setup(t)
	log := f.endedLog()
	for _, address := range []string{"127.0.0.1", "::1"} {
		probe, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
		if err != nil {
			t.Logf("this machine has no %s", address)
			continue
		}
		require.NoError(t, probe.Close())
		transport := &http.Transport{DialContext: func(ctx context.Context, network, hostPort string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(hostPort)
			if host == "localhost" {
				host = address
			}
			if err != nil {
				return nil, err
			}
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(host, port))
		}}
		status, text := follow(t, &http.Client{Transport: transport}, f.srv.URL()+log)
		transport.CloseIdleConnections()
		require.Equal(t, http.StatusOK, status, address+": "+text)
		require.Equal(t, logged.Steps[0].Log, text, address)
	}
}
