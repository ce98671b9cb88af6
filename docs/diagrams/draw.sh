#!/bin/sh
# Draws "task manager.png", at the project's top level, from task-manager.svg beside this script.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)

if ! command -v rsvg-convert >/dev/null 2>&1; then
    echo "draw.sh: rsvg-convert is missing. Install it with one of:" >&2
    echo "  apt-get install librsvg2-bin fonts-dejavu-core   (Debian, Ubuntu)" >&2
    echo "  dnf install librsvg2-tools dejavu-sans-fonts     (Fedora)" >&2
    echo "  brew install librsvg                             (macOS)" >&2
    exit 1
fi

rsvg-convert --width 1600 --output "$here/../../task manager.png" "$here/task-manager.svg"
