// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "troupe/comm/cuda/call_site.hpp"
#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::cuda {

/// True for errors after which nothing works in this process any more: its
/// context on the device is gone. Every later call gives the same error.
[[nodiscard]] bool sticky(status code) noexcept;

/// The reaction that a failed call asks for: `exhausted` (memory), `unavailable`
/// (no device, no driver that fits, nobody is let in), `lost` (sticky: the
/// process must begin anew), else `failed`.
[[nodiscard]] errc reaction_to(status code) noexcept;

/// For people: what of the machine to look at or to change after `code`; empty
/// where the error is not the machine's.
///
/// Source: CUDA Runtime API, cudaError_t; MPS and Fabric Manager user guides.
[[nodiscard]] std::string_view remedy_for(status code) noexcept;

/// The error of a call that gave `code`, which is no success:
///
///   cudaMalloc(4096): out of memory (cudaErrorMemoryAllocation) at
///   comm/cuda/memory.cpp:40 on rank 3
///
/// with `remedy_for` behind it.
///
/// Clears the thread's last error, so that a later check does not meet it
/// again.
[[nodiscard]] error describe(runtime& api, status code, std::string_view call,
                             call_site where = call_site::current());

/// What a call of CUDA gave, as a result. `call` is its text, or a function
/// that makes the text and is called if it is needed:
///
///   check(api, api.allocate(out, bytes), "cudaMalloc")
///   check(api, api.allocate(out, bytes),
///         [&] { return fmt::format("cudaMalloc({})", bytes); })
///
/// `api` is a `runtime` or a pointer to one.
template <class Api, class Call>
[[nodiscard]] result<void> check(Api&& api, status code, Call&& call,
                                 call_site where = call_site::current()) {
  if (code == codes::success)
    return {};
  auto& at = [&]() -> runtime& {
    if constexpr (std::is_base_of_v<runtime, std::remove_cvref_t<Api>>)
      return api;
    else
      return *api;
  }();
  if constexpr (std::is_invocable_v<Call>)
    return fail(describe(at, code, std::forward<Call>(call)(), where));
  else
    return fail(describe(at, code, std::forward<Call>(call), where));
}

/// For destructors, which have nobody to tell: clears the last error. What was
/// wrong shows in the next call, if it matters.
void ignore(runtime& api, status code) noexcept;

/// Who this thread works for, e.g. `rank 3`, in the errors of `describe`, until
/// the end of the scope. Scopes may nest.
class scoped_rank {
public:
  explicit scoped_rank(std::string who);

  explicit scoped_rank(int rank);

  ~scoped_rank();

  scoped_rank(const scoped_rank&) = delete;
  scoped_rank& operator=(const scoped_rank&) = delete;

  /// Empty outside of all scopes.
  [[nodiscard]] static const std::string& current() noexcept;

private:
  std::string outer_;
};

} // namespace troupe::comm::cuda
