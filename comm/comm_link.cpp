// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/comm_link.hpp"

#include <utility>

namespace troupe::comm {

comm_link::comm_link(communicator_ptr carrier, rank_id peer, std::uint32_t tag,
                     std::string backend)
  : carrier_(std::move(carrier)),
    peer_(peer),
    tag_(tag),
    backend_(std::move(backend)) {
  // nop
}

std::string_view comm_link::backend() const noexcept {
  return backend_;
}

result<void> comm_link::push(std::span<const std::byte> data, deadline until) {
  return carrier_->send(data, peer_, tag_, until);
}

result<void> comm_link::pull(std::span<std::byte> data, deadline until) {
  return carrier_->recv(data, peer_, tag_, until);
}

void comm_link::abort() noexcept {
  carrier_->abort();
}

} // namespace troupe::comm
