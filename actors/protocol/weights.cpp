// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/protocol/weights.hpp"

namespace troupe::protocol {

std::string_view to_string(sync_action x) noexcept {
  switch (x) {
    case sync_action::pin: return "pin";
    case sync_action::unpin: return "unpin";
    case sync_action::enroll: return "enroll";
    case sync_action::fence: return "fence";
    case sync_action::swap: return "swap";
    case sync_action::open: return "open";
    case sync_action::reopen: return "reopen";
    case sync_action::own_up: return "own up";
  }
  return "unknown";
}

std::string_view to_string(transfer_mode x) noexcept {
  switch (x) {
    case transfer_mode::in_place: return "in place";
    case transfer_mode::staged: return "staged";
    case transfer_mode::compare: return "compare";
  }
  return "unknown";
}

bool is_program_of(const std::string& program, const std::string& sync) {
  return program == sync || program.starts_with(sync + "/");
}

std::string link_name(const std::string& program, std::uint32_t generation,
                      rank_id source, rank_id destination) {
  return fmt::format("{}#{}:{}>{}", program, generation, source.value(),
                     destination.value());
}

} // namespace troupe::protocol
