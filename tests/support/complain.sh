# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For tests that are scripts, which source this first: a folder `$work` that ends
# with the script, and what it has to say.

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# complain WORD...: something is not as it should be.
complain() {
  printf 'FAILED: %s\n' "$*"
  failures=$((failures + 1))
}

# eventually SECONDS COMMAND...: tries it until it is true, for so long.
eventually() {
  local -i left=$((20 * $1))
  shift
  until "$@" 2>/dev/null; do
    ((left-- > 0)) || return 1
    read -rt 0.05 <> <(:) || true
  done
}

# conclude [FILE...]: ends the script; if something failed, with 1 and what the
# files hold.
conclude() {
  if ((failures == 0)); then
    echo "all passed"
    exit 0
  fi
  (($# == 0)) || sed 's/^/| /' "$@"
  exit 1
}
