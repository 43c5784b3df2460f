// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/yaml_tree.hpp"

#include <exception>
#include <sstream>
#include <utility>

#include <fmt/core.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "troupe/actors/config/loader.hpp"

namespace troupe::config {

namespace {

/// Leaves the parser from inside an event.
struct refusal : std::exception {
  refusal(int at, std::string why) : line(at), text(std::move(why)) {
    // nop
  }

  int line;
  std::string text;
};

/// Builds the tree from the parser's events. The parser recurses between a
/// start event and its end, so refusing to nest here bounds its stack too.
class tree_builder final : public YAML::EventHandler {
public:
  explicit tree_builder(bool is_file) : is_file_(is_file) {
    // nop
  }

  yaml_node take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {
    // nop
  }

  void OnDocumentEnd() override {
    // nop
  }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    put(make(mark, yaml_node::type::null));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw refusal{mark.line + 1, "aliases (*name) are not supported; write "
                                 "the value out"};
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    check_tag(mark, tag);
    if (value.find('\0') != std::string::npos)
      throw refusal{mark.line + 1, "a NUL character in a value"};
    auto node = make(mark, yaml_node::type::scalar);
    node.text = value;
    put(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag,
                       YAML::anchor_t, YAML::EmitterStyle::value) override {
    check_tag(mark, tag);
    open(mark, yaml_node::type::sequence);
  }

  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag,
                  YAML::anchor_t, YAML::EmitterStyle::value) override {
    check_tag(mark, tag);
    open(mark, yaml_node::type::map);
  }

  void OnMapEnd() override { close(); }

private:
  [[nodiscard]] yaml_node make(const YAML::Mark& mark,
                               yaml_node::type kind) const {
    yaml_node out;
    out.kind = kind;
    out.line = is_file_ ? mark.line + 1 : 0;
    return out;
  }

  static void check_tag(const YAML::Mark& mark, const std::string& tag) {
    // "?" marks plain and "!" quoted scalars.
    if (!tag.empty() && tag != "?" && tag != "!")
      throw refusal{mark.line + 1,
                    fmt::format("tags ({}) are not supported", quote(tag))};
  }

  void open(const YAML::Mark& mark, yaml_node::type kind) {
    if (open_.size() >= max_nesting)
      throw refusal{mark.line + 1,
                    fmt::format("nested more than {} deep", max_nesting)};
    open_.push_back(make(mark, kind));
  }

  void close() {
    auto node = std::move(open_.back());
    open_.pop_back();
    // A key whose value never came.
    if (node.keys.size() > node.items.size())
      node.items.emplace_back();
    put(std::move(node));
  }

  void put(yaml_node node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    auto& parent = open_.back();
    auto wants_key = parent.kind == yaml_node::type::map
                     && parent.keys.size() == parent.items.size();
    if (!wants_key) {
      parent.items.push_back(std::move(node));
      return;
    }
    if (node.kind != yaml_node::type::scalar)
      throw refusal{node.line, fmt::format("a key must be a word, not {}",
                                           describe(node))};
    parent.keys.push_back(std::move(node.text));
    parent.key_lines.push_back(node.line);
  }

  bool is_file_;
  yaml_node root_;
  std::vector<yaml_node> open_;
};

/// The first line with a tab in its indentation; 0 if there is none.
int line_with_tab(std::string_view text) {
  for (auto line = 1; !text.empty(); ++line) {
    auto first = text.find_first_not_of(' ');
    if (first != std::string_view::npos && text[first] == '\t')
      return line;
    auto end = text.find('\n');
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return 0;
}

} // namespace

const yaml_node* yaml_node::find(std::string_view key) const noexcept {
  for (std::size_t i = 0; i < keys.size() && i < items.size(); ++i)
    if (keys[i] == key)
      return &items[i];
  return nullptr;
}

yaml_node* yaml_node::find(std::string_view key) noexcept {
  return const_cast<yaml_node*>(std::as_const(*this).find(key));
}

std::string describe(const yaml_node& node) {
  switch (node.kind) {
    case yaml_node::type::null: return "nothing";
    case yaml_node::type::scalar: return quote(node.text);
    case yaml_node::type::sequence: return "a list";
    default: return "a section";
  }
}

std::string quote(std::string_view text) {
  constexpr std::size_t limit = 60;
  auto cut = text.size() > limit;
  auto shown = text.substr(0, limit);
  std::string out{"'"};
  for (std::size_t i = 0; i < shown.size(); ++i) {
    auto byte = static_cast<unsigned char>(shown[i]);
    // Half a character may be left where the text was cut.
    auto plain = byte >= 0x20 && byte != 0x7f && (byte < 0x80 || !cut);
    // Terminals obey U+0080 to U+009F, which begin with this byte, too.
    if (byte == 0xc2 && i + 1 < shown.size()
        && static_cast<unsigned char>(shown[i + 1]) < 0xa0) {
      plain = false;
      ++i;
    }
    out += plain ? shown[i] : '?';
  }
  out += cut ? "...'" : "'";
  return out;
}

result<yaml_node> read_yaml(std::string_view text, std::string_view file_name,
                            bool is_file) {
  auto refuse = [&](int line, std::string_view why) {
    if (is_file && line > 0)
      return fail(errc::invalid,
                  fmt::format("{}:{}: {}", file_name, line, why));
    return fail(errc::invalid, fmt::format("{}: {}", file_name, why));
  };
  if (text.size() > max_file_bytes)
    return refuse(0, fmt::format("is larger than {} KiB: not a configuration",
                                 max_file_bytes / 1024));
  auto nul = text.find('\0');
  if (nul != std::string_view::npos) {
    auto line = 1;
    for (auto ch : text.substr(0, nul))
      line += ch == '\n' ? 1 : 0;
    return refuse(line, "holds a NUL byte: not a text file");
  }
  try {
    std::istringstream in{std::string{text}};
    YAML::Parser parser{in};
    tree_builder builder{is_file};
    if (!parser.HandleNextDocument(builder))
      return yaml_node{};
    tree_builder other{is_file};
    if (parser.HandleNextDocument(other))
      return refuse(0, "holds more than one YAML document (---)");
    return builder.take();
  } catch (const refusal& x) {
    return refuse(x.line, x.text);
  } catch (const YAML::Exception& x) {
    if (auto line = line_with_tab(text); line > 0)
      return refuse(line, "is indented with a tab; YAML takes blanks alone");
    return refuse(x.mark.line + 1, fmt::format("not YAML: {}", x.msg));
  } catch (const std::exception& x) {
    return refuse(0, fmt::format("not YAML: {}", x.what()));
  }
}

result<void> apply_override(yaml_node& root, std::string_view assignment) {
  auto refuse = [&](std::string_view why) {
    return fail(errc::invalid,
                fmt::format("--set {}: {}", quote(assignment), why));
  };
  auto equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0)
    return refuse("expected KEY=VALUE, for example runtime.seed=3");
  auto path = assignment.substr(0, equals);
  auto text = assignment.substr(equals + 1);
  auto value = read_yaml(text, "value", false);
  if (!value)
    return refuse(value.error().message());
  if (text.find_first_not_of(' ') == std::string_view::npos)
    value->kind = yaml_node::type::scalar;
  auto* at = &root;
  for (std::size_t depth = 0;; ++depth) {
    auto dot = path.find('.');
    auto name = path.substr(0, dot);
    if (name.empty() || depth >= max_nesting)
      return refuse("expected a key like runtime.seed");
    if (at->kind == yaml_node::type::null)
      at->kind = yaml_node::type::map;
    if (at->kind != yaml_node::type::map)
      return refuse(fmt::format("{} stands where {} would need a section",
                                describe(*at), quote(name)));
    auto* next = at->find(name);
    if (next == nullptr) {
      at->keys.emplace_back(name);
      at->key_lines.push_back(0);
      next = &at->items.emplace_back();
    }
    if (dot == std::string_view::npos) {
      // What is wrong with the value is now said of --set, not of the file.
      at->key_lines[static_cast<std::size_t>(next - at->items.data())] = 0;
      at = next;
      break;
    }
    at = next;
    path.remove_prefix(dot + 1);
  }
  *at = std::move(*value);
  return {};
}

} // namespace troupe::config
