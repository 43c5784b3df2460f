// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/comm/endpoint.hpp"

namespace troupe::comm::devices {

/// What one rank brings to a rendezvous.
struct endpoint_parts {
  /// Through the processes' memory.
  endpoint_ptr processes;
  /// Between devices; null where that cannot be, and then `why_not` says why.
  endpoint_ptr devices;
  std::string why_not;
  cuda::device_uuid device{};
  /// Lets the first's communicator take memory of the device.
  std::function<result<communicator_ptr>(communicator_ptr)> widen;
};

/// An endpoint whose ranks agree in `connect` how they talk: from device to
/// device if all of them can and no two share one, else through their
/// processes. All see the same addresses, so all come to the same answer.
class agreed_endpoint final : public endpoint {
public:
  explicit agreed_endpoint(endpoint_parts parts);

  [[nodiscard]] const bytes& address() const noexcept override;

  [[nodiscard]] result<communicator_ptr>
  connect(const std::vector<bytes>& addresses, deadline until) override;

  void abort() noexcept override;

private:
  endpoint_parts parts_;
  bytes address_;
};

} // namespace troupe::comm::devices
