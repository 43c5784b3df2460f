// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/module_failure.hpp"

#include <cstdint>
#include <new>
#include <string_view>

#include <fmt/core.h>
#include <sys/resource.h>

#include "troupe/actors/node/process_info.hpp"
#include "troupe/actors/protocol/errors.hpp"
#include "troupe/comm/device.hpp"
#include "troupe/core/exception.hpp"
#include "troupe/core/units.hpp"

namespace troupe::model {

namespace {

/// How allocators of libtorch begin: `[enforce fail at alloc_cpu.cpp:75] ...
/// DefaultCPUAllocator: not enough memory: you tried to allocate ...` and
/// `CUDA out of memory. Tried to allocate ...`.
constexpr std::string_view words[] = {"DefaultCPUAllocator: not enough memory",
                                      "DefaultCPUAllocator: can't allocate "
                                      "memory",
                                      "CUDA out of memory"};

/// The most this process ever held in RAM.
std::uint64_t peak_bytes() {
  rusage use{};
  if (::getrusage(RUSAGE_SELF, &use) != 0)
    return 0;
  return static_cast<std::uint64_t>(use.ru_maxrss) * kib;
}

bool is_out_of_memory(const std::exception& x) {
  if (dynamic_cast<const std::bad_alloc*>(&x))
    return true;
  std::string_view text{x.what()};
  for (auto word : words)
    if (text.find(word) != std::string_view::npos)
      return true;
  return false;
}

error out_of_memory(const std::exception& x) {
  // The first line: libtorch appends a stack of calls.
  std::string_view text{x.what()};
  text = text.substr(0, text.find('\n'));
  return {errc::exhausted,
          fmt::format("out of memory: {}; its process holds {}, {} at its peak",
                      text, format_bytes(node::resident_bytes()),
                      format_bytes(peak_bytes()))};
}

} // namespace

error as_answer(const error& why, const comm::device* own) {
  if (why.code() == errc::timed_out)
    return protocol::given_up(why);
  if (why.code() != errc::lost)
    return why;
  if (own != nullptr)
    if (auto here = own->memory(); !here && here.error().code() == errc::lost)
      return {errc::failed,
              fmt::format("{} ({})", why.message(), here.error().message())};
  return {errc::aborted, why.message()};
}

error failure_of(const std::exception& x, const comm::device* own) {
  return is_out_of_memory(x) ? out_of_memory(x) : as_answer(error_from(x), own);
}

} // namespace troupe::model
