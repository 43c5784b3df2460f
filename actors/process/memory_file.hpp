// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/buffer.hpp"
#include "troupe/core/error.hpp"

namespace troupe::process {

/// Makes an anonymous memory file of `size` bytes, has `fill` write it and
/// seals it: nobody can change, shrink or grow it any more. Fails with
/// `errc::exhausted`.
[[nodiscard]] result<unique_fd>
make_sealed_file(std::uint64_t size,
                 const std::function<void(std::span<std::byte>)>& fill);

/// Maps all of a memory file whose size the sender says is `size`. Fails with
/// `errc::corrupt` if it is another, or if the sender could still shrink or
/// change the file.
///
/// The mapping is private: who writes into it gets pages of its own. It ends
/// with the last buffer that shares it.
[[nodiscard]] result<buffer> map_sealed_file(const unique_fd& file,
                                             std::uint64_t size);

} // namespace troupe::process
