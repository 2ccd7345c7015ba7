package exactjson

import "hash/maphash"

// stringCache has strings that were decoded lately, so that one which repeats isn't allocated again.
type stringCache struct {
	seed    maphash.Seed
	strings [512]string
}

// maxCachedLen bounds the memory that the cache keeps: 128 KiB.
const maxCachedLen = 256

func newStringCache() *stringCache { return &stringCache{seed: maphash.MakeSeed()} }

// of returns a string with this text.
func (c *stringCache) of(text []byte) string {
	if len(text) > maxCachedLen {
		return string(text)
	}
	cached := &c.strings[maphash.Bytes(c.seed, text)%uint64(len(c.strings))]
	if *cached != string(text) {
		*cached = string(text)
	}
	return *cached
}
