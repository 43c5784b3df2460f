#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make.sh FOLDER: `./dev bundle`. On a Debian 12 that has Troupe's packages, a
# folder for a machine that has CUDA, PyTorch, CMake, Ninja and g++ but no
# package of ours:
#
#   FOLDER/build.sh          builds there
#   FOLDER/prefix.cmake      what build.sh hands to CMake
#   FOLDER/troupe/           the sources
#   FOLDER/deps/usr/         headers, libraries and CMake packages of Debian
#   FOLDER/deps/fallback/    libraries that are the machine's own if it has them
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
most_mib=60

die() {
  echo "bundle: $*" >&2
  exit 1
}

command -v dpkg >/dev/null || die "needs Debian 12: the libraries are its packages"
[[ $(uname -m) == x86_64 ]] || die "makes bundles of x86-64 only"
mkdir -p "$1"
to=$(cd "$1" && pwd -P)
deps=$to/deps/usr
arch=lib/x86_64-linux-gnu

# -- sources -------------------------------------------------------------------

mkdir -p "$to/troupe" "$deps/include" "$deps/$arch" "$to/deps/fallback"
cd "$root"
cp -a .ci .clang-format CMakeLists.txt CMakePresets.json LICENSE README.md dev \
  cmake docs launchers core planner comm actors apps bench tests "$to/troupe/"
cp cmake/bundle/build.sh cmake/bundle/prefix.cmake "$to/"

# -- headers and CMake packages ------------------------------------------------

packages=(
  libcaf-dev libgloo-dev libspdlog-dev libfmt-dev libexpected-dev
  libyaml-cpp-dev nlohmann-json3-dev libcli11-dev libxxhash-dev libssl-dev
  libbenchmark-dev
)
for package in "${packages[@]}"; do
  dpkg -L "$package" | while IFS= read -r file; do
    [[ -d $file ]] && continue
    case $file in
      # What Debian keeps apart by architecture lies with the rest here: the
      # compiler of another system does not look there.
      /usr/include/x86_64-linux-gnu/*) as=include/${file#/usr/include/*/} ;;
      /usr/include/* | /usr/share/cmake/* | /usr/lib/*/cmake/*) as=${file#/usr/} ;;
      /usr/lib/*.so | /usr/lib/*benchmark_main.a) as=$arch/$(basename "$file") ;;
      *) continue ;;
    esac
    mkdir -p "$deps/$(dirname "$as")"
    # A link between libraries is taken care of below.
    [[ $file == *.so ]] || cp -L "$file" "$deps/$as"
  done
done

# Of Boost the 162 MB that Debian has are not needed: what the tests include,
# and what those headers choose from by compiler.
{
  grep -rhoE --include='*.hpp' --include='*.cpp' '#include <boost/[^>]+>' \
    core planner comm actors apps bench tests | sort -u
} >"$to/boost.cpp"
mkdir -p "$deps/include/boost"
c++ -std=c++20 -DBOOST_TEST_DYN_LINK -M "$to/boost.cpp" |
  grep -oE '/usr/include/boost/[^ ]+' | sort -u | while IFS= read -r file; do
  mkdir -p "$deps/$(dirname "${file#/usr/}")"
  cp "$file" "$deps/${file#/usr/}"
done
rm "$to/boost.cpp"
for folder in config mpl/aux_ preprocessor/detail predef; do
  mkdir -p "$deps/include/boost/$folder"
  cp -r "/usr/include/boost/$folder/." "$deps/include/boost/$folder/"
done
mkdir -p "$deps/$arch/cmake"
cp -r /usr/$arch/cmake/Boost-* /usr/$arch/cmake/BoostDetectToolset-* \
  /usr/$arch/cmake/boost_headers-* \
  /usr/$arch/cmake/boost_unit_test_framework-* "$deps/$arch/cmake/"
rm "$deps/$arch"/cmake/boost_unit_test_framework-*/*-static.cmake

# Gloo's package names its library by the absolute path.
# shellcheck disable=SC2016 # CMake's variable
sed -i 's|"/usr/lib/libgloo|"${_IMPORT_PREFIX}/'$arch'/libgloo|g' \
  "$deps"/share/cmake/Gloo/*.cmake
if grep -rlE '"/usr/(lib|include)/[a-z]' "$deps/share/cmake" "$deps/$arch/cmake" |
  xargs -r grep -lE '(IMPORTED_LOCATION|INCLUDE_DIR)[A-Z_]* +"/usr/' | grep .; then
  die "these packages name files of this machine"
fi

# -- libraries -----------------------------------------------------------------

# What comes with every Linux that has a C++ compiler.
system='^(ld-linux|lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+|resolv|util|z))[-.]'
# What belongs to the machine: a driver's counterpart must be of its own system.
machine='^lib(ibverbs|nl-3|nl-route-3)\.so'
never='nccl|cuda|cudnn|cublas|nvrtc|nvidia|torch|libc10'

# library NAME: copies what the linker finds as libNAME.so, under its soname,
# with everything that it needs.
library() {
  local file
  file=$(c++ -print-file-name="lib$1.so")
  [[ -f $file ]] || die "lib$1.so is missing here: ./dev setup"
  file=$(readlink -f "$file")
  loaded "$file"
  ln -sf "$(basename "$file")" "$deps/$arch/lib$1.so"
}

# loaded FILE: copies a library and those that it needs.
loaded() {
  local file=$1 soname folder=$deps/$arch needed path
  soname=$(objdump -p "$file" | awk '$1 == "SONAME" { print $2 }')
  [[ $soname =~ $system ]] && return 0
  [[ $soname =~ $never ]] && die "$soname must not be in a bundle"
  [[ $soname =~ $machine ]] && folder=$to/deps/fallback
  [[ -e $folder/$soname ]] && return 0
  cp "$file" "$folder/$(basename "$file")"
  [[ $(basename "$file") == "$soname" ]] ||
    ln -s "$(basename "$file")" "$folder/$soname"
  for needed in $(objdump -p "$file" | awk '$1 == "NEEDED" { print $2 }'); do
    [[ $needed =~ $system ]] && continue
    path=$(ldd "$file" | awk -v name="$needed" '$1 == name { print $3 }')
    [[ -f $path ]] || die "$needed, which $soname needs, is missing here"
    loaded "$(readlink -f "$path")"
  done
}

for name in caf_core caf_io caf_openssl gloo spdlog fmt yaml-cpp xxhash ssl \
  crypto benchmark boost_unit_test_framework; do
  library "$name"
done

# -- size ----------------------------------------------------------------------

mib=$(du -sm --apparent-size "$to" | cut -f1)
((mib <= most_mib)) || die "$to has $mib MiB, more than $most_mib"
echo "$to: $mib MiB, of which libraries $(du -smL "$deps/$arch" | cut -f1)," \
  "headers $(du -sm "$deps/include" | cut -f1)," \
  "sources $(du -sm "$to/troupe" | cut -f1)"
echo "Copy it (tar -C $to -czf - .) and run build.sh there."
