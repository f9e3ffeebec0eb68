package main

import (
	"fmt"
	"strings"
	"testing"

	"pantry/shop/kinds"
)

func TestEmptyPantryNeedsEverything(t *testing.T) {
	var want, got strings.Builder
	for _, kind := range kinds.All {
		fmt.Fprintf(&want, "%s %d %s\n", kind.Name, kind.Least, kind.Unit)
	}
	if err := list(strings.NewReader(""), &got); err != nil || got.String() != want.String() {
		t.Fatalf("got %q, %v; want %q", got.String(), err, want.String())
	}
}

func TestEnoughIsNotBought(t *testing.T) {
	kind := kinds.All[0]
	var got strings.Builder
	line := fmt.Sprintf("%s %d %s\n", kind.Name, kind.Least, kind.Unit)
	if err := list(strings.NewReader(line), &got); err != nil || strings.Contains(got.String(), kind.Name) {
		t.Fatalf("got %q, %v", got.String(), err)
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	if err := list(strings.NewReader("jam many jars\n"), &strings.Builder{}); err == nil {
		t.Fatal("it was taken")
	}
}
