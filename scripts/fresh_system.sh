#!/usr/bin/env bash
# The README's two commands on a minimal Debian, in a folder that is removed at the end:
#   scripts/fresh_system.sh bookworm|trixie [COMMAND...]      COMMAND: scripts/quickstart.sh and scripts/test.sh unless others are given
# Needs root and debootstrap, and takes what HEAD holds. Packages come from the mirror that this machine's apt uses, Python's from where
# this machine's pip has them. Only /proc is mounted, in a mount namespace of its own: no end of this script, however early, leaves a
# mount behind. FRESH_FOLDER names the parent of the folder (/var/tmp), MIRROR another archive.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib.sh

suite=${1:-}
[ "$suite" = bookworm ] || [ "$suite" = trixie ] || die "[fresh_system.sh] expected bookworm or trixie, received ${suite:-nothing}"
shift
[ $# -gt 0 ] || set -- scripts/quickstart.sh scripts/test.sh
[ "$(id -u)" -eq 0 ] || die "[fresh_system.sh] expected root, received $(id -un)"
have debootstrap || die "[fresh_system.sh] expected debootstrap, received none: apt-get install debootstrap"

# The script runs itself in namespaces of its own. This first part stays outside, where nothing is mounted, and removes the folder.
if [ -z "${FRESH_SYSTEM_WORK:-}" ]; then
  work=$(mktemp -d "${FRESH_FOLDER:-/var/tmp}/fresh-$suite.XXXXXX")
  trap 'rm -rf --one-file-system "$work"' EXIT
  FRESH_SYSTEM_WORK=$work unshare --mount --propagation private --pid --fork --kill-child scripts/fresh_system.sh "$suite" "$@" &
  inner=$!
  trap 'kill -KILL "$inner"; wait "$inner" || exit 130' INT TERM HUP
  code=0
  wait "$inner" || code=$?
  exit "$code"
fi
work=$FRESH_SYSTEM_WORK root=$FRESH_SYSTEM_WORK/root

# The archive of Debian's packages that apt uses here.
mirror() {
  # shellcheck disable=SC2016  # apt-get reads these
  apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 'Component: main' | awk '$2 ~ /^[a-z]+$/ { print $1; exit }'
}

# debootstrap makes the few devices that a system needs by itself.
make_system() {
  local from=${MIRROR:-$(mirror)}
  [ -n "$from" ] || die "[apt] expected a source of Debian's main packages, received none (MIRROR=ADDRESS names one)"
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$from" >"$work/log" 2>&1 || {
    tail -n 20 "$work/log" >&2
    die "[debootstrap] expected a system in $root, received the lines above"
  }
  mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
  apt-config dump | grep -iE '^Acquire::(http|https)::.*proxy' >"$root/etc/apt/apt.conf.d/99host" || true
  cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
}

# Certificates that this machine trusts beside Debian's own, and pip's settings.
pass_settings_on() {
  local file
  if [ -d /usr/local/share/ca-certificates ]; then
    cp -r /usr/local/share/ca-certificates "$root/usr/local/share/"
    chroot "$root" update-ca-certificates >/dev/null 2>&1
  fi
  for file in /etc/pip.conf "$HOME/.pip/pip.conf" "$HOME/.config/pip/pip.conf"; do
    [ ! -e "$file" ] || install -D -m 644 "$file" "$root/${file/#$HOME//root}"
  done
}

in_system() { # COMMAND...
  local kept=() name
  for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ${!PIP_@}; do
    [ -z "${!name:-}" ] || kept+=("$name=${!name}")
  done
  chroot "$root" /usr/bin/env -i "${kept[@]}" PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 sh -c "cd /root/dept && $*"
}

copy_clone() {
  mkdir -p "$root/root/dept"
  git archive HEAD | tar -x -C "$root/root/dept"
}

timed "$suite" make_system
pass_settings_on
copy_clone
for command; do timed "$suite: $command" in_system "$command"; done
say "fresh_system.sh: $suite, all green, $SECONDS s"
