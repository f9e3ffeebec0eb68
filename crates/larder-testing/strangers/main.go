// Strangers: what other projects make of a layer.
//
//	strangers apply containerd|moby|podman LAYER DIR [LOWER...]   one layer into a folder of its own, lower ones nearest first
//	strangers list DIR                                           JSON lines, sorted, one per name
//	strangers seekable estargz|zstdchunked LAYER TO [FIRST...]   a layer as containerd's lazy pulls have it, some files first
//	strangers registry ADDRESS DIR                               a registry that lists referrers, until it is ended
//	strangers answers LAYOUT                                     an image layout's tree as each of them makes it, as one JSON object
//	strangers agree LAYOUT                                       the same for a person: where they agree, and where not
//
// Needs root. All mounts are made in a mount namespace of this process, so nothing stays behind however it ends.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"go.podman.io/storage/pkg/reexec"
)

const usage = `usage: strangers apply containerd|moby|podman LAYER DIR [LOWER...]
       strangers list DIR
       strangers registry ADDRESS DIR
       strangers seekable estargz|zstdchunked LAYER TO [FIRST...]
       strangers answers|agree LAYOUT`

// inside marks a process that already has a mount namespace of its own.
const inside = "STRANGERS_INSIDE"

func main() {
	if reexec.Init() {
		return
	}
	syscall.Umask(0o022)
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) >= 4 && args[0] == "apply":
		return apply(args[1], args[2], args[3], args[4:])
	case len(args) >= 4 && args[0] == "seekable":
		return seekable(args[1], args[2], args[3], args[4:])
	case len(args) == 3 && args[0] == "registry":
		return serve(args[1], args[2])
	case len(args) == 2 && args[0] == "list":
		nodes, err := list(args[1])
		if err != nil {
			return err
		}
		out := json.NewEncoder(os.Stdout)
		for _, node := range nodes {
			if err := out.Encode(node); err != nil {
				return err
			}
		}
		return nil
	case len(args) == 2 && (args[0] == "answers" || args[0] == "agree"):
		if os.Getenv(inside) == "" {
			return again(args)
		}
		all, err := answers(args[1])
		if err != nil {
			return err
		}
		if args[0] == "agree" {
			return agree(all)
		}
		return json.NewEncoder(os.Stdout).Encode(all)
	default:
		return fmt.Errorf("%s", usage)
	}
}

// again runs this program with a mount namespace of its own.
func again(args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	return cmd.Run()
}
