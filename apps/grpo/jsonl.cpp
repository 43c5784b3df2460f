// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>
#include <unordered_map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "troupe/apps/grpo/dataset.hpp"

namespace troupe::grpo {

namespace {

using json = nlohmann::json;

/// Reads up to a newline, but never more than `limit` + 1 characters.
bool read_line(std::istream& in, std::string& line, std::size_t limit) {
  line.clear();
  for (int c = in.get(); c != std::istream::traits_type::eof(); c = in.get()) {
    if (c == '\n')
      return true;
    line.push_back(static_cast<char>(c));
    if (line.size() > limit)
      return true;
  }
  return !line.empty();
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

/// The text under `key`, or what is wrong with it.
result<std::string> text_at(const json& object, const char* key,
                            std::size_t limit) {
  auto found = object.find(key);
  if (found == object.end())
    return fail(errc::invalid, fmt::format("the key \"{}\" is missing", key));
  if (!found->is_string())
    return fail(errc::invalid, fmt::format("\"{}\" is of type {}, not a string",
                                           key, found->type_name()));
  auto text = found->get<std::string>();
  if (text.empty())
    return fail(errc::invalid, fmt::format("\"{}\" is empty", key));
  if (text.size() > limit)
    return fail(errc::invalid,
                fmt::format("\"{}\" has {} characters, more than {}", key,
                            text.size(), limit));
  for (std::size_t i = 0; i < text.size(); ++i)
    if (!tokenizer::supports(text[i]))
      return fail(errc::invalid,
                  fmt::format("\"{}\": byte {} ({:#04x}) is not a printable "
                              "ASCII character",
                              key, i + 1,
                              static_cast<unsigned>(
                                static_cast<unsigned char>(text[i]))));
  return text;
}

/// Where the text stops being JSON, and what a line looks like.
std::string malformed(const std::string& line, const json::parse_error& e) {
  auto what = e.byte > line.size()
                ? std::string{"the line ends too early"}
                : fmt::format("character {} does not belong there", e.byte);
  return fmt::format("malformed JSON: {}; expected a line like "
                     "{{\"prompt\": \"37+58=\", \"answer\": \"95\"}}",
                     what);
}

result<example> parse(const std::string& line, const dataset_limits& limits) {
  if (line.size() > limits.line_bytes)
    return fail(errc::invalid, fmt::format("the line is longer than {} bytes",
                                           limits.line_bytes));
  json object;
  try {
    object = json::parse(line);
  } catch (const json::parse_error& e) {
    return fail(errc::invalid, malformed(line, e));
  } catch (const json::exception&) {
    return fail(errc::invalid, "malformed JSON: a number is out of range");
  }
  if (!object.is_object())
    return fail(errc::invalid, fmt::format("expected an object with \"prompt\" "
                                           "and \"answer\", found {}",
                                           object.type_name()));
  auto prompt = text_at(object, "prompt", limits.prompt_characters);
  if (!prompt)
    return fail(prompt.error());
  auto answer = text_at(object, "answer", limits.answer_characters);
  if (!answer)
    return fail(answer.error());
  return example{*std::move(prompt), *std::move(answer)};
}

struct first_use {
  std::string answer;
  std::size_t line;
};

} // namespace

result<std::vector<example>> read_jsonl(const std::filesystem::path& file,
                                        const dataset_limits& limits) {
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored))
    return fail(errc::invalid,
                fmt::format("{} is a directory, not a file", file.string()));
  errno = 0;
  std::ifstream in{file, std::ios::binary};
  if (!in)
    return fail(errc::invalid,
                fmt::format("{} cannot be read: {}", file.string(),
                            errno != 0 ? std::strerror(errno)
                                       : "unknown reason"));
  std::vector<example> examples;
  std::unordered_map<std::string, first_use> seen;
  std::string line;
  std::string missing;
  for (std::size_t number = 1; read_line(in, line, limits.line_bytes);
       ++number) {
    auto where = fmt::format("{}:{}", file.string(), number);
    // Blank lines may end a file; between two examples one is missing.
    if (is_blank(line)) {
      if (missing.empty())
        missing = where;
      continue;
    }
    if (!missing.empty())
      return fail(errc::invalid,
                  fmt::format("{}: the line is empty where an example is "
                              "expected",
                              missing));
    auto parsed = parse(line, limits);
    if (!parsed)
      return fail(parsed.error().within(where));
    auto inserted = seen.try_emplace(parsed->prompt,
                                     first_use{parsed->answer, number});
    if (!inserted.second) {
      const auto& before = inserted.first->second;
      if (before.answer != parsed->answer)
        return fail(errc::invalid,
                    fmt::format("{}: the prompt \"{}\" has the answer \"{}\" "
                                "here and \"{}\" on line {}",
                                where, parsed->prompt, parsed->answer,
                                before.answer, before.line));
      continue;
    }
    if (examples.size() == limits.examples)
      return fail(errc::invalid, fmt::format("{}: more than {} examples", where,
                                             limits.examples));
    examples.push_back(*std::move(parsed));
  }
  if (examples.empty())
    return fail(errc::invalid,
                fmt::format("{} holds no examples", file.string()));
  return examples;
}

result<void> write_jsonl(const std::filesystem::path& file,
                         const std::vector<example>& examples) {
  std::ofstream out{file, std::ios::binary | std::ios::trunc};
  for (const auto& x : examples)
    out << json{{"prompt", x.prompt}, {"answer", x.answer}}.dump() << '\n';
  out.flush();
  if (!out)
    return fail(errc::refused,
                fmt::format("{} cannot be written", file.string()));
  return {};
}

} // namespace troupe::grpo
