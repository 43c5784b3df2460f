// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include <gloo/context.h>

#include "troupe/bench/sync/sync_load.hpp"
#include "troupe/bench/sync/two_processes.hpp"

namespace troupe::bench {

/// Gloo between both processes, as the library gives it: what our links are
/// compared with. Both ends call the same, and begin together.
class bare_gloo {
public:
  [[nodiscard]] static result<bare_gloo> connect(const two_processes& with);

  /// Seconds that the source's tensors take, one `send` and `recv` each.
  [[nodiscard]] result<double> send(const sync_tensors& tensors);

  /// Seconds to broadcast the source's tensors, one by one.
  [[nodiscard]] result<double> broadcast(const sync_tensors& tensors);

private:
  bare_gloo(const two_processes& with, std::shared_ptr<::gloo::Context> group)
    : with_(with),
      group_(std::move(group)) {
    // nop
  }

  template <class F>
  result<double> timed(const sync_tensors& tensors, F f);

  const two_processes& with_;
  std::shared_ptr<::gloo::Context> group_;
};

} // namespace troupe::bench
