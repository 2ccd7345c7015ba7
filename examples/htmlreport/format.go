package htmlreport

import (
	"fmt"
	"math"
	"strconv"

	"github.com/dustin/go-humanize"
)

// Number formats a number with separators: 1,234.
func Number(n int) string { return humanize.Comma(int64(n)) }

// Minutes formats build minutes: "1,234 h 5 min", "12 min", "40 s".
func Minutes(minutes float64) string {
	seconds := int(math.Round(minutes * 60))
	if 0 < seconds && seconds < 60 {
		return fmt.Sprintf("%d s", seconds)
	}
	whole := int(math.Round(minutes))
	switch {
	case whole < 60:
		return fmt.Sprintf("%d min", whole)
	case whole%60 == 0:
		return Number(whole/60) + " h"
	}
	return fmt.Sprintf("%s h %d min", Number(whole/60), whole%60)
}

// Duration formats seconds: 40s, 2m05s, 1h07m.
func Duration(seconds float64) string {
	s := int(math.Round(seconds))
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600 && s%60 == 0:
		return fmt.Sprintf("%dm", s/60)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s%3600 < 60:
		return Number(s/3600) + "h"
	}
	return fmt.Sprintf("%sh%02dm", Number(s/3600), s%3600/60)
}

// Percent formats a share of 0 to 1: 87.5 %. Only all is 100 %, and only nothing 0 %.
func Percent(share float64) string {
	thousandths := math.Round(share * 1000)
	if share > 0 && share < 1 {
		thousandths = min(max(thousandths, 1), 999)
	}
	return strconv.FormatFloat(thousandths/10, 'f', -1, 64) + " %"
}
