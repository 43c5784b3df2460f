// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/remote_batches.hpp"

#include <mutex>
#include <string_view>

#include <fmt/core.h>

namespace troupe::node {

protocol::payload to_payload(const net::job_key& x) {
  auto text = x.hex();
  return {text.begin(), text.end()};
}

result<net::job_key> to_key(const protocol::payload& x) {
  return net::job_key::from_hex(
    {reinterpret_cast<const char*>(x.data()), x.size()});
}

result<void> remote_batches::learn(std::string job,
                                   const protocol::job_address_book& book) {
  auto key = to_key(book.key);
  if (!key)
    return fail(key.error());
  auto driver = net::parse_endpoint(book.driver);
  if (!driver)
    return fail(driver.error());
  known x{std::move(job), *key, {}, *driver};
  for (const auto& text : book.nodes) {
    auto node = net::parse_endpoint(text);
    if (!node)
      return fail(node.error());
    x.nodes.push_back(*node);
  }
  std::unique_lock guard{mutex_};
  known_ = std::move(x);
  return {};
}

result<process::fetched_file>
remote_batches::fetch(const process::batch_part& x, std::uint64_t bytes_max,
                      deadline until) {
  std::optional<known> now;
  {
    std::shared_lock guard{mutex_};
    now = known_;
  }
  auto node = x.node.value();
  auto is_driver = x.node == driver_node;
  if (!now
      || (!is_driver
          && (node < 0 || static_cast<std::size_t>(node) >= now->nodes.size())))
    return fail(errc::unavailable,
                fmt::format("nobody knows the way to the batches of node {}",
                            node));
  const auto& gate = is_driver ? now->driver
                               : now->nodes[static_cast<std::size_t>(node)];
  auto file = client_.fetch(gate, now->job, now->key, x.slot, x.incarnation,
                            x.buffer, until, bytes_max);
  if (!file)
    return fail(file.error().within(to_string(gate)));
  return file;
}

} // namespace troupe::node
