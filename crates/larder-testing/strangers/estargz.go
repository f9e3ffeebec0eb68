package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/estargz/zstdchunked"
	"github.com/klauspost/compress/zstd"
)

// seekable rewrites a layer as one that containerd's snapshotter for lazy pulls can seek in, and prints the digest of its tar stream:
// its own table of contents is an entry of that (estargz), or behind it (zstdchunked).
func seekable(how, layer, to string, first []string) error {
	file, err := os.Open(layer)
	if err != nil {
		return err
	}
	defer file.Close()
	found, err := file.Stat()
	if err != nil {
		return err
	}
	options := []estargz.Option{estargz.WithChunkSize(1 << 20), estargz.WithPrioritizedFiles(first)}
	switch how {
	case "estargz":
	case "zstdchunked":
		options = append(options, estargz.WithCompression(&chunked{zstdchunked.Compressor{CompressionLevel: zstd.SpeedDefault}, zstdchunked.Decompressor{}}))
	default:
		return fmt.Errorf("`%s` is neither estargz nor zstdchunked", how)
	}
	blob, err := estargz.Build(io.NewSectionReader(file, 0, found.Size()), options...)
	if err != nil {
		return err
	}
	defer blob.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, blob); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]string{"diffID": blob.DiffID().String(), "toc": blob.TOCDigest().String()})
}

type chunked struct {
	zstdchunked.Compressor
	zstdchunked.Decompressor
}
