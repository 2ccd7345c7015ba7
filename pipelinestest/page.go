package pipelinestest

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
)

// envelope is a page of a list.
type envelope struct {
	Page     int    `json:"page"`
	PageLen  int    `json:"pagelen"`
	Size     int    `json:"size"`
	Next     string `json:"next,omitzero"`
	Previous string `json:"previous,omitzero"`
	Values   []any  `json:"values"`
}

const (
	defaultPageLen = 10
	maxPageLen     = 100
)

// page is the response with the page of items that the request asks for.
func page[T any](c *call, items []T, encode func(T) any) *response {
	return pageUpTo(maxPageLen, c, items, encode)
}

// pageUpTo is page with another maximum page length.
func pageUpTo[T any](longest int, c *call, items []T, encode func(T) any) *response {
	pageLen, errResp := c.count("pagelen", defaultPageLen, longest)
	if errResp != nil {
		return errResp
	}
	return pageOf(c, items, pageLen, encode)
}

// wholePage is the response with all items, whatever page length the request asks for.
func wholePage[T any](c *call, items []T, encode func(T) any) *response {
	return pageOf(c, items, max(len(items), defaultPageLen), encode)
}

func pageOf[T any](c *call, items []T, pageLen int, encode func(T) any) *response {
	number, errResp := c.count("page", 1, math.MaxInt32)
	if errResp != nil {
		return errResp
	}
	start := min((number-1)*pageLen, len(items))
	end := min(start+pageLen, len(items))
	e := envelope{Page: number, PageLen: pageLen, Size: len(items)}
	for _, item := range items[start:end] {
		e.Values = append(e.Values, encode(item))
	}
	if start == end {
		e.PageLen = 0 // as the service responds past the last page
	}
	if end < len(items) {
		e.Next = c.pageLink(number+1, pageLen)
	}
	if number > 1 {
		e.Previous = c.pageLink(number-1, pageLen)
	}
	if c.server.withoutNext {
		e.Next, e.Previous = "", ""
	}
	return c.json(http.StatusOK, e)
}

// count parses a query parameter that is a number from 1 to limit.
func (c *call) count(name string, fallback, limit int) (int, *response) {
	text := c.query.Get(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > limit {
		return 0, errorResponse(http.StatusBadRequest, "Invalid "+name, fmt.Sprintf("%s has to be a number from 1 to %d.", name, limit))
	}
	return n, nil
}

func (c *call) pageLink(number, pageLen int) string {
	query := maps.Clone(c.query)
	query.Set("page", strconv.Itoa(number))
	query.Set("pagelen", strconv.Itoa(pageLen))
	return origin(c.request) + c.request.URL.EscapedPath() + "?" + query.Encode()
}
