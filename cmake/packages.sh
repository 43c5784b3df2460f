# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# How Debian packages are installed. Read by `dev`.

# Prints those of the arguments that dpkg does not report as installed.
missing_packages() {
  local have
  have=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null |
    awk '$2 == "installed" { print $1 }' || true)
  local package
  for package in "$@"; do
    grep -qxF -- "$package" <<<"$have" || printf '%s\n' "$package"
  done
}

# Runs a command as root: directly, or through sudo.
as_root() {
  if [[ $(id -u) == 0 ]]; then
    "$@"
  else
    sudo "$@"
  fi
}

can_be_root() {
  [[ $(id -u) == 0 ]] && return 0
  command -v sudo >/dev/null || return 1
  # With a terminal sudo may ask for a password, without one it must not.
  [[ -t 0 ]] || sudo -n true 2>/dev/null
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 apt-get \
    -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 \
    "$@" </dev/null
}

# Reads what apt-get says while it installs and prints how far it is: one line
# that changes on a terminal, else a line every hundred packages.
apt_progress() {
  local line total='?' fetched=0 done=0 end=$'\n'
  [[ -t 1 ]] && end=$'\r'
  while IFS= read -r line; do
    case $line in
      *' newly installed'*)
        total=${line#*upgraded, }
        total=${total%% *}
        ;;
      'Need to get '*) echo "    $line" ;;
      Get:*)
        fetched=$((fetched + 1))
        [[ $end == $'\r' || $((fetched % 100)) == 0 ]] &&
          printf '    fetched %d of %s%s' "$fetched" "$total" "$end"
        ;;
      'Setting up '*)
        done=$((done + 1))
        [[ $end == $'\r' || $((done % 100)) == 0 ]] &&
          printf '    installed %d of %s%s' "$done" "$total" "$end"
        ;;
    esac
  done
  [[ $end == $'\r' ]] && echo
  return 0
}

# Installs the packages; on failure prints the end of what apt-get said.
apt_install() {
  local log status=0
  log=$(mktemp)
  apt_get -q install -y --no-install-recommends "$@" 2>&1 | tee "$log" |
    apt_progress || status=1
  ((status == 0)) || tail -n 25 "$log" >&2
  rm -f "$log"
  return "$status"
}

# True if apt's lists, as they are, offer every one of the packages.
apt_knows() {
  local offers
  offers=$(apt-cache policy "$@" 2>/dev/null |
    awk '/Candidate:/ && $2 != "(none)"' | wc -l)
  ((offers >= $#))
}

# Installs what is missing of the packages named; touches nothing, not even
# apt's lists, when all are there.
install_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    warn "this is not a Debian system, so nothing was installed. Needed:"
    printf '  %s\n' "$*" | fold -s -w 76 >&2
    return 0
  fi
  local missing
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]} == 0)) && return 0
  local command="apt-get install -y --no-install-recommends ${missing[*]}"
  if ! can_be_root; then
    warn "packages are missing, and installing them needs root. As root, run:"
    printf '\n  apt-get update\n  %s\n\n' "$command" >&2
    die "then run ./dev again"
  fi
  say "Install ${#missing[@]} Debian packages: ${missing[*]}"
  apt_knows "${missing[@]}" || apt_get -qq update
  if ! apt_install "${missing[@]}"; then
    # Lists older than the archive name files that are gone.
    say "That failed: once more with fresh package lists"
    apt_get -qq update
    apt_install "${missing[@]}" ||
      die "apt-get could not install: ${missing[*]} (its reasons are above)"
  fi
}

# Says which BLAS libtorch will load, and makes it OpenBLAS if it would be the
# reference one.
settle_blas() {
  command -v update-alternatives >/dev/null || return 0
  local name path fast
  name=$(update-alternatives --get-selections 2>/dev/null |
    awk '$1 ~ /^libblas\.so\.3/ && !n++ { print $1 }')
  [[ -n $name ]] || return 0
  path=$(update-alternatives --query "$name" |
    awk '$1 == "Value:" { print $2 }')
  if [[ $path == */blas/libblas.so.3 ]]; then
    fast=$(update-alternatives --list "$name" | grep -m1 openblas || true)
    if [[ -n $fast ]] && can_be_root; then
      as_root update-alternatives --set "$name" "$fast" >/dev/null
      path=$fast
    else
      warn "the reference BLAS is selected: training will be ten times" \
        "slower. As root: update-alternatives --config $name"
    fi
  fi
  local kind
  kind=$(basename "$(dirname "$path")")
  [[ $kind == blas ]] && kind='reference BLAS'
  echo "BLAS: $kind ($path)"
}
