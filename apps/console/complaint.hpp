// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace troupe::console {

/// The name that the running program was called by, without folders.
[[nodiscard]] std::string_view program_name() noexcept;

/// Says `text` on standard error behind the program's name: `minimal: ...`.
void complain(std::string_view text);

} // namespace troupe::console
