// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/device_stream.hpp"

#include "troupe/apps/torch/cuda_stream.hpp"

namespace troupe::torch {

namespace {

class cpu_stream : public device_stream {
public:
  dlpack::device device() const noexcept override { return {}; }

  std::optional<pool_figures> pool() const override { return std::nullopt; }

  void release() override {
    // nop
  }

private:
  void enter() override {
    // nop
  }

  void leave() noexcept override {
    // nop
  }

  void synchronize() override {
    // nop
  }
};

} // namespace

device_stream::~device_stream() = default;

std::unique_ptr<device_stream> make_device_stream(dlpack::device where) {
  if (where.type == dlpack::device_type::cuda)
    return make_cuda_stream(where.id);
  return std::make_unique<cpu_stream>();
}

void synchronize(dlpack::device where) {
  if (where.type == dlpack::device_type::cuda)
    synchronize_cuda(where.id);
}

} // namespace troupe::torch
