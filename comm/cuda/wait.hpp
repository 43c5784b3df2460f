// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

#include "troupe/comm/cuda/call_site.hpp"
#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::cuda {

/// Waits until all that stood before `event` is done. CUDA's own waits know no
/// deadline and cannot be aborted, so this one asks: for some microseconds
/// without a pause, then with pauses that grow to 50 us.
///
/// Fails with `timed_out` at the deadline, with `aborted` once `*aborted`, and
/// as `check` does if the device fails. The work goes on in the first two cases:
/// memory that it uses must stay until it is known to be done.
[[nodiscard]] result<void> wait(runtime& api, event_handle event,
                                deadline until,
                                const std::atomic<bool>* aborted = nullptr,
                                call_site where = call_site::current());

} // namespace troupe::comm::cuda
