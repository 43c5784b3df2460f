// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/application.hpp"

namespace troupe {

void data_source::seek(const batch&) {
  // nop
}

config::app_schema application::schema() const {
  config::app_schema out;
  out.name = name;
  out.options = options;
  out.syncs = syncs;
  for (const auto& model : models.models()) {
    config::model_schema x;
    x.name = model->name();
    x.trainable = model->trainable();
    x.cpu = model->on_cpu();
    x.options = model->options();
    out.models.push_back(std::move(x));
  }
  return out;
}

} // namespace troupe
