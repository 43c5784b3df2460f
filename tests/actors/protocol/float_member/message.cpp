// SPDX-License-Identifier: Apache-2.0
// Registers one message whose member has the type TROUPE_TEST_MEMBER. Whether
// this file compiles is the test; nothing runs it.

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include <caf/optional.hpp>
#include <caf/variant.hpp>

#include "troupe/actors/protocol/register.hpp"

namespace float_member {

template <class T>
struct nested {
  std::vector<T> values;
};

template <class Inspector, class T>
typename Inspector::result_type inspect(Inspector& f, nested<T>& x) {
  return f(x.values);
}

struct probe {
  std::string name;
  TROUPE_TEST_MEMBER value;
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, probe& x) {
  return f(caf::meta::type_name("probe"), x.name, x.value);
}

} // namespace float_member

CAF_BEGIN_TYPE_ID_BLOCK(float_member, caf::id_block::troupe::end)
CAF_ADD_TYPE_ID(float_member, (float_member::probe))
CAF_END_TYPE_ID_BLOCK(float_member)

void register_it(caf::actor_system_config& config) {
  troupe::protocol::register_block<caf::id_block::float_member>(config);
}
