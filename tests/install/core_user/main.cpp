// SPDX-License-Identifier: Apache-2.0
// A program outside of the tree that uses the installed core: a batch goes
// through its wire form and comes back.

#include <cstdio>

#include "troupe/core/batch.hpp"
#include "troupe/core/units.hpp"

int main() {
  troupe::tensor ids{troupe::dtype::int64, {3, 2}};
  std::int64_t next = 0;
  for (auto& x : ids.values<std::int64_t>())
    x = next++;
  troupe::batch sent;
  sent.set("ids", ids);
  auto wire = troupe::encode(sent);
  auto back = troupe::decode_batch(wire);
  if (!back || !back->find("ids")->same_elements(ids)) {
    std::fputs("the batch did not come back as it was sent\n", stderr);
    return 1;
  }
  std::printf("a batch of %s came back as it was sent\n",
              troupe::format_bytes(wire.size()).c_str());
}
