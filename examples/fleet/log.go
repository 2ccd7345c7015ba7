package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/redis/go-redis/v9"
)

// openLog opens the log of the engine and of the Redis client. Without a file they are silent: what a person has to know, the program says.
func (p *program) openLog() (end func(), err error) {
	p.log, end = slog.New(slog.DiscardHandler), func() {}
	if p.logFile != "" {
		f, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("--log: %w", err)
		}
		p.log, end = slog.New(slog.NewTextHandler(f, nil)), func() { f.Close() } //nolint:errcheck // nothing to do about it
	}
	redis.SetLogger(redisLog{p.log})
	return end, nil
}

// engineLog is the engine's [asynq.Logger].
type engineLog struct{ *slog.Logger }

func (l engineLog) Debug(args ...any) { l.Logger.Debug(fmt.Sprint(args...)) }
func (l engineLog) Info(args ...any)  { l.Logger.Info(fmt.Sprint(args...)) }
func (l engineLog) Warn(args ...any)  { l.Logger.Warn(fmt.Sprint(args...)) }
func (l engineLog) Error(args ...any) { l.Logger.Error(fmt.Sprint(args...)) }
func (l engineLog) Fatal(args ...any) { l.Error(args...) }

// redisLog is the log of the Redis client, which has one for the whole process.
type redisLog struct{ *slog.Logger }

func (l redisLog) Printf(_ context.Context, format string, args ...any) {
	l.Warn(fmt.Sprintf(format, args...))
}
