// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/monitoring/run_address.hpp"

#include <charconv>
#include <fstream>

#include <arpa/inet.h>
#include <fmt/core.h>

#include "troupe/apps/console/run_directory.hpp"
#include "troupe/apps/console/text.hpp"

namespace troupe::monitoring {

namespace {

/// `255.255.255.255:65535` and more.
constexpr std::size_t address_max = 64;

bool is_ipv4(const std::string& host) {
  in_addr ignored{};
  return ::inet_pton(AF_INET, host.c_str(), &ignored) == 1;
}

bool has_address_form(std::string_view text) {
  return text.find(':') != std::string_view::npos
         && text.find('/') == std::string_view::npos;
}

} // namespace

std::string to_string(const run_address& x) {
  return fmt::format("{}:{}", x.host, x.port);
}

result<run_address> parse_address(std::string_view text) {
  auto refuse = [&](std::string_view why) {
    return fail(errc::invalid, fmt::format("'{}' {}; expected HOST:PORT such "
                                           "as 127.0.0.1:4100",
                                           console::printable(text), why));
  };
  auto colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return refuse("has no port");
  run_address out;
  out.host = text.substr(0, colon);
  auto digits = text.substr(colon + 1);
  const auto* end = digits.data() + digits.size();
  auto [rest, problem] = std::from_chars(digits.data(), end, out.port);
  if (digits.empty() || problem != std::errc{} || rest != end || out.port == 0)
    return refuse("has no port from 1 to 65535");
  if (out.host == "localhost")
    out.host = "127.0.0.1";
  if (!is_ipv4(out.host))
    return refuse("names no IPv4 address (a run listens on the loopback "
                  "device; from another machine, forward its port)");
  return out;
}

result<run_address> find_address(std::string_view target,
                                 const std::filesystem::path& output_dir) {
  if (has_address_form(target))
    return parse_address(target);
  auto path = console::run_directory::find(output_dir, target);
  if (!path)
    return fail(path.error());
  std::ifstream in{*path / console::run_directory::monitor_file_name};
  std::string line(address_max, '\0');
  in.read(line.data(), static_cast<std::streamsize>(line.size()));
  line.resize(static_cast<std::size_t>(in.gcount()));
  line.resize(std::min(line.find('\n'), line.size()));
  if (line.empty())
    return fail(errc::unavailable,
                fmt::format("run '{}' cannot be looked at: it has ended, or "
                            "was started with runtime.monitor: false",
                            console::printable(target)));
  return parse_address(line);
}

} // namespace troupe::monitoring
