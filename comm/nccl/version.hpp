// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "troupe/core/error.hpp"

namespace troupe::comm::nccl {

/// The oldest NCCL that Troupe uses: `ncclCommSplit`, non-blocking
/// communicators and `ncclCommRegister` are all there.
inline constexpr std::int32_t oldest_version = 21900;

/// Since when `NCCL_LAUNCH_ORDER_IMPLICIT` is known.
inline constexpr std::int32_t implicit_order_version = 22600;

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

/// NCCL's own messages (`NCCL_DEBUG`, which stays the user's choice) go to
/// `PREFIX.HOST.PID.log` instead of the terminal, by `NCCL_DEBUG_FILE`, beside
/// our logs. Leaves a file that the user named alone. Before NCCL is used, as
/// it reads its settings once; from main, before threads.
void route_debug_output(const std::string& prefix);

/// Asks NCCL to launch kernels of several communicators in the order of the
/// host's calls (`NCCL_LAUNCH_ORDER_IMPLICIT=1`) if `version` knows that and
/// the user has not decided otherwise. Before NCCL is used.
void order_launches(std::int32_t version);

} // namespace troupe::comm::nccl
