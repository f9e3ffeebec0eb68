# Fills a pantry through the server at $1 and compares what it says with expected.txt. For a server that has just begun.
set -eu
ask() { python3 -I ask.py "$@"; }

{
  echo "# stock"
  ask post "$1/ledger" 'flour 1500' 'jam 4' 'flour -700'
  ask get "$1/stock"
  echo "# list"
  ask get "$1/list"
  echo "# refused"
  if ask post "$1/ledger" 'jam -5'; then echo "not refused"; fi
  if ask get "$1/cellar"; then echo "not refused"; fi
} | diff expected.txt -
