// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/transfer_plan.hpp"

namespace troupe {

std::string_view to_string(link_kind x) noexcept {
  switch (x) {
    case link_kind::inproc: return "inproc";
    case link_kind::shm: return "shm";
    case link_kind::gloo: return "gloo";
    case link_kind::cuda: return "cuda";
    case link_kind::cuda_ipc: return "cuda_ipc";
    case link_kind::nccl: return "nccl";
  }
  return "unknown";
}

} // namespace troupe
