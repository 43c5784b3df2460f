// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/text.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace troupe::console {

namespace {

struct range {
  std::uint32_t first;
  std::uint32_t last;
};

/// Characters that take no column: combining marks, joiners, selectors.
constexpr std::array<range, 5> narrow{{{0x0300, 0x036f},
                                       {0x200b, 0x200f},
                                       {0x20d0, 0x20ff},
                                       {0xfe00, 0xfe0f},
                                       {0xfeff, 0xfeff}}};

/// Characters that take two, after Unicode's East Asian Width.
constexpr std::array<range, 11> wide{{{0x1100, 0x115f},
                                      {0x2e80, 0x303e},
                                      {0x3041, 0xa4cf},
                                      {0xac00, 0xd7a3},
                                      {0xf900, 0xfaff},
                                      {0xfe30, 0xfe6f},
                                      {0xff00, 0xff60},
                                      {0xffe0, 0xffe6},
                                      {0x1f300, 0x1f64f},
                                      {0x1f900, 0x1f9ff},
                                      {0x20000, 0x3fffd}}};

template <std::size_t N>
bool is_in(std::uint32_t code, const std::array<range, N>& ranges) {
  return std::any_of(ranges.begin(), ranges.end(), [code](const range& x) {
    return code >= x.first && code <= x.last;
  });
}

std::size_t width_of(std::uint32_t code) {
  if (is_in(code, narrow))
    return 0;
  return is_in(code, wide) ? 2 : 1;
}

/// One step through UTF-8: the character at the front of `text` and its bytes.
/// `size` 0 marks a byte that begins no character.
struct character {
  std::uint32_t code = 0;
  std::size_t size = 0;
};

character first_of(std::string_view text) {
  auto lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80)
    return {lead, 1};
  std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || size > text.size())
    return {};
  auto code = std::uint32_t{lead} & (0xffu >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xc0u) != 0x80u)
      return {};
    code = (code << 6) | (byte & 0x3fu);
  }
  auto surrogate = code >= 0xd800 && code <= 0xdfff;
  auto overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
  if (surrogate || overlong || code > 0x10ffff)
    return {};
  return {code, size};
}

/// Bytes of the escape sequence (ESC [ ... letter) at the front of `text`; 0
/// if there is none.
std::size_t escape_size(std::string_view text) {
  if (!text.starts_with("\x1b["))
    return 0;
  for (std::size_t i = 2; i < text.size(); ++i)
    if (text[i] >= 0x40 && text[i] <= 0x7e)
      return i + 1;
  return text.size();
}

} // namespace

std::size_t display_width(std::string_view text) {
  std::size_t out = 0;
  while (!text.empty()) {
    if (auto skip = escape_size(text); skip > 0) {
      text.remove_prefix(skip);
      continue;
    }
    auto next = first_of(text);
    out += next.size == 0 ? 1 : width_of(next.code);
    text.remove_prefix(std::max<std::size_t>(next.size, 1));
  }
  return out;
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    auto next = first_of(text);
    auto size = std::max<std::size_t>(next.size, 1);
    if (next.code == '\n' || next.code == '\t' || next.code == '\r')
      out += ' ';
    else if (next.size == 0 || next.code < 0x20
             || (next.code >= 0x7f && next.code < 0xa0))
      out += '?';
    else
      out += text.substr(0, size);
    text.remove_prefix(size);
  }
  return out;
}

std::string fit(std::string_view text, std::size_t columns) {
  if (display_width(text) <= columns)
    return std::string{text};
  auto dots = std::min<std::size_t>(3, columns);
  auto room = columns - dots;
  std::string out;
  while (!text.empty()) {
    auto next = first_of(text);
    auto width = next.size == 0 ? 1 : width_of(next.code);
    if (width > room)
      break;
    room -= width;
    auto size = std::max<std::size_t>(next.size, 1);
    out += text.substr(0, size);
    text.remove_prefix(size);
  }
  return out.append(dots, '.');
}

std::vector<std::string> wrap(std::string_view text, std::size_t columns) {
  std::vector<std::string> out;
  for (;;) {
    auto end = text.find('\n');
    auto rest = text.substr(0, end);
    std::string line;
    std::size_t width = 0;
    while (!rest.empty()) {
      auto space = rest.find(' ');
      auto word = rest.substr(0, space);
      rest.remove_prefix(space == std::string_view::npos ? rest.size()
                                                         : space + 1);
      if (word.empty())
        continue;
      auto needed = display_width(word);
      if (width > 0 && width + 1 + needed > columns) {
        out.push_back(std::move(line));
        line.clear();
        width = 0;
      }
      if (width > 0) {
        line += ' ';
        ++width;
      }
      line += word;
      width += needed;
    }
    out.push_back(std::move(line));
    if (end == std::string_view::npos)
      return out;
    text.remove_prefix(end + 1);
  }
}

} // namespace troupe::console
