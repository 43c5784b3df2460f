// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/exception.hpp"

#include <new>
#include <string_view>
#include <utility>

#include <fmt/core.h>
#include <tl/expected.hpp>

namespace troupe {

namespace {

/// More than a screen, and less than anybody reads: some libraries put whole
/// tensors into their words.
constexpr std::size_t words_max = std::size_t{16} << 10;

} // namespace

exception::exception(error x)
  : std::runtime_error(x.message()),
    why_(std::move(x)) {
  // nop
}

error error_from(const std::exception& x) {
  if (const auto* ours = dynamic_cast<const exception*>(&x))
    return ours->why();
  // Its own words are the same for every error.
  if (const auto* empty = dynamic_cast<const tl::bad_expected_access<error>*>(
        &x))
    return empty->error();
  std::string_view words{x.what()};
  if (dynamic_cast<const std::bad_alloc*>(&x))
    return {errc::exhausted, fmt::format("out of memory: {}", words)};
  if (words.empty())
    return {errc::failed, "it threw an exception that says nothing"};
  if (words.size() > words_max)
    return {errc::failed,
            fmt::format("{} ... and {} bytes more", words.substr(0, words_max),
                        words.size() - words_max)};
  return {errc::failed, std::string{words}};
}

} // namespace troupe
