#!/usr/bin/env bash
# Builds the image where no registry is reached, on a Debian that debootstrap makes, and trains in it as a user without a
# name. It needs root, debootstrap and buildah, and ten minutes; .ci/run leaves it out. Options are those of a build.
set -euo pipefail
cd "$(dirname "$0")/.."
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot # which work within a container, too
base=$(buildah from scratch)
debootstrap --variant=minbase trixie "$(buildah mount "$base")"
buildah commit --rm "$base" debian:trixie-slim
buildah bud --layers --pull-never --network host "$@" -t face-factory .
image=$(buildah from --pull-never face-factory)
trap 'buildah rm "$image"' EXIT
buildah run --user 4321 "$image" -- make train EPOCHS=1
