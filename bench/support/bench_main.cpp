// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/support/bench_main.hpp"

#include <string>

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
  command.footer(fmt::format("Examples:\n"
                             "  {0}\n"
                             "  {0} --quick --json figures.json",
                             about.name));
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
  bench_report report;
  if (auto done = run(options, report); !done) {
    fmt::print(stderr, "{}: {}\n", about.name, to_string(done.error()));
    return exit_failed;
  }
  fmt::print("{}", report.to_table());
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
