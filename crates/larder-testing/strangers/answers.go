package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Answer is what one project makes of an image: a tree or an error.
type Answer struct {
	Tree  []*Node `json:"tree,omitempty"`
	Error string  `json:"error,omitempty"`
}

// Answers has every project's answer. Times from Started on are of the extraction, not of the image.
type Answers struct {
	Started    int64  `json:"started"`
	Containerd Answer `json:"containerd"`
	Moby       Answer `json:"moby"`
	Podman     Answer `json:"podman"`
	Umoci      Answer `json:"umoci"`
}

func answers(layout string) (*Answers, error) {
	layers, err := layersOf(layout)
	if err != nil {
		return nil, err
	}
	all := &Answers{Started: time.Now().Unix() - 1}
	all.Containerd = overlaid("containerd", layers)
	all.Moby = overlaid("moby", layers)
	all.Podman = overlaid("podman", layers)
	all.Umoci = merged(layout)
	return all, nil
}

// scratch calls use with an empty file system in memory, which is gone afterwards.
func scratch(use func(dir string) ([]*Node, error)) Answer {
	var answer Answer
	err := func() error {
		dir, err := os.MkdirTemp("", "strangers-")
		if err != nil {
			return err
		}
		defer os.Remove(dir)
		if err := syscall.Mount("strangers", dir, "tmpfs", 0, "size=512m,mode=0755"); err != nil {
			return fmt.Errorf("mount a tmpfs: %w", err)
		}
		defer syscall.Unmount(dir, syscall.MNT_DETACH)
		answer.Tree, err = use(dir)
		if err != nil {
			return errors.New(strings.ReplaceAll(err.Error(), dir, ""))
		}
		return nil
	}()
	if err != nil {
		answer = Answer{Error: err.Error()}
	}
	return answer
}

// overlaid extracts each layer into a folder of its own and overlays them.
func overlaid(who string, layers []string) Answer {
	return scratch(func(dir string) ([]*Node, error) {
		// An overlay of one folder alone is refused: an empty one goes below.
		var lower []string
		for at, layer := range layers {
			target := filepath.Join(dir, fmt.Sprint(at))
			if err := folder(who, target, lower); err != nil {
				return nil, err
			}
			if err := apply(who, layer, target, lower); err != nil {
				return nil, fmt.Errorf("layer %d: %w", at, err)
			}
			lower = append([]string{target}, lower...)
		}
		if len(lower) == 1 {
			empty := filepath.Join(dir, "empty")
			if err := os.Mkdir(empty, 0o755); err != nil {
				return nil, err
			}
			lower = append(lower, empty)
		}
		view := filepath.Join(dir, "view")
		if err := os.Mkdir(view, 0o755); err != nil {
			return nil, err
		}
		if err := syscall.Mount("overlay", view, "overlay", syscall.MS_RDONLY, "lowerdir="+strings.Join(lower, ":")); err != nil {
			return nil, fmt.Errorf("mount the overlay: %w", err)
		}
		defer syscall.Unmount(view, syscall.MNT_DETACH)
		return list(view)
	})
}

// folder makes the folder of a layer as the project's driver does: with the owner of the one below (containerd), also with its mode
// (podman, whose lowest would be 0555), or always 0755 and root's (moby).
func folder(who, target string, lower []string) error {
	if err := os.Mkdir(target, 0o755); err != nil {
		return err
	}
	if len(lower) == 0 || who == "moby" {
		return nil
	}
	var below syscall.Stat_t
	if err := syscall.Stat(lower[0], &below); err != nil {
		return err
	}
	if err := os.Chown(target, int(below.Uid), int(below.Gid)); err != nil || who == "containerd" {
		return err
	}
	return syscall.Chmod(target, below.Mode&0o7777)
}

// merged extracts each layer on top of the tree so far, as the specification's words have it.
func merged(layout string) Answer {
	return scratch(func(dir string) ([]*Node, error) {
		target := filepath.Join(dir, "rootfs")
		out, err := exec.Command("umoci", "raw", "unpack", "--image", layout+":latest", target).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
		}
		return list(target)
	})
}

type descriptor struct {
	Digest string `json:"digest"`
}

// layersOf gives the files of the layers of a layout's first image, lowest first.
func layersOf(layout string) ([]string, error) {
	var index struct {
		Manifests []descriptor `json:"manifests"`
	}
	if err := load(filepath.Join(layout, "index.json"), &index); err != nil {
		return nil, err
	}
	if len(index.Manifests) == 0 {
		return nil, errors.New("the layout has no image")
	}
	var manifest struct {
		Layers []descriptor `json:"layers"`
	}
	if err := load(blob(layout, index.Manifests[0]), &manifest); err != nil {
		return nil, err
	}
	var files []string
	for _, layer := range manifest.Layers {
		files = append(files, blob(layout, layer))
	}
	return files, nil
}

func blob(layout string, of descriptor) string {
	return filepath.Join(layout, "blobs", "sha256", strings.TrimPrefix(of.Digest, "sha256:"))
}

func load(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// agree prints where the three agree.
func agree(all *Answers) error {
	three := map[string]Answer{"containerd": all.Containerd, "moby": all.Moby, "podman": all.Podman}
	names := []string{"containerd", "moby", "podman"}
	paths := map[string]bool{}
	trees := map[string]map[string]string{}
	for _, who := range names {
		trees[who] = map[string]string{}
		if three[who].Error != "" {
			fmt.Printf("%s refuses: %s\n", who, three[who].Error)
		}
		for _, node := range three[who].Tree {
			if node.Seconds >= all.Started {
				node.Seconds, node.Nanos = -1, 0
			}
			text, err := json.Marshal(node)
			if err != nil {
				return err
			}
			trees[who][node.Path] = string(text)
			paths[node.Path] = true
		}
	}
	if reflect.DeepEqual(trees["containerd"], trees["moby"]) && reflect.DeepEqual(trees["moby"], trees["podman"]) {
		fmt.Printf("the three agree: %d names\n", len(paths))
		return nil
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if trees["containerd"][path] == trees["moby"][path] && trees["moby"][path] == trees["podman"][path] {
			continue
		}
		for _, who := range names {
			fmt.Printf("%s: %s: %s\n", path, who, trees[who][path])
		}
	}
	return nil
}
