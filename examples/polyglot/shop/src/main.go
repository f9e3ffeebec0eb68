// Shop reads what is in the pantry from standard input and prints what to buy.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := list(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}
