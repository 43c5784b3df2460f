#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh [--keep DIR] [SEED...]
# run.sh [--keep DIR] --ci
#
# The promise of README.md on a machine that has nothing: makes a minimal
# Debian 12 with debootstrap, copies a clean checkout into it, and runs
# `./dev run --seed N` inside, as root without sudo, once a seed. With no seeds
# given: 1, 2, 3 and two drawn at random. Checks each run's summary.json.
#
# --ci runs .ci/run inside instead, with nothing compiled before, and says how
# long it took beside the 90 minutes that it may take.
#
# Needs root, debootstrap, git, and about 6 GB of disk, 20 GB with --ci. Uses
# the package mirror that this machine's apt uses. --keep DIR keeps the
# downloaded packages and the summaries, or ci.log, in DIR for the next time.

set -euo pipefail

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
suite=bookworm
keep=
ci=0
seeds=()
while (($#)); do
  case $1 in
    --keep)
      mkdir -p "$2"
      keep=$(cd "$2" && pwd -P)
      shift
      ;;
    --ci) ci=1 ;;
    -h | --help)
      sed -n '3,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit
      ;;
    *[!0-9]* | '')
      echo "run.sh: '$1' is no seed (see --help)" >&2
      exit 2
      ;;
    *) seeds+=("$1") ;;
  esac
  shift
done
if ((ci && ${#seeds[@]})); then
  echo "run.sh: --ci takes no seeds (see --help)" >&2
  exit 2
fi
((${#seeds[@]} || ci)) || seeds=(1 2 3 $((RANDOM + 1000)) $((RANDOM + 1000)))

[[ $(id -u) == 0 ]] || {
  echo "run.sh: debootstrap and chroot need root" >&2
  exit 2
}
command -v debootstrap >/dev/null || {
  echo "run.sh: debootstrap is missing: apt-get install debootstrap" >&2
  exit 2
}

# -- the machine ---------------------------------------------------------------

home=$(mktemp -d "${TMPDIR:-/tmp}/troupe-chroot.XXXXXX")
machine=$home/machine
mkdir "$machine"

# Ends what still runs inside, takes the mounts away, then the files: in this
# order, or the removal would walk into the host's /dev.
clean_up() {
  local entry
  for entry in /proc/[0-9]*; do
    if [[ $(readlink "$entry/root" 2>/dev/null) == "$machine" ]]; then
      kill -KILL "${entry#/proc/}" 2>/dev/null || true
    fi
  done
  # The deepest first, and also what was mounted inside.
  local at
  awk -v root="$machine" '$5 == root || index($5, root "/") == 1 { print $5 }' \
    /proc/self/mountinfo | sort -r | while IFS= read -r at; do
    umount "$at" 2>/dev/null || umount -l "$at"
  done
  if grep -qE " $machine[/ ]" /proc/self/mountinfo; then
    echo "run.sh: something is still mounted below $machine; left alone" >&2
    return
  fi
  rm -rf "$home"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
# A file system of its own: programs inside may mount.
mount --bind "$machine" "$machine"
mount --make-private "$machine"

# Prints the URL of the first archive that this machine's apt reads for the
# suite, in the old format or in the new one.
mirror() {
  # Stanzas of deb822 files end with an empty line; so does every file, here.
  local file
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
    /etc/apt/sources.list.d/*.sources; do
    [[ -f $file ]] && cat "$file" && echo
  done | awk -v suite="$suite" '
    function stanza(  i, n, all) {
      n = split(suites, all, " ")
      for (i = 1; i <= n; ++i)
        if (all[i] == suite && uri != "" && found == "") found = uri
      uri = suites = ""
    }
    $1 == "deb" {
      i = 2
      if ($i ~ /^\[/) { while ($i !~ /\]$/) ++i; ++i }
      if ($(i + 1) == suite && found == "") found = $i
    }
    $1 == "URIs:" { uri = $2 }
    $1 == "Suites:" { suites = $0 }
    NF == 0 { stanza() }
    END { stanza(); print found }'
}

mirror=$(mirror)
[[ -n $mirror ]] || {
  echo "run.sh: this machine's apt has no archive of $suite" >&2
  exit 2
}

echo "==> debootstrap $suite"
cache=()
if [[ -n $keep ]]; then
  mkdir -p "$keep/debs"
  cache=(--cache-dir="$keep/debs")
fi
debootstrap --variant=minbase "${cache[@]}" "$suite" "$machine" "$mirror" \
  >"$home/debootstrap.log" 2>&1 || {
  tail -n 20 "$home/debootstrap.log" >&2
  exit 1
}

mount -t proc proc "$machine/proc"
mount --bind /dev "$machine/dev"
mount --bind /dev/pts "$machine/dev/pts" 2>/dev/null || true
mount -t tmpfs tmpfs "$machine/dev/shm" 2>/dev/null || true
if [[ -n $keep ]]; then
  mkdir -p "$keep/debs" "$machine/var/cache/apt/archives"
  mount --bind "$keep/debs" "$machine/var/cache/apt/archives"
  mkdir -p "$keep/debs/partial"
fi
cp /etc/resolv.conf "$machine/etc/resolv.conf"
# debootstrap leaves it to the installer.
printf '%s\n' '127.0.0.1 localhost' '::1 localhost' >"$machine/etc/hosts"
# How this machine's apt reaches its mirror (a proxy, say) holds inside too.
grep -lE '^(Acquire|APT::Authentication)' /etc/apt/apt.conf.d/* 2>/dev/null |
  xargs -r cp -t "$machine/etc/apt/apt.conf.d/" || true
# So does whom this machine trusts, under a name that no package writes.
certificates=()
if [[ -f /etc/ssl/certs/ca-certificates.crt ]]; then
  cp -L /etc/ssl/certs/ca-certificates.crt "$machine/etc/machine-trusts.crt"
  certificates=(PIP_CERT=/etc/machine-trusts.crt)
fi

# -- the checkout --------------------------------------------------------------

# What is committed and nothing else, as a clone would bring it.
mkdir "$machine/troupe"
git -c safe.directory="$source_dir" -C "$source_dir" archive HEAD |
  tar -x -C "$machine/troupe"

inside() {
  chroot "$machine" /usr/bin/env -i HOME=/root TERM=dumb LANG=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    "${certificates[@]}" "$@"
}

# field FILE NAME: the value of a top-level field of a JSON object.
field() {
  sed -nE "s/.*\"$2\" *: *(\"[^\"]*\"|[a-z0-9.+-]+).*/\\1/p" "$1" | sed -n 1p
}

# -- the runs ------------------------------------------------------------------

failures=0
report=()
if ((ci)); then
  echo "==> .ci/run"
  began=$SECONDS
  status=0
  inside CI=true bash -c "cd /troupe && exec bash .ci/run" </dev/null \
    2>&1 | tee "$home/ci.log" || status=${PIPESTATUS[0]}
  whole=$(((SECONDS - began + 59) / 60))
  [[ -z $keep ]] || cp "$home/ci.log" "$keep/ci.log"
  if ((status == 0 && whole <= 90)); then
    report+=(".ci/run: passed ($whole of 90 minutes)")
  else
    report+=(".ci/run: FAILED: exit code $status after $whole of 90 minutes")
    failures=1
  fi
fi
for seed in "${seeds[@]}"; do
  echo "==> ./dev run --seed $seed"
  began=$SECONDS
  status=0
  touch "$home/before"
  inside bash -c "cd /troupe && exec ./dev run --seed $seed" </dev/null \
    2>&1 | tee "$home/output" || status=${PIPESTATUS[0]}
  whole=$((SECONDS - began))
  summary=$(find "$machine/troupe/runs" -name summary.json \
    -newer "$home/before" 2>/dev/null | head -n 1 || true)
  if ((status != 0)) || [[ -z $summary ]]; then
    report+=("seed $seed: FAILED: exit code $status, summary: ${summary:-none}")
    failures=$((failures + 1))
    continue
  fi
  [[ -z $keep ]] || cp "$summary" "$keep/summary-$seed.json"
  start=$(field "$summary" warm_start_accuracy)
  end=$(field "$summary" final_accuracy)
  wall=$(field "$summary" wall_seconds)
  same=$(field "$summary" weights_identical)
  verdict=$(awk -v a="$start" -v b="$end" -v w="$wall" -v s="$same" 'BEGIN {
    if (b - a < 0.40) why = why " rise below 0.40;"
    if (b < 0.90) why = why " final accuracy below 0.90;"
    if (w == "" || w > 300) why = why " more than 300 s;"
    if (s != "true") why = why " weights differ;"
    print why == "" ? "passed" : "FAILED:" why
  }')
  report+=("seed $seed: $verdict (accuracy $start -> $end in $wall s, weights \
identical: $same, $whole s with setup and build)")
  [[ $verdict == passed ]] || failures=$((failures + 1))
done

left=$(find /proc/[0-9]*/root -maxdepth 0 -lname "$machine" 2>/dev/null || true)
if [[ -n $left ]]; then
  report+=("FAILED: processes were left behind: ${left//$'\n'/ }")
  failures=$((failures + 1))
fi

echo "==> Fresh Debian 12"
printf '  %s\n' "${report[@]}"
((failures == 0))
