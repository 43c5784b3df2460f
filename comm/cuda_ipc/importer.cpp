// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda_ipc/importer.hpp"

#include <utility>

#include "troupe/comm/cuda_ipc/process_tables.hpp"

namespace troupe::comm::cuda_ipc {

namespace {

class imported_memory final : public foreign_memory {
public:
  imported_memory(tables_ptr tables, const memory_name& name,
                  const std::byte* begin) noexcept
    : tables_(std::move(tables)),
      name_(name),
      begin_(begin) {
    // nop
  }

  ~imported_memory() override { tables_->close(name_); }

  imported_memory(const imported_memory&) = delete;
  imported_memory& operator=(const imported_memory&) = delete;

  std::span<const std::byte> memory() const noexcept override {
    return {begin_ + name_.offset, name_.size};
  }

private:
  tables_ptr tables_;
  memory_name name_;
  const std::byte* begin_;
};

class importer final : public memory_opener {
public:
  explicit importer(tables_ptr tables) noexcept : tables_(std::move(tables)) {
    // nop
  }

  result<std::shared_ptr<foreign_memory>>
  open(std::span<const std::byte> name) override {
    auto what = decode(name);
    if (!what)
      return fail(what.error());
    auto begin = tables_->open(*what);
    if (!begin)
      return fail(begin.error());
    return std::make_shared<imported_memory>(tables_, *what, *begin);
  }

private:
  tables_ptr tables_;
};

} // namespace

std::shared_ptr<memory_opener> make_importer(const cuda::runtime_ptr& runtime) {
  return std::make_shared<importer>(process_tables::of(runtime));
}

} // namespace troupe::comm::cuda_ipc
