// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/batch.hpp"

#include <cassert>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace troupe {

namespace {

constexpr std::uint32_t batch_magic = 0x31'42'52'54; // "TRB1"

std::size_t align_up(std::size_t offset) {
  return (offset + buffer::alignment - 1) / buffer::alignment
         * buffer::alignment;
}

} // namespace

void batch::set(std::string name, tensor value) {
  tensors_.insert_or_assign(std::move(name), std::move(value));
}

void batch::set_meta(std::string name, metadata_value value) {
  meta_.insert_or_assign(std::move(name), std::move(value));
}

const tensor* batch::find(std::string_view name) const noexcept {
  auto i = tensors_.find(name);
  return i == tensors_.end() ? nullptr : &i->second;
}

result<tensor> batch::get(std::string_view name) const {
  if (auto* x = find(name))
    return *x;
  std::vector<std::string_view> names;
  for (const auto& [key, value] : tensors_)
    names.emplace_back(key);
  return fail(errc::invalid,
              fmt::format("batch has no tensor '{}'; it has: {}", name,
                          names.empty()
                            ? "none"
                            : fmt::to_string(fmt::join(names, ", "))));
}

const metadata_value* batch::find_meta(std::string_view name) const noexcept {
  auto i = meta_.find(name);
  return i == meta_.end() ? nullptr : &i->second;
}

double batch::meta_number(std::string_view name,
                          double otherwise) const noexcept {
  auto* x = find_meta(name);
  if (!x)
    return otherwise;
  if (auto* i = std::get_if<std::int64_t>(x))
    return static_cast<double>(*i);
  if (auto* d = std::get_if<double>(x))
    return *d;
  return otherwise;
}

result<std::int64_t> batch::rows() const {
  std::int64_t count = -1;
  for (const auto& [name, x] : tensors_) {
    if (x.extents().empty())
      return fail(errc::invalid,
                  fmt::format("tensor '{}' is a scalar: it has no rows", name));
    if (count >= 0 && x.extents()[0] != count)
      return fail(errc::invalid,
                  fmt::format("tensor '{}' has {} rows, others have {}", name,
                              x.extents()[0], count));
    count = x.extents()[0];
  }
  return count < 0 ? 0 : count;
}

std::uint64_t batch::byte_size() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& [name, x] : tensors_)
    sum += x.storage().size();
  return sum;
}

result<std::vector<batch>> batch::split(std::size_t parts) const {
  if (parts == 0)
    return fail(errc::invalid, "a batch cannot be split into 0 parts");
  auto count = rows();
  if (!count)
    return fail(count.error());
  std::vector<batch> out(parts);
  auto share = *count / static_cast<std::int64_t>(parts);
  auto rest = *count % static_cast<std::int64_t>(parts);
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < parts; ++i) {
    auto end = begin + share + (static_cast<std::int64_t>(i) < rest ? 1 : 0);
    out[i].meta_ = meta_;
    for (const auto& [name, x] : tensors_)
      out[i].tensors_.emplace(name, x.rows(begin, end));
    begin = end;
  }
  return out;
}

result<batch> batch::concat(std::span<const batch> parts) {
  if (parts.empty())
    return batch{};
  if (parts.size() == 1)
    return parts[0];
  batch out;
  out.meta_ = parts[0].meta_;
  for (const auto& [name, first] : parts[0].tensors_) {
    if (first.extents().empty())
      return fail(errc::invalid,
                  fmt::format("tensor '{}' is a scalar: it has no rows", name));
    auto extents = first.extents();
    extents[0] = 0;
    for (const auto& part : parts) {
      auto* x = part.find(name);
      if (!x || part.tensors_.size() != parts[0].tensors_.size())
        return fail(errc::invalid,
                    fmt::format("batches to join differ in their tensors "
                                "('{}')",
                                name));
      auto inner = x->extents();
      if (!inner.empty())
        inner[0] = first.extents()[0];
      if (x->type() != first.type() || inner != first.extents())
        return fail(errc::invalid,
                    fmt::format("tensor '{}' is {} in one batch and {} in "
                                "another",
                                name, to_string(first), to_string(*x)));
      extents[0] += x->extents()[0];
    }
    tensor joined{first.type(), extents};
    auto* at = joined.bytes().data();
    for (const auto& part : parts) {
      auto from = part.find(name)->bytes();
      if (!from.empty())
        std::memcpy(at, from.data(), from.size());
      at += from.size();
    }
    out.tensors_.emplace(name, std::move(joined));
  }
  return out;
}

void batch::merge(const batch& other) {
  for (const auto& [name, x] : other.tensors_)
    tensors_.insert_or_assign(name, x);
  for (const auto& [name, x] : other.meta_)
    meta_.insert_or_assign(name, x);
}

namespace {

bytes encode_header(const batch& x) {
  bytes header;
  encoder out{header};
  out.put(batch_magic);
  out.put(static_cast<std::uint32_t>(x.meta().size()));
  for (const auto& [name, value] : x.meta()) {
    out.put(std::string_view{name});
    out.put(static_cast<std::uint8_t>(value.index()));
    if (auto* text = std::get_if<std::string>(&value))
      out.put(std::string_view{*text});
    else if (auto* number = std::get_if<double>(&value))
      out.put(*number);
    else
      out.put(std::get<std::int64_t>(value));
  }
  out.put(static_cast<std::uint32_t>(x.tensors().size()));
  for (const auto& [name, value] : x.tensors()) {
    out.put(std::string_view{name});
    out.put(static_cast<std::uint8_t>(value.type()));
    out.put(static_cast<std::uint8_t>(value.extents().size()));
    for (auto extent : value.extents())
      out.put(extent);
  }
  return header;
}

tl::unexpected<error> corrupt(std::string_view what) {
  return fail(errc::corrupt, fmt::format("batch bytes are damaged: {}", what));
}

bool get_meta(decoder& in, std::string& name, metadata_value& value) {
  std::uint8_t kind = 0;
  if (!in.get(name) || !in.get(kind))
    return false;
  if (kind == 0) {
    std::int64_t number = 0;
    if (!in.get(number))
      return false;
    value = number;
  } else if (kind == 1) {
    double number = 0;
    if (!in.get(number))
      return false;
    value = number;
  } else if (kind == 2) {
    std::string text;
    if (!in.get(text))
      return false;
    value = std::move(text);
  } else {
    return false;
  }
  return true;
}

struct tensor_header {
  std::string name;
  dtype type = dtype::uint8;
  shape extents;
};

bool get_tensor_header(decoder& in, tensor_header& x) {
  std::uint8_t type = 0;
  std::uint8_t rank = 0;
  if (!in.get(x.name) || !in.get(type) || !in.get(rank))
    return false;
  x.type = static_cast<dtype>(type);
  x.extents.resize(rank);
  for (auto& extent : x.extents)
    if (!in.get(extent))
      return false;
  return is_known(x.type);
}

} // namespace

std::uint64_t encoded_size(const batch& x) {
  std::uint64_t size = encode_header(x).size();
  for (const auto& [name, value] : x.tensors())
    size = align_up(size) + value.storage().size();
  return size;
}

void encode_into(const batch& x, std::span<std::byte> out) {
  auto header = encode_header(x);
  assert(out.size() >= header.size());
  std::memcpy(out.data(), header.data(), header.size());
  auto at = header.size();
  for (const auto& [name, value] : x.tensors()) {
    auto start = align_up(at);
    // The gap may travel to another process: it must not carry old memory.
    if (start <= out.size())
      std::memset(out.data() + at, 0, start - at);
    auto from = value.bytes();
    if (!from.empty())
      std::memcpy(out.data() + start, from.data(), from.size());
    at = start + from.size();
  }
}

buffer encode(const batch& x) {
  auto out = buffer::allocate(encoded_size(x));
  encode_into(x, out.bytes());
  return out;
}

result<batch> decode_batch(const buffer& source) {
  decoder in{source.bytes()};
  std::uint32_t magic = 0;
  std::uint32_t count = 0;
  if (!in.get(magic) || magic != batch_magic)
    return corrupt("no batch header");
  batch out;
  if (!in.get(count))
    return corrupt("truncated");
  for (std::uint32_t i = 0; i < count; ++i) {
    std::string name;
    metadata_value value;
    if (!get_meta(in, name, value))
      return corrupt("bad metadata");
    out.set_meta(std::move(name), std::move(value));
  }
  if (!in.get(count))
    return corrupt("truncated");
  std::vector<tensor_header> headers;
  for (std::uint32_t i = 0; i < count; ++i) {
    tensor_header header;
    if (!get_tensor_header(in, header))
      return corrupt("bad tensor header");
    headers.push_back(std::move(header));
  }
  auto at = source.size() - in.left();
  for (auto& header : headers) {
    auto elements = element_count(header.extents);
    std::size_t size = 0;
    if (!elements
        || __builtin_mul_overflow(static_cast<std::size_t>(*elements),
                                  size_of(header.type), &size))
      return corrupt("bad tensor extents");
    at = align_up(at);
    if (at > source.size() || size > source.size() - at)
      return corrupt("tensor elements are missing");
    auto x = tensor::from_buffer(header.type, std::move(header.extents),
                                 source.slice(at, size));
    if (!x)
      return corrupt(x.error().message());
    out.set(std::move(header.name), std::move(*x));
    at += size;
  }
  return out;
}

} // namespace troupe
