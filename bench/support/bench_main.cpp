// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/support/bench_main.hpp"

#include <charconv>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "troupe/apps/console/write_file.hpp"

namespace troupe::bench {

namespace {

constexpr int exit_failed = 1;
constexpr int exit_bad_input = 2;

/// An empty name would read as "nowhere".
std::string not_empty(const std::string& text) {
  return text.empty() ? "must not be empty" : "";
}

/// The N of `cuda:N`; 0 of `cuda`.
std::optional<std::int32_t> gpu_of(std::string_view text) {
  constexpr std::string_view kind = "cuda";
  if (text.substr(0, kind.size()) != kind)
    return std::nullopt;
  text.remove_prefix(kind.size());
  if (text.empty())
    return 0;
  if (text.front() != ':')
    return std::nullopt;
  text.remove_prefix(1);
  std::int32_t number = 0;
  const auto* end = text.data() + text.size();
  auto read = std::from_chars(text.data(), end, number);
  if (read.ec != std::errc{} || read.ptr != end || number < 0)
    return std::nullopt;
  return number;
}

std::string names_gpu(const std::string& text) {
  return gpu_of(text) ? "" : "say cuda, or cuda:N with the number of a GPU";
}

} // namespace

int bench_main(
  int argc, char** argv, const bench_description& about,
  const std::function<result<void>(const bench_options&, bench_report&)>& run) {
  bench_options options;
  CLI::App command{about.summary, about.name};
  command.add_flag("--quick", options.quick,
                   "Fewer rounds: end within 20 seconds");
  command
    .add_option("--json", options.json_file,
                "Also write the figures as one JSON object")
    ->check(not_empty)
    ->type_name("FILE");
  if (!about.soak.empty())
    command.add_option("--soak", options.soak_minutes, about.soak)
      ->check(CLI::Range(0.05, 1440.0))
      ->type_name("MINUTES");
  std::string devices;
  if (!about.devices.empty())
    command.add_option("--devices", devices, about.devices)
      ->check(names_gpu)
      ->type_name("cuda[:N]");
  command.footer(
    fmt::format("Examples:\n"
                "  {0}\n"
                "  {0} --quick --json figures.json{1}",
                about.name,
                about.devices.empty()
                  ? ""
                  : fmt::format("\n  {} --devices cuda", about.name)));
  try {
    command.parse(argc, argv);
  } catch (const CLI::ParseError& x) {
    return command.exit(x) == 0 ? 0 : exit_bad_input;
  }
  // Figures that took minutes must not be lost to a wrong path.
  if (!options.json_file.empty())
    if (auto good = console::check_writable(options.json_file, "--json");
        !good) {
      fmt::print(stderr, "{}: {}\n", about.name, good.error().message());
      return exit_bad_input;
    }
  options.gpu = gpu_of(devices);
  bench_report report;
  auto done = run(options, report);
  // What took minutes is not lost to what failed after it.
  fmt::print("{}", report.to_table());
  if (!done) {
    std::fflush(stdout);
    fmt::print(stderr, "{}: {}\n", about.name, to_string(done.error()));
    return exit_failed;
  }
  if (options.json_file.empty())
    return 0;
  auto written = console::write_file(options.json_file, report.to_json(),
                                     "--json");
  if (!written) {
    fmt::print(stderr, "{}: {}\n", about.name, written.error().message());
    return exit_failed;
  }
  return 0;
}

} // namespace troupe::bench
