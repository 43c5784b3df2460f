// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/chatlearn/refusal.hpp"

namespace troupe::planner::chatlearn {

std::string_view to_string(refusal_kind x) noexcept {
  switch (x) {
    case refusal_kind::assertion: return "AssertionError";
    case refusal_kind::runtime: return "RuntimeError";
    case refusal_kind::not_implemented: return "NotImplementedError";
    case refusal_kind::key: return "KeyError";
    case refusal_kind::index: return "IndexError";
    case refusal_kind::zero_division: return "ZeroDivisionError";
    case refusal_kind::unsound: return "Unsound";
  }
  return "unknown";
}

error to_error(const refusal& x) {
  return {errc::invalid, x.message};
}

} // namespace troupe::planner::chatlearn
