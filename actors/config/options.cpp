// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/options.hpp"

#include <cmath>
#include <stdexcept>

#include <fmt/core.h>

namespace troupe {

namespace {

/// A bad_variant_access that says which option was asked for what.
class wrong_option_type final : public std::bad_variant_access {
public:
  explicit wrong_option_type(std::string text) : text_(std::move(text)) {
    // nop
  }

  [[nodiscard]] const char* what() const noexcept override {
    return text_.c_str();
  }

private:
  std::string text_;
};

template <class T>
const T& get_as(const option_value& value, std::string_view name) {
  if (auto* ptr = std::get_if<T>(&value))
    return *ptr;
  throw wrong_option_type{fmt::format("option '{}' holds a value of type {}, "
                                      "asked for type {}",
                                      name, type_name(value),
                                      type_name(option_value{T{}}))};
}

} // namespace

std::string_view type_name(const option_value& x) noexcept {
  switch (x.index()) {
    case 0: return "boolean";
    case 1: return "integer";
    case 2: return "number";
    default: return "string";
  }
}

bool number_range::contains(double x) const noexcept {
  constexpr auto infinity = std::numeric_limits<double>::infinity();
  auto enough = least_belongs ? x >= least : x > least;
  return (enough || least == -infinity) && (x < limit || limit == infinity);
}

std::string number_range::describe() const {
  std::string text;
  if (std::isfinite(least))
    text = fmt::format("{} {}", least_belongs ? "at least" : "above", least);
  if (std::isfinite(limit))
    text += fmt::format("{}below {}", text.empty() ? "" : " and ", limit);
  return text.empty() ? "any number" : text;
}

result<void> option_spec::check(const option_value& value) const {
  double x = 0;
  if (auto* integer = std::get_if<std::int64_t>(&value))
    x = static_cast<double>(*integer);
  else if (auto* number = std::get_if<double>(&value))
    x = *number;
  else
    return {};
  if (range.contains(x))
    return {};
  return fail(errc::invalid, fmt::format("must be {}, is {}", range.describe(),
                                         to_string(value)));
}

std::string to_string(const option_value& x) {
  if (auto* flag = std::get_if<bool>(&x))
    return *flag ? "true" : "false";
  if (auto* integer = std::get_if<std::int64_t>(&x))
    return fmt::format("{}", *integer);
  if (auto* number = std::get_if<double>(&x)) {
    auto text = fmt::format("{}", *number);
    // A number stays recognizable as one: 1 becomes 1.0.
    if (text.find_first_not_of("-0123456789") == std::string::npos)
      text += ".0";
    return text;
  }
  if (auto* text = std::get_if<std::string>(&x))
    return *text;
  return {};
}

void options::set(std::string name, option_value value) {
  values_.insert_or_assign(std::move(name), std::move(value));
}

bool options::contains(std::string_view name) const noexcept {
  return values_.find(name) != values_.end();
}

bool options::boolean(std::string_view name) const {
  return get_as<bool>(at(name), name);
}

std::int64_t options::integer(std::string_view name) const {
  return get_as<std::int64_t>(at(name), name);
}

double options::number(std::string_view name) const {
  const auto& value = at(name);
  if (auto* integer = std::get_if<std::int64_t>(&value))
    return static_cast<double>(*integer);
  return get_as<double>(value, name);
}

const std::string& options::string(std::string_view name) const {
  return get_as<std::string>(at(name), name);
}

void options::encode(bytes& out) const {
  encoder sink{out};
  sink.put(static_cast<std::uint32_t>(values_.size()));
  for (const auto& entry : values_) {
    sink.put(std::string_view{entry.first});
    sink.put(static_cast<std::uint8_t>(entry.second.index()));
    if (auto* flag = std::get_if<bool>(&entry.second))
      sink.put(static_cast<std::uint8_t>(*flag ? 1 : 0));
    else if (auto* integer = std::get_if<std::int64_t>(&entry.second))
      sink.put(*integer);
    else if (auto* number = std::get_if<double>(&entry.second))
      sink.put(*number);
    else if (auto* text = std::get_if<std::string>(&entry.second))
      sink.put(std::string_view{*text});
  }
}

result<options> options::decode(std::span<const std::byte> in) {
  auto broken = [] {
    return fail(errc::corrupt, "options do not have the form of options");
  };
  decoder source{in};
  std::uint32_t count = 0;
  if (!source.get(count))
    return broken();
  options out;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::string name;
    std::uint8_t type = 0;
    if (!source.get(name) || !source.get(type) || out.contains(name))
      return broken();
    option_value value;
    auto good = false;
    switch (type) {
      case 0: {
        std::uint8_t flag = 0;
        good = source.get(flag) && flag <= 1;
        value = flag == 1;
        break;
      }
      case 1: {
        std::int64_t integer = 0;
        good = source.get(integer);
        value = integer;
        break;
      }
      case 2: {
        double number = 0;
        good = source.get(number);
        value = number;
        break;
      }
      case 3: {
        std::string text;
        good = source.get(text);
        value = std::move(text);
        break;
      }
      default: break;
    }
    if (!good)
      return broken();
    out.set(std::move(name), std::move(value));
  }
  if (source.left() > 0)
    return broken();
  return out;
}

const option_value& options::at(std::string_view name) const {
  auto it = values_.find(name);
  if (it == values_.end())
    throw std::out_of_range{fmt::format("no option '{}' was declared", name)};
  return it->second;
}

} // namespace troupe
