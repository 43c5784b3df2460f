// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/module.hpp"

namespace troupe {

worker_context::~worker_context() = default;

module::~module() = default;

void module::setup(worker_context&) {
  // nop
}

parameter_list module::parameters() {
  return {};
}

void module::on_sync(weight_version) {
  // nop
}

void module::save_checkpoint(checkpoint_writer&) {
  // nop
}

void module::load_checkpoint(const checkpoint_reader&) {
  // nop
}

void module::onload() {
  // nop
}

void module::offload() {
  // nop
}

} // namespace troupe
