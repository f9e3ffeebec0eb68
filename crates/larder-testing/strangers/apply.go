package main

import (
	"context"
	"fmt"
	"io"
	"os"

	containerd "github.com/containerd/containerd/v2/pkg/archive"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	moby "github.com/moby/go-archive"
	mobychroot "github.com/moby/go-archive/chrootarchive"
	mobycompression "github.com/moby/go-archive/compression"
	podman "go.podman.io/storage/pkg/archive"
	podmanchroot "go.podman.io/storage/pkg/chrootarchive"
)

// apply extracts one layer into dir as the project does it for its overlay driver. lower are the folders of the layers below, nearest
// first: containerd takes the metadata of parents that a layer does not list from there, and a layer that has nothing below it is not
// extracted for an overlay at all (its snapshotter hands out a bind mount), so that its whiteouts remove what the layer itself made.
func apply(who, layer, dir string, lower []string) error {
	file, err := os.Open(layer)
	if err != nil {
		return err
	}
	defer file.Close()
	stream, err := decompress(who, file)
	if err != nil {
		return err
	}
	defer stream.Close()
	switch who {
	case "containerd":
		var opts []containerd.ApplyOpt
		if len(lower) > 0 {
			opts = append(opts, containerd.WithConvertWhiteout(containerd.OverlayConvertWhiteout), containerd.WithParents(lower))
		}
		_, err = containerd.Apply(context.Background(), dir, stream, opts...)
	case "moby":
		err = mobychroot.UntarUncompressed(stream, dir, &moby.TarOptions{WhiteoutFormat: moby.OverlayWhiteoutFormat})
	case "podman":
		err = podmanchroot.UntarUncompressed(stream, dir, &podman.TarOptions{WhiteoutFormat: podman.OverlayWhiteoutFormat})
	}
	if err != nil {
		return err
	}
	// All of them read a layer to its end, to check its digest.
	_, err = io.Copy(io.Discard, stream)
	return err
}

// decompress opens a layer as each project does, by its own code and not by a program that happens to be installed.
func decompress(who string, file *os.File) (io.ReadCloser, error) {
	for _, name := range []string{"CONTAINERD_DISABLE_PIGZ", "CONTAINERD_DISABLE_IGZIP", "MOBY_DISABLE_PIGZ"} {
		if err := os.Setenv(name, "1"); err != nil {
			return nil, err
		}
	}
	switch who {
	case "containerd":
		return compression.DecompressStream(file)
	case "moby":
		return mobycompression.DecompressStream(file)
	case "podman":
		return podman.DecompressStream(file)
	default:
		return nil, fmt.Errorf("`%s` is nobody: containerd, moby or podman", who)
	}
}
