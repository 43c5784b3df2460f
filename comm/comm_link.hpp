// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "troupe/comm/communicator.hpp"
#include "troupe/comm/link.hpp"

namespace troupe::comm {

/// One end of a link carried by a communicator's send and recv.
///
/// Each end wraps its own rank's communicator and names the other's rank; both
/// use the same `tag`, unique among the links between the two ranks. The end
/// shares the communicator: whoever uses it, uses it from the thread that uses
/// the end. Aborting the link aborts the whole communicator, and a transfer
/// that fails kills it.
class comm_link final : public link {
public:
  /// `backend` names what carries the communicator, e.g. `"gloo"`.
  comm_link(communicator_ptr carrier, rank_id peer, std::uint32_t tag,
            std::string backend);

  [[nodiscard]] std::string_view backend() const noexcept override;

  [[nodiscard]] result<void> push(std::span<const std::byte> data,
                                  deadline until) override;

  [[nodiscard]] result<void> pull(std::span<std::byte> data,
                                  deadline until) override;

  void abort() noexcept override;

private:
  communicator_ptr carrier_;
  rank_id peer_;
  std::uint32_t tag_;
  std::string backend_;
};

} // namespace troupe::comm
