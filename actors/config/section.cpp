// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/section.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "troupe/actors/config/nearest.hpp"
#include "troupe/actors/config/scalar.hpp"

namespace troupe::config {

section::section(const yaml_node* node, int line, std::string path,
                 std::span<const option_spec> specs, problem_list& problems)
  : node_(node),
    line_(line),
    path_(std::move(path)),
    specs_(specs),
    problems_(problems) {
  if (node_ == nullptr)
    return;
  if (node_->kind == yaml_node::type::null) {
    node_ = nullptr;
    return;
  }
  if (node_->kind != yaml_node::type::map) {
    problems_.add(line_, path_,
                  fmt::format("expected a section with keys, found {}",
                              describe(*node_)));
    sound_ = false;
    node_ = nullptr;
    return;
  }
  for (std::size_t i = 0; i < node_->keys.size(); ++i) {
    auto [it, fresh] = positions_.emplace(node_->keys[i], i);
    if (!fresh)
      complain(node_->keys[i],
               fmt::format("stands here twice, on line {} and on line {}; "
                           "remove one",
                           node_->key_lines[it->second], node_->key_lines[i]));
  }
}

bool section::flag(std::string_view key, bool& target) {
  use_declared_default(key, target);
  const auto* node = claim(key);
  if (node == nullptr)
    return false;
  if (auto value = as_flag(*node))
    target = *value;
  else
    complain(key, value.error().message());
  return true;
}

bool section::number(std::string_view key, double& target, double least,
                     double most) {
  const auto* node = claim(key);
  if (node == nullptr)
    return false;
  auto value = as_number(*node);
  if (!value)
    complain(key, value.error().message());
  else if (!(*value >= least && *value <= most))
    complain(key, fmt::format("must be between {} and {}, is {}", least, most,
                              *value));
  else
    target = *value;
  return true;
}

bool section::milliseconds(std::string_view key,
                           std::chrono::milliseconds& target,
                           std::int64_t least) {
  // Far beyond any sensible wait, far from overflowing nanoseconds.
  constexpr std::int64_t most = 1'000'000'000;
  auto value = static_cast<std::int64_t>(target.count());
  auto present = read_integer(key, value, least, most);
  target = std::chrono::milliseconds{value};
  return present;
}

bool section::byte_count(std::string_view key, std::uint64_t& target) {
  const auto* node = claim(key);
  if (node == nullptr)
    return false;
  auto value = as_bytes(*node);
  if (!value)
    complain(key, value.error().message());
  else if (*value == 0)
    complain(key, "must be at least 1 byte");
  else
    target = *value;
  return true;
}

bool section::text(std::string_view key, std::string& target) {
  use_declared_default(key, target);
  const auto* node = claim(key);
  if (node == nullptr)
    return false;
  if (auto value = as_text(*node))
    target = std::move(*value);
  else
    complain(key, value.error().message());
  return true;
}

bool section::choice(std::string_view key, std::string& target,
                     std::vector<std::string> words) {
  auto value = target;
  auto present = text(key, value);
  if (std::find(words.begin(), words.end(), value) != words.end()) {
    target = std::move(value);
    return present;
  }
  auto text = fmt::format("unknown value {}; allowed: {}", quote(value),
                          fmt::join(words, ", "));
  if (auto meant = nearest(value, words))
    text += fmt::format("; did you mean '{}'?", *meant);
  complain(key, text);
  return present;
}

const yaml_node* section::raw(std::string_view key) {
  return claim(key);
}

void section::elsewhere(std::string_view key, std::string_view advice) {
  if (positions_.find(key) == positions_.end())
    return;
  refused_.emplace_back(key);
  complain(key, advice);
}

void section::options(troupe::options& target) {
  for (const auto& spec : specs_) {
    auto own = std::find(allowed_.begin(), allowed_.end(), spec.name);
    if (own == allowed_.end())
      read_option(spec, target);
  }
}

void section::finish() {
  std::sort(allowed_.begin(), allowed_.end());
  auto listed = false;
  for (const auto& entry : positions_) {
    auto key = entry.first;
    auto known = [&](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), key) != names.end();
    };
    if (known(allowed_) || known(refused_))
      continue;
    if (problems_.full()) {
      complain(key, {});
      continue;
    }
    std::string text{"unknown key"};
    if (auto meant = nearest(key, allowed_))
      text += fmt::format("; did you mean '{}'?", *meant);
    // Once is enough for a section.
    if (!listed)
      text += fmt::format("{} allowed here: {}", text.back() == '?' ? "" : ";",
                          fmt::join(allowed_, ", "));
    listed = true;
    complain(key, text);
  }
}

void section::complain(std::string_view key, std::string_view text) {
  sound_ = false;
  // Keys come from the file: `quote` makes them fit for a terminal.
  auto name = quote(key);
  auto shown = name.substr(1, name.size() - 2);
  if (!path_.empty())
    shown = key.empty() ? path_ : fmt::format("{}.{}", path_, shown);
  problems_.add(line_of(key), shown, text);
}

int section::line_of(std::string_view key) const {
  auto it = positions_.find(key);
  return it == positions_.end() ? line_ : node_->key_lines[it->second];
}

const yaml_node* section::claim(std::string_view key) {
  allowed_.emplace_back(key);
  auto it = positions_.find(key);
  return it == positions_.end() ? nullptr : &node_->items[it->second];
}

template <class T>
void section::use_declared_default(std::string_view key, T& target) {
  for (const auto& spec : specs_)
    if (spec.name == key) {
      if (auto* value = std::get_if<T>(&spec.otherwise))
        target = *value;
      else
        complain(key, fmt::format("the application declares a default of type "
                                  "{}, which this key does not take",
                                  type_name(spec.otherwise)));
    }
}

bool section::read_integer(std::string_view key, std::int64_t& target,
                           std::int64_t least, std::int64_t most,
                           std::string_view word) {
  use_declared_default(key, target);
  const auto* node = claim(key);
  if (node == nullptr)
    return false;
  auto value = as_integer(*node);
  if (!value)
    complain(key, word.empty() ? value.error().message()
                               : fmt::format("{}; allowed besides: {}",
                                             value.error().message(), word));
  else if (*value < least)
    complain(key, fmt::format("must be at least {}, is {}", least, *value));
  else if (*value > most)
    complain(key, fmt::format("must be at most {}, is {}", most, *value));
  else
    target = *value;
  return true;
}

bool section::claim_word(std::string_view key, std::string_view word) {
  auto it = positions_.find(key);
  if (it == positions_.end())
    return false;
  const auto& node = node_->items[it->second];
  if (node.kind != yaml_node::type::scalar || node.text != word)
    return false;
  claim(key);
  return true;
}

void section::read_option(const option_spec& spec, troupe::options& target) {
  target.set(spec.name, spec.otherwise);
  const auto* node = claim(spec.name);
  if (node == nullptr)
    return;
  auto store = [&](auto value) {
    if (!value)
      return complain(spec.name, value.error().message());
    option_value read{std::move(*value)};
    if (auto good = spec.check(read); !good)
      return complain(spec.name, good.error().message());
    target.set(spec.name, std::move(read));
  };
  switch (spec.otherwise.index()) {
    case 0: store(as_flag(*node)); break;
    case 1: store(as_integer(*node)); break;
    case 2: store(as_number(*node)); break;
    default: store(as_text(*node)); break;
  }
}

} // namespace troupe::config
