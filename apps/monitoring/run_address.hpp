// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "troupe/core/error.hpp"

namespace troupe::monitoring {

/// Where a run tells how it stands.
struct run_address {
  std::string host;
  std::uint16_t port = 0;

  bool operator==(const run_address&) const = default;
};

/// `"127.0.0.1:4100"`
[[nodiscard]] std::string to_string(const run_address& x);

/// Reads `HOST:PORT`, where HOST is an IPv4 address or `localhost`.
[[nodiscard]] result<run_address> parse_address(std::string_view text);

/// What the user means by `target`: an address, or the name or folder of a run
/// in `output_dir`, whose folder says where it is. Fails with `errc::invalid`,
/// or `errc::unavailable` for a run that is not going on.
[[nodiscard]] result<run_address>
find_address(std::string_view target, const std::filesystem::path& output_dir);

} // namespace troupe::monitoring
