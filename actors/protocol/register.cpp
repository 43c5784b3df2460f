// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/protocol/register.hpp"

namespace troupe::protocol {

void register_messages(caf::actor_system_config& config) {
  register_block<caf::id_block::troupe>(config);
  config.add_error_category(caf::atom("troupe"),
                            [](std::uint8_t code, caf::atom_value,
                               const caf::message& context) {
                              std::string text{
                                to_string(static_cast<errc>(code))};
                              if (context.match_elements<std::string>())
                                text += ": " + context.get_as<std::string>(0);
                              return text;
                            });
}

} // namespace troupe::protocol
