// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda/check.hpp"

#include <fmt/format.h>

namespace troupe::comm::cuda {

namespace {

thread_local std::string working_for;

/// From the room on: where the sources stood when they were compiled is of no
/// interest.
std::string_view short_path(std::string_view file) {
  auto at = file.rfind("/comm/");
  if (at == std::string_view::npos)
    at = file.rfind('/');
  return at == std::string_view::npos ? file : file.substr(at + 1);
}

} // namespace

bool sticky(status code) noexcept {
  switch (code) {
    case 214: // cudaErrorECCUncorrectable
    case 220: // cudaErrorNvlinkUncorrectable
    case 226: // cudaErrorContained
    case codes::illegal_address:
    case 702: // cudaErrorLaunchTimeout
    case 709: // cudaErrorContextIsDestroyed
    case 710: // cudaErrorAssert
    case 714: // cudaErrorHardwareStackError
    case 715: // cudaErrorIllegalInstruction
    case 716: // cudaErrorMisalignedAddress
    case 717: // cudaErrorInvalidAddressSpace
    case 718: // cudaErrorInvalidPc
    case codes::launch_failure:
    case 721: // cudaErrorTensorMemoryLeak
      return true;
    default: return false;
  }
}

errc reaction_to(status code) noexcept {
  if (sticky(code))
    return errc::lost;
  switch (code) {
    case codes::out_of_memory: return errc::exhausted;
    case codes::insufficient_driver:
    case codes::no_device:
    case codes::invalid_device:
    case 46: // cudaErrorDevicesUnavailable
    case 802: // cudaErrorSystemNotReady
    case 803: // cudaErrorSystemDriverMismatch
      return errc::unavailable;
    default: return errc::failed;
  }
}

error describe(runtime& api, status code, std::string_view call,
               call_site where) {
  auto last = api.take_last_error();
  // A call that fails for a reason of its own on a dead device.
  if (!sticky(code) && sticky(last))
    code = last;
  auto text = fmt::format("{}: {} ({}) at {}:{}", call, api.text_of(code),
                          api.name_of(code), short_path(where.file),
                          where.line);
  if (!working_for.empty())
    text += fmt::format(" on {}", working_for);
  if (sticky(code))
    text += "; this process cannot use the device any more: start it anew";
  return error{reaction_to(code), std::move(text)};
}

void ignore(runtime& api, status code) noexcept {
  if (code != codes::success)
    (void) api.take_last_error();
}

scoped_rank::scoped_rank(std::string who)
  : outer_(std::exchange(working_for, std::move(who))) {
  // nop
}

scoped_rank::scoped_rank(int rank) : scoped_rank(fmt::format("rank {}", rank)) {
  // nop
}

scoped_rank::~scoped_rank() {
  working_for = std::move(outer_);
}

const std::string& scoped_rank::current() noexcept {
  return working_for;
}

} // namespace troupe::comm::cuda
