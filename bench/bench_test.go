package main

import (
	"encoding/json"
	"io"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
)

// TestMain makes the test binary a server or a client if it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestEveryTaskRunsWithEveryClientThatSupportsIt(t *testing.T) {
	srv := httptest.NewUnstartedServer(nil)
	srv.Config.Handler = newService("http://"+srv.Listener.Addr().String(), miniature)
	srv.Start()
	t.Cleanup(srv.Close)
	requests := map[string]int{"list": 3, "list-slow": 3, "list-ahead": 3, "log": 1, "log-again": logCopies}
	for _, task := range tasks {
		for _, client := range clientNames {
			t.Run(task.name+" "+client, func(t *testing.T) {
				r, err := measure(t.Context(), task, client, srv.URL+"/2.0", miniature)
				require.NoError(t, err)
				require.Equal(t, !task.supports(client), r.Unsupported)
				if r.Unsupported {
					return
				}
				want, ok := requests[task.name]
				if !ok {
					want = miniature.calls
				}
				assert.Equal(t, want, r.Requests)
				assert.Positive(t, r.Wall)
				assert.Positive(t, r.Allocs)
				if strings.HasPrefix(task.name, "list") {
					assert.Greater(t, r.Peak, int64(64<<10), "a page of 100 pipelines has more")
				}
			})
		}
	}
}

func TestTheClientsAndTheServerAreSeparateProcesses(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0") // otherwise each process sleeps a second at its end
	server, err := startServer(t.Context(), miniature)
	require.NoError(t, err)
	t.Cleanup(server.stop)
	results, err := runRounds(t.Context(), io.Discard, tasks[0], 1, server.base, miniature)
	require.NoError(t, err)
	require.Len(t, results, len(clientNames))
	for client, rounds := range results {
		require.Len(t, rounds, 1, client)
		assert.Equal(t, miniature.calls, rounds[0].Requests, client)
	}
	for _, r := range tasks[0].rows(results, miniature) {
		require.Len(t, r.figures, len(clientNames))
	}
}

func TestTheTableReportsReachedTargets(t *testing.T) {
	results := map[string][]result{}
	for i := range uint64(9) { // ratios of 1.1 to 1.9
		results[sdk] = append(results[sdk], result{Allocs: 19 - i})
		results[byHand] = append(results[byHand], result{Allocs: 10})
		results[ktrysmt] = append(results[ktrysmt], result{Unsupported: true})
	}
	table := newTable()
	table.add(
		ratioRow("get", "allocations", results, allocs, atMost(1.8)),
		ratioRow("get", "allocations", results, allocs, atMost(1.79)),
		ratioRow("get", "allocations", results, allocs, atMost(1.2)),
		ratioRow("get", "allocations", results, allocs, atMost(1.19)),
		ratioRow("get", "allocations", results, allocs, atLeast(1.2)),
		ratioRow("get", "allocations", results, allocs, atLeast(1.21)),
		ratioRow("get", "allocations", results, allocs, atLeast(1.81)),
		ratioRow("get", "allocations", results, allocs, noTarget),
		sdkRow("get", "allocations", results, allocs, atMost(18)),
		sdkRow("get", "allocations", results, allocs, atMost(15)),
		sdkRow("get", "allocations", results, allocs, atMost(11)),
	)
	for _, line := range []string{
		"| get | allocations | 15 | 10 | - | 1.50 (1.20 to 1.80) | ≤ 1.80 | reached |",
		"| get | allocations | 15 | 10 | - | 1.50 (1.20 to 1.80) | ≤ 1.79 | not certain |",
		"| get | allocations | 15 | 10 | - | 1.50 (1.20 to 1.80) | ≤ 1.20 | not certain |",
		"| get | allocations | 15 | 10 | - | 1.50 (1.20 to 1.80) | ≤ 1.19 | missed |",
		"| get | allocations | 15 | 10 | - | 1.50 (1.20 to 1.80) | ≥ 1.20 | reached |",
		"| get | allocations | 15 | 10 | - | 1.50 (1.20 to 1.80) | ≥ 1.21 | not certain |",
		"| get | allocations | 15 | 10 | - | 1.50 (1.20 to 1.80) | ≥ 1.81 | missed |",
		"| get | allocations | 15 | 10 | - | 1.50 (1.20 to 1.80) |  |  |",
		"| get | allocations | 15 | 10 | - |  | ≤ 18 | reached |",
		"| get | allocations | 15 | 10 | - |  | ≤ 15 | not certain |",
		"| get | allocations | 15 | 10 | - |  | ≤ 11 | missed |",
	} {
		assert.Contains(t, table.String(), line+"\n")
	}
}

func TestFewRoundsShowNothingForCertain(t *testing.T) {
	one := map[string][]result{sdk: {{Allocs: 10}}, byHand: {{Allocs: 20}}, ktrysmt: {{Allocs: 30}}}
	require.Equal(t, "| get | allocations | 10 | 20 | 30 | 0.50 (-Inf to +Inf) | ≤ 0.60 | not certain |", ratioRow("get", "allocations", one, allocs, atMost(0.6)).String())
}

// TestThePayloadHasTheDocumentedSize also checks that every field of the payload is in the model.
func TestThePayloadHasTheDocumentedSize(t *testing.T) {
	body := runJSON(7)
	require.InDelta(t, 2400, len(body), 100)
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.DisallowUnknownFields()
	var p pipelines.Pipeline
	require.NoError(t, decoder.Decode(&p))
	require.Equal(t, 7, p.BuildNumber)
	require.InDelta(t, 140, len(config), 10)
}

// TestTheHandWrittenClientDecodesWithoutTheSDK checks that no model has a decoder of the SDK.
func TestTheHandWrittenClientDecodesWithoutTheSDK(t *testing.T) {
	unmarshaler := reflect.TypeFor[json.Unmarshaler]()
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		if seen[typ] {
			return
		}
		seen[typ] = true
		if typ.PkgPath() == reflect.TypeFor[pipelines.Pipeline]().PkgPath() {
			require.False(t, reflect.PointerTo(typ).Implements(unmarshaler), "%v", typ)
		}
		switch typ.Kind() {
		default: // has no elements
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(typ.Elem())
		case reflect.Struct:
			for i := range typ.NumField() {
				walk(typ.Field(i).Type)
			}
		}
	}
	walk(reflect.TypeFor[pipelines.Pipeline]())
	walk(reflect.TypeFor[pipelines.Config]())
	require.Greater(t, len(seen), 20)
}
