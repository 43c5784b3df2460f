#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# bundle_test.sh SOURCE SCRATCH: does the folder of `./dev bundle` stand alone?
# It is configured without CUDA and libtorch, which are the other machine's,
# while CMake must not look into the folders of this one.
set -euo pipefail

source=$1 scratch=$2
for program in dpkg objdump; do
  command -v "$program" >/dev/null || {
    echo "skipped: this machine has no $program"
    exit 77
  }
done

failures=0
wrong() {
  echo "bundle_test: $*" >&2
  failures=$((failures + 1))
}

rm -rf "$scratch"
bash "$source/cmake/bundle/make.sh" "$scratch/bundle"
bundle=$(cd "$scratch/bundle" && pwd -P)
libraries=$bundle/deps/usr/lib/x86_64-linux-gnu

# -- what is in it -------------------------------------------------------------

mib=$(du -sm "$bundle" | cut -f1)
((mib < 60)) || wrong "it has $mib MiB"
foreign=$(find "$bundle/deps" -iname '*nccl*' -o -iname 'libcud*' \
  -o -iname '*libtorch*' -o -iname 'libc.so*' -o -iname 'libstdc++*')
[[ -z $foreign ]] || wrong "holds what is the machine's: $foreign"

# Everything that a library needs is in the bundle or of every system.
for file in "$libraries"/lib*.so.* "$bundle"/deps/fallback/lib*.so.*; do
  [[ -e $file ]] || wrong "the link $file leads nowhere"
  for needed in $(objdump -p "$file" | awk '$1 == "NEEDED" { print $2 }'); do
    [[ $needed =~ ^(ld-linux|lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+)[-.]) ]] ||
      [[ -e $libraries/$needed || -e $bundle/deps/fallback/$needed ]] ||
      wrong "$file needs $needed"
  done
done

# -- does CMake find all of it there -------------------------------------------

TROUPE_TORCH='' cmake -S "$bundle/troupe" -B "$scratch/build" -G Ninja \
  -C "$bundle/prefix.cmake" -DTROUPE_WITH_CUDA=OFF -DTROUPE_WITH_TORCH=OFF \
  -DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF \
  -DCMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH=ON >"$scratch/configure.log" 2>&1 || {
  tail -n 40 "$scratch/configure.log" >&2
  wrong "it cannot be configured"
}
for name in CAF_INCLUDE_DIR CAF_core_LIBRARY CAF_io_LIBRARY Gloo_DIR fmt_DIR \
  spdlog_DIR yaml-cpp_DIR nlohmann_json_DIR CLI11_DIR tl-expected_DIR \
  xxHash_LIBRARY OPENSSL_SSL_LIBRARY benchmark_DIR Boost_DIR; do
  grep -qE "^$name:[A-Z]+=$bundle/" "$scratch/build/CMakeCache.txt" ||
    wrong "$(grep "^$name:" "$scratch/build/CMakeCache.txt" ||
      echo "$name was not looked for")"
done

# -- does a program of it run --------------------------------------------------

cat >"$scratch/program.cpp" <<'END_OF_SOURCE'
#include <caf/actor_system_config.hpp>
#include <fmt/format.h>
#include <gloo/transport/tcp/device.h>
#include <spdlog/spdlog.h>
int main() {
  caf::actor_system_config config;
  auto device = gloo::transport::tcp::CreateDevice("127.0.0.1");
  spdlog::set_level(spdlog::level::off);
  fmt::print("{}\n", device->str().empty() ? "no device" : "runs");
}
END_OF_SOURCE
# libibverbs and its own are of this machine or of none.
c++ -std=c++20 -DFMT_SHARED -DSPDLOG_SHARED_LIB -DSPDLOG_COMPILED_LIB \
  -DSPDLOG_FMT_EXTERNAL -isystem "$bundle/deps/usr/include" \
  -isystem "$source/comm/gloo/compat" "$scratch/program.cpp" \
  -o "$scratch/program" -L"$libraries" -lcaf_core -lgloo -lspdlog -lfmt \
  -Wl,--disable-new-dtags \
  -Wl,-rpath,"$libraries:$bundle/deps/fallback"
said=$("$scratch/program")
[[ $said == runs ]] || wrong "a program says '$said'"
elsewhere=$(ldd "$scratch/program" | grep -E 'caf|gloo|spdlog|fmt|hiredis' |
  grep -vF "$libraries/" || true)
[[ -z $elsewhere ]] || wrong "a program loads from elsewhere: $elsewhere"

rm -rf "$scratch"
((failures == 0))
