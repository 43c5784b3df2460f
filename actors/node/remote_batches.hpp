// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "troupe/actors/net/data_client.hpp"
#include "troupe/actors/net/endpoint.hpp"
#include "troupe/actors/net/job_key.hpp"
#include "troupe/actors/process/batch_store.hpp"
#include "troupe/actors/protocol/process.hpp"

namespace troupe::node {

/// The machine of the driver, where nodes are others.
inline constexpr node_id driver_node{-1};

/// The key as messages carry it.
[[nodiscard]] protocol::payload to_payload(const net::job_key& x);
[[nodiscard]] result<net::job_key> to_key(const protocol::payload& x);

/// Fetches batches of other machines through their gates. Knows nobody until it
/// is told the addresses.
///
/// Threads: any.
class remote_batches final : public process::remote_stores {
public:
  /// Who there is, from now on. Fails with `errc::invalid` for addresses or a
  /// key that are none.
  [[nodiscard]] result<void> learn(std::string job,
                                   const protocol::job_address_book& book);

  [[nodiscard]] result<process::fetched_file>
  fetch(const process::batch_part& x, std::uint64_t bytes_max,
        deadline until) override;

private:
  struct known {
    std::string job;
    net::job_key key;
    std::vector<net::endpoint> nodes;
    net::endpoint driver;
  };

  mutable std::shared_mutex mutex_;
  std::optional<known> known_;
  net::data_client client_;
};

} // namespace troupe::node
