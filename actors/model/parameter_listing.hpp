// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "troupe/actors/model/parameter_list.hpp"
#include "troupe/actors/protocol/weights.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm {

class device;

} // namespace troupe::comm

namespace troupe::model {

/// A module's parameters as messages tell them.
[[nodiscard]] std::vector<protocol::parameter_info>
describe_parameters(const parameter_list& xs);

/// Names are unique, each memory is as long as type and shape say, and all lie
/// in memory of one kind; segments are checked where layouts are made. Fails
/// with `errc::invalid`, naming the tensor. Complexity: O(n log n).
[[nodiscard]] result<void> check_parameters(const parameter_list& xs);

/// They lie where `parameter::device` says: a sync that believes a wrong word
/// ends the process, or all work on the device. Fails with `errc::invalid`,
/// naming the tensor and what to write.
[[nodiscard]] result<void> check_places(const parameter_list& xs,
                                        const comm::device& host);

/// Fails with `errc::invalid` and the first tensor that is not what it was:
/// its name, type, shape or segments.
[[nodiscard]] result<void>
check_unchanged(const std::vector<protocol::parameter_info>& before,
                const parameter_list& now);

/// The parameters of a manifest from `first` on that fit one message, at least
/// one.
[[nodiscard]] std::vector<protocol::parameter_info>
listing_chunk(const std::vector<protocol::parameter_info>& all,
              std::uint64_t first);

/// True if they lie on a device; all of a rank do or none.
[[nodiscard]] bool is_on_device(const parameter_list& xs) noexcept;

/// The arenas that the parameters lie in, each once.
[[nodiscard]] std::vector<std::shared_ptr<comm::shared_memory>>
arenas_of(const parameter_list& xs);

/// What of them lies on a device and in no arena.
[[nodiscard]] std::vector<std::span<std::byte>>
private_device_memory(const parameter_list& xs);

} // namespace troupe::model
