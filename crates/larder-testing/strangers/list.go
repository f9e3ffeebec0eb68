package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// Node is one name of a tree.
type Node struct {
	// Path from the root, which itself is `.`; bytes other than printable ASCII, and `%`, as `%XX`.
	Path string `json:"path"`
	// Type is one of `d`, `f`, `l`, `c`, `b`, `p`, `s`.
	Type string `json:"type"`
	// Mode has the permissions, setuid, setgid and sticky.
	Mode uint32 `json:"mode"`
	UID  uint32 `json:"uid"`
	GID  uint32 `json:"gid"`
	// Size and SHA256 are of a file's content; Text is that content if it is short and has nothing odd.
	Size   uint64  `json:"size"`
	SHA256 string  `json:"sha256,omitempty"`
	Text   *string `json:"text,omitempty"`
	// Seconds and Nanos are the time of modification.
	Seconds int64  `json:"seconds"`
	Nanos   int64  `json:"nanos"`
	Target  string `json:"target,omitempty"`
	Major   uint32 `json:"major"`
	Minor   uint32 `json:"minor"`
	// Xattrs has values as hexadecimal digits, or `LENGTH:SHA-256` of those above 64 bytes.
	Xattrs map[string]string `json:"xattrs,omitempty"`
	// Group is the same number for all names of one inode, 0 if it has one name only.
	Group int `json:"group"`

	raw   []byte
	inode [2]uint64
}

// list reads a tree, sorted by path. It walks by descriptors, so a path may be longer than the system's limit.
func list(root string) ([]*Node, error) {
	var nodes []*Node
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open `%s`: %w", root, err)
	}
	dir := os.NewFile(uintptr(fd), root)
	defer dir.Close()
	node, err := read(fd, ".", []byte("."))
	if err != nil {
		return nil, err
	}
	nodes = append(nodes, node)
	if nodes, err = walk(dir, nil, nodes); err != nil {
		return nil, err
	}
	sort.Slice(nodes, func(a, b int) bool { return bytes.Compare(nodes[a].raw, nodes[b].raw) < 0 })
	number(nodes)
	return nodes, nil
}

func walk(dir *os.File, at []byte, nodes []*Node) ([]*Node, error) {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		path := append(append([]byte{}, at...), name...)
		node, err := read(int(dir.Fd()), name, path)
		if errors.Is(err, unix.ENOENT) {
			// An overlay lists a whiteout in a folder that has nothing below it, and then says that there is no such name.
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("`%s`: %w", escape(path), err)
		}
		nodes = append(nodes, node)
		if node.Type != "d" {
			continue
		}
		fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("`%s`: %w", escape(path), err)
		}
		child := os.NewFile(uintptr(fd), name)
		nodes, err = walk(child, append(path, '/'), nodes)
		child.Close()
		if err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

var letters = map[uint32]string{
	unix.S_IFDIR: "d", unix.S_IFREG: "f", unix.S_IFLNK: "l", unix.S_IFCHR: "c", unix.S_IFBLK: "b", unix.S_IFIFO: "p", unix.S_IFSOCK: "s",
}

func read(fd int, name string, path []byte) (*Node, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, err
	}
	node := &Node{
		Path: escape(path), Type: letters[st.Mode&unix.S_IFMT], Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid,
		Seconds: st.Mtim.Sec, Nanos: st.Mtim.Nsec, raw: path, inode: [2]uint64{uint64(st.Dev), st.Ino},
	}
	var err error
	switch node.Type {
	case "f":
		err = content(fd, name, node)
	case "l":
		target := make([]byte, 8192)
		var n int
		n, err = unix.Readlinkat(fd, name, target)
		node.Target = escape(target[:max(n, 0)])
	case "c", "b":
		node.Major, node.Minor = unix.Major(st.Rdev), unix.Minor(st.Rdev)
	}
	if err == nil {
		node.Xattrs, err = xattrs(fmt.Sprintf("/proc/self/fd/%d/%s", fd, name))
	}
	return node, err
}

func content(fd int, name string, node *Node) error {
	in, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(in), name)
	defer file.Close()
	hash := sha256.New()
	var head bytes.Buffer
	size, err := io.Copy(io.MultiWriter(hash, &limited{&head, 65}), file)
	if err != nil {
		return err
	}
	node.Size, node.SHA256 = uint64(size), hex.EncodeToString(hash.Sum(nil))
	if text := head.String(); size <= 64 && !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '"' }) {
		node.Text = &text
	}
	return nil
}

// limited keeps the first bytes and swallows the rest.
type limited struct {
	to   *bytes.Buffer
	left int
}

func (l *limited) Write(data []byte) (int, error) {
	keep := min(l.left, len(data))
	l.to.Write(data[:keep])
	l.left -= keep
	return len(data), nil
}

func xattrs(path string) (map[string]string, error) {
	names := make([]byte, 1<<16)
	n, err := unix.Llistxattr(path, names)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("xattrs: %w", err)
	}
	found := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimRight(string(names[:n]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		value := make([]byte, 1<<16)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return nil, fmt.Errorf("xattr `%s`: %w", name, err)
		}
		text := hex.EncodeToString(value[:n])
		if n > 64 {
			sum := sha256.Sum256(value[:n])
			text = fmt.Sprintf("%d:%s", n, hex.EncodeToString(sum[:]))
		}
		found[escape([]byte(name))] = text
	}
	return found, nil
}

// number gives the names of one inode a number, in the order in which they appear.
func number(nodes []*Node) {
	names := map[[2]uint64]int{}
	for _, node := range nodes {
		names[node.inode]++
	}
	groups := map[[2]uint64]int{}
	for _, node := range nodes {
		if node.Type == "d" || names[node.inode] < 2 {
			continue
		}
		if groups[node.inode] == 0 {
			groups[node.inode] = len(groups) + 1
		}
		node.Group = groups[node.inode]
	}
}

func escape(path []byte) string {
	var out strings.Builder
	for _, c := range path {
		if c <= ' ' || c >= 0x7f || c == '%' || c == '"' {
			fmt.Fprintf(&out, "%%%02x", c)
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}
