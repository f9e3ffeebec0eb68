package main

import (
	"bufio"
	"fmt"
	"io"

	"pantry/shop/kinds"
)

// list reads totals (`KIND TOTAL UNIT`, as count prints them) and writes what there is too little of.
func list(in io.Reader, out io.Writer) error {
	have := map[string]int{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var name, unit string
		var total int
		if _, err := fmt.Sscan(lines.Text(), &name, &total, &unit); err != nil {
			return fmt.Errorf("not a total: %q", lines.Text())
		}
		have[name] = total
	}
	if err := lines.Err(); err != nil {
		return err
	}
	for _, kind := range kinds.All {
		if missing := kind.Least - have[kind.Name]; missing > 0 {
			fmt.Fprintf(out, "%s %d %s\n", kind.Name, missing, kind.Unit)
		}
	}
	return nil
}
