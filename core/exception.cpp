// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/exception.hpp"

#include <utility>

#include <tl/expected.hpp>

namespace troupe {

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
  return {errc::failed, x.what()};
}

} // namespace troupe
