// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/planning/layout_file.hpp"

#include <limits>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "troupe/actors/config/text_file.hpp"
#include "troupe/actors/config/yaml_tree.hpp"

namespace troupe::planning {

namespace {

using nlohmann::json;
using planner::weights::shared_layout;

/// Reads one object of the file; the first problem is kept.
class object_reader {
public:
  object_reader(const json& x, std::string where)
    : x_(x),
      where_(std::move(where)) {
    if (!x.is_object())
      complain("is no object");
  }

  [[nodiscard]] bool good() const noexcept { return complaint_.empty(); }

  [[nodiscard]] tl::unexpected<error> failure() const {
    return fail(errc::invalid, complaint_);
  }

  void name_place(std::string where) { where_ = std::move(where); }

  [[nodiscard]] const std::string& place() const noexcept { return where_; }

  std::string text(const char* key) {
    const auto* x = find(key);
    if (x == nullptr)
      return {};
    if (x->is_string())
      return x->get<std::string>();
    complain(key, "is no string");
    return {};
  }

  std::int32_t id(const char* key) {
    const auto* x = find(key);
    if (x == nullptr)
      return 0;
    auto value = number(*x);
    if (value && *value >= 0
        && *value <= std::numeric_limits<std::int32_t>::max())
      return static_cast<std::int32_t>(*value);
    complain(key, "is no number from 0 to 2147483647");
    return 0;
  }

  std::vector<std::int64_t> numbers(const char* key) {
    const auto* list = array(key);
    if (list == nullptr)
      return {};
    std::vector<std::int64_t> out;
    for (const auto& x : *list)
      if (auto value = number(x))
        out.push_back(*value);
      else
        complain(key, "holds something that is no integer of 64 bits");
    return out;
  }

  /// Null if there is none.
  const json* array(const char* key) {
    const auto* x = find(key);
    if (x == nullptr || x->is_array())
      return x;
    complain(key, "is no list");
    return nullptr;
  }

  void complain(std::string_view what) {
    if (complaint_.empty())
      complaint_ = fmt::format("{}: {}", where_, what);
  }

private:
  void complain(const char* key, std::string_view what) {
    complain(fmt::format("'{}' {}", key, what));
  }

  const json* find(const char* key) {
    if (!x_.is_object())
      return nullptr;
    auto found = x_.find(key);
    if (found != x_.end())
      return &*found;
    complain(fmt::format("the key '{}' is missing", key));
    return nullptr;
  }

  static std::optional<std::int64_t> number(const json& x) {
    constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
    if (!x.is_number_integer()
        || (x.is_number_unsigned() && x.get<std::uint64_t>() > most))
      return std::nullopt;
    return x.get<std::int64_t>();
  }

  const json& x_;
  std::string where_;
  std::string complaint_;
};

result<weight_segment> read_segment(const json& in, std::string where) {
  object_reader reader{in, std::move(where)};
  weight_segment out;
  out.logical = reader.text("logical");
  auto begin = reader.numbers("begin");
  auto end = reader.numbers("end");
  out.local_begin = reader.numbers("local_begin");
  if (!reader.good())
    return reader.failure();
  auto box = box::make(begin, end);
  if (!box)
    return fail(box.error().within(
      fmt::format("{}: {}", reader.place(), config::quote(out.logical))));
  out.where = *box;
  return out;
}

result<stored_tensor> read_tensor(const json& in, const std::string& rank,
                                  std::size_t number) {
  object_reader reader{in, fmt::format("{}: tensor {}", rank, number)};
  stored_tensor out;
  out.name = reader.text("name");
  if (!out.name.empty())
    reader.name_place(
      fmt::format("{}: tensor {}", rank, config::quote(out.name)));
  auto type = reader.text("dtype");
  if (reader.good() && !from_string(type, out.type))
    reader.complain(fmt::format("the dtype {} is unknown; one of: float32, "
                                "bfloat16, float16, float64, int64, int32, "
                                "uint8, boolean",
                                config::quote(type)));
  out.extents = reader.numbers("shape");
  const auto* segments = reader.array("segments");
  if (!reader.good())
    return reader.failure();
  for (std::size_t i = 0; i < segments->size(); ++i) {
    auto segment = read_segment((*segments)[i], fmt::format("{}: segment {}",
                                                            reader.place(), i));
    if (!segment)
      return fail(segment.error());
    out.segments.push_back(std::move(*segment));
  }
  return out;
}

result<rank_layout> read_rank(const json& in, const std::string& file,
                              std::size_t number) {
  object_reader reader{in, fmt::format("{}: entry {} of ranks", file, number)};
  rank_layout out;
  out.rank = rank_id{reader.id("rank")};
  if (reader.good())
    reader.name_place(fmt::format("{}: rank {}", file, out.rank.value()));
  out.node = node_id{reader.id("node")};
  out.device = device_id{reader.id("device")};
  const auto* tensors = reader.array("tensors");
  if (!reader.good())
    return reader.failure();
  for (std::size_t i = 0; i < tensors->size(); ++i) {
    auto tensor = read_tensor((*tensors)[i], reader.place(), i);
    if (!tensor)
      return fail(tensor.error());
    out.tensors.push_back(std::move(*tensor));
  }
  return out;
}

} // namespace

result<shared_layout> parse_layout(std::string_view text,
                                   std::string_view file_name) {
  std::string file{file_name};
  auto data = json::parse(text, nullptr, false);
  if (data.is_discarded())
    return fail(errc::invalid, fmt::format("{}: this is no JSON", file));
  object_reader reader{data, file};
  weight_layout out;
  out.model = reader.text("model");
  const auto* ranks = reader.array("ranks");
  if (!reader.good())
    return reader.failure();
  for (std::size_t i = 0; i < ranks->size(); ++i) {
    auto rank = read_rank((*ranks)[i], file, i);
    if (!rank)
      return fail(rank.error());
    out.ranks.push_back(std::move(*rank));
  }
  data = nullptr;
  auto checked = shared_layout::make(std::move(out));
  if (!checked)
    return fail(checked.error().within(file));
  return checked;
}

result<shared_layout> load_layout(const std::filesystem::path& file) {
  auto text = config::read_text_file(file, max_layout_bytes);
  if (!text)
    return fail(text.error());
  if (text->size() > max_layout_bytes)
    return fail(errc::invalid,
                fmt::format("{}: larger than any layout", file.string()));
  return parse_layout(*text, file.string());
}

} // namespace troupe::planning
