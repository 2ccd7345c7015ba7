package exactjson

import "hash/maphash"

// stringCache has strings that were decoded lately, so that one which repeats isn't allocated again. A string has two places, the one
// used last first.
type stringCache struct {
	seed    maphash.Seed
	strings [256][2]string
}

// maxCachedLen bounds the memory that the cache keeps: 128 KiB.
const maxCachedLen = 256

func newStringCache() *stringCache { return &stringCache{seed: maphash.MakeSeed()} }

// of returns a string with this text.
func (c *stringCache) of(text []byte) string {
	if len(text) > maxCachedLen {
		return string(text)
	}
	places := &c.strings[maphash.Bytes(c.seed, text)%uint64(len(c.strings))]
	if places[0] == string(text) { // which allocates nothing
		return places[0]
	}
	places[0], places[1] = places[1], places[0]
	if places[0] != string(text) {
		places[0] = string(text)
	}
	return places[0]
}
