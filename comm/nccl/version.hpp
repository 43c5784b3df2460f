// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "troupe/core/error.hpp"

namespace troupe::comm::nccl {

/// The oldest NCCL that Troupe uses: `ncclCommSplit`, non-blocking
/// communicators and `ncclCommRegister` are all there.
inline constexpr std::int32_t oldest_version = 21900;

/// Since when `NCCL_LAUNCH_ORDER_IMPLICIT` is known.
inline constexpr std::int32_t implicit_order_version = 22600;

/// Since when kernels that NCCL starts in order may run side by side.
inline constexpr std::int32_t overlapping_order_cuda = 12030;

/// `22809` is `2.28.9`.
[[nodiscard]] std::string version_text(std::int32_t version);

/// Whether a program compiled against `compiled` may use the library `found`
/// at run time: not older than `oldest_version`, of the same major version, and
/// not older than what its header promised, because calls that the header has
/// may be missing. `errc::unavailable` says what to change.
[[nodiscard]] result<void> check_versions(std::int32_t compiled,
                                          std::int32_t found);

/// The NCCL libraries among the files `images`: different files only, whatever
/// they are called.
[[nodiscard]] std::vector<std::string>
nccl_images(const std::vector<std::string>& images);

/// Of this process: what the dynamic linker has loaded.
[[nodiscard]] std::vector<std::string> loaded_images();

/// `errc::invalid` if the process has more than one NCCL: libtorch brings one
/// of its own, and two in a process hold each other's devices. A program that
/// links NCCL statically has none to see here.
[[nodiscard]] result<void> one_nccl(const std::vector<std::string>& images);

/// What the user or the machine's administrator has chosen for `name`, as NCCL
/// itself looks it up: the environment, then the file `NCCL_CONF_FILE` (or
/// `~/.nccl.conf` if that is not set), then `/etc/nccl.conf`. NCCL lets the
/// environment win, so what we set there would hide a choice in a file.
///
/// Source: NCCL user guide, environment variables; src/misc/param.cc.
[[nodiscard]] std::optional<std::string> chosen_setting(const char* name);

/// NCCL's own messages (`NCCL_DEBUG`, which stays the user's choice) go to
/// `PREFIX.HOST.PID.log` instead of the terminal, by `NCCL_DEBUG_FILE`, beside
/// our logs. Leaves a file that was chosen (`chosen_setting`) alone. Before NCCL
/// is used, as it reads its settings once; from main, before threads.
void route_debug_output(const std::string& prefix);

/// Asks NCCL to start kernels of several communicators on a device in the order
/// of the host's calls (`NCCL_LAUNCH_ORDER_IMPLICIT=1`) if `version` knows that,
/// `cuda` (the older of runtime and driver, as 12030; NCCL itself also counts
/// the one that it was built with, which it does not tell) lets started kernels
/// run side by side, and nobody has chosen otherwise (`chosen_setting`). An
/// older CUDA would let each kernel wait for the *end* of the one before, and
/// then links of one sync that cross between two devices wait for each other:
/// there NCCL is not asked.
///
/// Threads of a process that launch on one device at the same moment are an
/// error to NCCL then; they have no order that it could keep. A sync's two
/// directions are such threads and need none, so that is switched off too
/// (`NCCL_LAUNCH_RACE_FATAL=0`).
///
/// Gives back what a person should know, empty if all is well. Before NCCL is
/// used.
[[nodiscard]] std::string order_launches(std::int32_t version,
                                         std::int32_t cuda);

} // namespace troupe::comm::nccl
