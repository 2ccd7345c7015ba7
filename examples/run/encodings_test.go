package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/seed-85ed9bfd/pipelines"
	"github.com/seed-85ed9bfd/pipelines/examples/cli"
	"github.com/seed-85ed9bfd/pipelines/pipelinestest"
)

// encodings are spellings of a secret.
func encodings(t *testing.T, secret string) map[string]string {
	t.Helper()
	inJSON, err := json.Marshal(secret)
	require.NoError(t, err)
	all := map[string]string{
		"plain":        secret,
		"JSON":         string(inJSON),
		"JSON in JSON": fmt.Sprintf("%q", string(inJSON)),
		"query":        url.QueryEscape(secret),
		"path":         url.PathEscape(secret),
		"hex":          hex.EncodeToString([]byte(secret)),
		"HEX":          strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"shell":        strings.ReplaceAll(secret, "'", `'\''`),
		"dash":         strings.ReplaceAll(secret, "'", `'"'"'`),
		"CSV":          strings.ReplaceAll(secret, `"`, `""`),
		"hex, spaces":  fmt.Sprintf("% x", secret),
		"hex, colons":  strings.ReplaceAll(fmt.Sprintf("% x", secret), " ", ":"),
		"HEX, colons":  strings.ReplaceAll(fmt.Sprintf("% X", secret), " ", ":"),
		"hex, dashes":  strings.ReplaceAll(fmt.Sprintf("% x", secret), " ", "-"),
		"hex in C":     strings.ReplaceAll(fmt.Sprintf("%# x", secret), " ", ", "),
	}
	for shift := range 3 {
		text := []byte(strings.Repeat("x", shift) + secret + " and more")
		for name, encoding := range map[string]*base64.Encoding{
			"base64": base64.StdEncoding, "raw base64": base64.RawStdEncoding, "URL base64": base64.URLEncoding, "raw URL base64": base64.RawURLEncoding,
		} {
			all[fmt.Sprintf("%s at byte %d", name, shift)] = encoding.EncodeToString(text)
		}
	}
	var escaped strings.Builder
	for _, b := range []byte(secret) {
		fmt.Fprintf(&escaped, "%%%02x", b)
	}
	all["every byte in percent"] = escaped.String()
	return all
}

func TestEverySpellingOfASecretIsMasked(t *testing.T) {
	for _, secret := range []string{"hunter2!Wonder", "it's a 'secret'", `pa"ss\word/+=?&ü`, "-----BEGIN KEY-----\nMIIE/+line one+of=key\nsecond line of it\n-----END KEY-----\n"} {
		hidden := secretsOf(secret)
		for name, spelling := range encodings(t, secret) {
			if strings.Contains(spelling, "\n") {
				continue // lines by themselves: TestMask has them
			}
			t.Run(name, func(t *testing.T) {
				line := "before " + spelling + " after\n"
				whole := masked(hidden, true, line)
				require.Len(t, whole, 1)
				require.Contains(t, whole[0], mask)
				require.NotContains(t, whole[0], spelling[4:len(spelling)-4], "at most what is around a secret in base64 remains")
				require.Less(t, len(whole[0]), len("before ****** after")+25)
				require.True(t, strings.HasPrefix(whole[0], "before ") && strings.HasSuffix(whole[0], " after"), whole[0])

				require.Equal(t, whole, masked(hidden, true, strings.Split(line, "")...), "in single characters")
				for at := 1; at < len(spelling); at++ {
					cut := len("before ") + at
					require.Equal(t, whole, masked(hidden, true, line[:cut], line[cut:]), "in two pieces")
					if !utf8.RuneStart(line[cut]) {
						continue
					}
					coloured := masked(hidden, true, line[:cut]+"\x1b[1m"+line[cut:])
					require.Equal(t, whole[0], withoutColours(coloured[0]), "with a colour within")
				}
				require.Equal(t, whole[0], clean(line, hidden))
			})
		}
	}
}

func TestEncodedSecretsAreMaskedInLongLines(t *testing.T) {
	const secret = "hunter2!Wonder"
	hidden := secretsOf(secret)
	for _, spelling := range []string{base64.StdEncoding.EncodeToString([]byte(secret)), "hunter2%21Wonder", `hunter2\u0021Wonder`} {
		for before := maxLine - len(spelling) - 1; before <= maxLine+1; before += 3 {
			all := strings.Join(masked(hidden, false, strings.Repeat("z", before), spelling+"y\n"), "")
			require.Equal(t, strings.Repeat("z", before)+mask, strings.TrimRight(all, "I=y"), "%d before", before)
		}
	}
}

func TestALongSecretInLinesOfBase64IsMasked(t *testing.T) {
	secret := "-----BEGIN KEY-----\n" + strings.Repeat("MIIEowIBAAKCAQEAx7Vn\n", 20) + "-----END KEY-----\n"
	hidden := secretsOf(secret)
	for _, encoded := range []string{base64.StdEncoding.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret + "\n"))} {
		for _, width := range []int{64, 76} { // openssl, base64
			for piece := range slices.Chunk([]byte(encoded), width) {
				lines := masked(hidden, false, "  "+string(piece)+"\n")
				require.Regexp(t, `^  (\*{6})?.{0,8}$`, lines[0], "all but a few characters")
			}
		}
	}
}

// TestALongSecretInLinesOfHexIsMasked is about what xxd -p prints.
func TestALongSecretInLinesOfHexIsMasked(t *testing.T) {
	secret := "-----BEGIN KEY-----\n" + strings.Repeat("MIIEowIBAAKCAQEAx7Vn\n", 20) + "-----END KEY-----\n"
	hidden := secretsOf(secret)
	for _, format := range []string{"%x", "%X"} {
		for before := range 30 {
			encoded := fmt.Sprintf(format, secret)[2*before:]
			for piece := range slices.Chunk([]byte(encoded), 60) {
				lines := masked(hidden, false, "  "+string(piece)+"\n")
				require.Regexp(t, `^  (\*{6})?.{0,6}$`, lines[0], "all but a few characters")
			}
		}
	}
}

// TestADumpOfASecretIsMasked is about "xxd" and "hexdump -C", whose lines end with sixteen characters as they are.
func TestADumpOfASecretIsMasked(t *testing.T) {
	const secret = "ATBBq3xV9kTz7wLmNp2RsYd4EuHc"
	hidden := secretsOf(secret)
	for before := range 16 {
		dump := hex.Dump([]byte(strings.Repeat("x", before) + secret))
		for _, line := range masked(hidden, false, dump) {
			for from := 0; from+shortestPiece <= len(secret); from++ {
				require.NotContains(t, line, secret[from:from+shortestPiece])
				require.NotContains(t, line, fmt.Sprintf("% x", secret[from:from+shortestPiece]))
			}
		}
	}
}

func TestASecretThatIsFoldedIsMasked(t *testing.T) {
	const secret = "ATBBq3xV9kTz7wLmNp2RsYd4EuHc"
	hidden := secretsOf(secret)
	for width := 10; width < len(secret); width++ {
		for piece := range slices.Chunk([]byte("token="+secret), width) {
			shown := strings.TrimPrefix(masked(hidden, false, string(piece)+"\n")[0], "token=")
			require.Less(t, len(strings.ReplaceAll(shown, mask, "")), shortestPiece, "%s became %s", piece, shown)
		}
	}
	require.Equal(t, []string{"the production database"}, masked(secretsOf("production-database-1"), false, "the production database\n"), "words stay")
}

// So does a program that writes USER:TOKEN in base64, as for an Authorization header, where the line may end anywhere in the secret.
func TestASecretThatLinesOfBase64DivideIsMasked(t *testing.T) {
	const secret = "ATBBq3xV9kTz7wLmNp2RsYd4EuHc" // as long as a token
	hidden := secretsOf(secret)
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
		for before := range 80 {
			encoded := encoding.EncodeToString([]byte(strings.Repeat("x", before) + secret + "\xff\xfe\n"))
			for piece := range slices.Chunk([]byte(encoded), 76) {
				shown := masked(hidden, false, string(piece)+"\n")[0]
				shown = strings.TrimLeft(shown, "eHh4") // of the x
				require.Less(t, len(strings.ReplaceAll(shown, mask, "")), 2*shortestPiece, "%d before: %s became %s", before, piece, shown)
			}
		}
	}
}

func TestTextsThatAreNoSecretsStay(t *testing.T) {
	for _, secret := range []string{"a1", "abc", "key"} { // their encodings are in many words
		hidden := secretsOf(secret)
		encoded := base64.StdEncoding.EncodeToString([]byte(secret)) + " " + hex.EncodeToString([]byte(secret)) + " YTEy Nw== %37 \\u0061"
		require.Equal(t, []string{encoded}, masked(hidden, false, encoded+"\n"), secret)
	}
	require.Equal(t, []string{"MII is short"}, masked(secretsOf("a line of a key"), false, "MII is short\n"))
}

func TestEncodedSecretsAreMaskedInAllOutput(t *testing.T) {
	const secret = `hunter2/"Wonder"`
	synctest.Test(t, func(t *testing.T) {
		var log []string
		spellings := encodings(t, secret)
		for _, spelling := range spellings {
			log = append(log, spelling)
		}
		failing := scripted(url.QueryEscape(secret), time.Second, strings.Join(log, "\n")+"\n")
		failing.Error = &pipelines.ErrorDetail{Message: spellings["base64 at byte 1"]}
		s := newFixture(t, failing)
		require.Equal(t, cli.Failure, s.run(t.Context(), "-secret", "A="+secret))
		s.Inject(pipelinestest.Fault{Status: http.StatusBadRequest, Body: strings.Join(log, " ")})
		require.Equal(t, cli.Trouble, s.run(t.Context(), "-secret", "A="+secret))
		for name, spelling := range spellings {
			require.NotContains(t, s.out.String()+s.errs.String(), spelling[2:len(spelling)-4], name)
		}
	})
}
