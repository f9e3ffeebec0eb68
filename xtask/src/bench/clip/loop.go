// The loop of image indexers in Go, without what they keep: every entry of a gzip'd tar stream on standard input.
package main

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
)

func main() {
	packed, err := gzip.NewReader(bufio.NewReaderSize(os.Stdin, 1<<20))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	entries := 0
	for stream := tar.NewReader(packed); ; entries++ {
		if _, err := stream.Next(); err == io.EOF {
			break
		} else if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	fmt.Println(entries)
}
