// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/app/run_command.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <exception>
#include <fstream>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "troupe/actors/checkpoint/checkpoint_folder.hpp"
#include "troupe/actors/config/devices.hpp"
#include "troupe/actors/config/dump.hpp"
#include "troupe/actors/config/loader.hpp"
#include "troupe/actors/engine/driver.hpp"
#include "troupe/actors/engine/model_shapes.hpp"
#include "troupe/actors/node/gpu_probe.hpp"
#include "troupe/actors/node/process_info.hpp"
#include "troupe/actors/process/guard_client.hpp"
#include "troupe/actors/process/signal_watch.hpp"
#include "troupe/actors/process/sweeper.hpp"
#include "troupe/apps/app/run_view.hpp"
#include "troupe/apps/console/complaint.hpp"
#include "troupe/apps/console/run_directory.hpp"
#include "troupe/apps/console/summary.hpp"
#include "troupe/core/exception.hpp"
#include "troupe/core/log.hpp"
#include "troupe/planner/placement.hpp"

namespace troupe::app_command {

namespace {

constexpr int exit_failed = 1;
constexpr int exit_bad_input = 2;
constexpr int exit_interrupted = 130;

/// The lines of a file as one list. Blank lines and what follows a # do not
/// count.
result<std::string> read_node_list(const std::string& file) {
  std::ifstream in{file};
  if (!in)
    return fail(errc::invalid, fmt::format("--nodes: cannot read {}", file));
  std::string out;
  for (std::string line; std::getline(in, line);) {
    line.erase(std::min(line.find('#'), line.size()));
    std::erase_if(line, [](unsigned char c) { return std::isspace(c) != 0; });
    if (line.empty())
      continue;
    if (!out.empty())
      out += ',';
    out += line;
  }
  if (out.empty())
    return fail(errc::invalid,
                fmt::format("--nodes: {} names no machine", file));
  return out;
}

/// Bad input: nothing has been started.
int refuse(const error& why) {
  console::complain(why.message());
  return exit_bad_input;
}

/// Everything that is checked before anything starts.
struct prepared_job {
  config::job_config config;
  config::device_request devices;
  std::shared_ptr<data_source> data;
  std::optional<console::run_directory> directory;
  std::optional<checkpoint::saved> resume;
  /// Of other machines; then `devices` says nothing.
  std::vector<net::endpoint> nodes;
  std::optional<net::tls_identity> identity;
};

result<void> check_placement(const prepared_job& job, const application& app) {
  // What other machines have is known when they have joined.
  if (!job.nodes.empty())
    return {};
  auto spec = config::to_job_spec(job.config, app.syncs);
  auto plan = planner::place(spec, engine::make_cluster(job.devices));
  if (!plan)
    return fail(plan.error());
  // Whether weights can travel is known once modules have said what they hold.
  return {};
}

/// Whom `--nodes` or the configuration names.
result<std::vector<net::endpoint>> read_nodes(const std::string& given,
                                              config::runtime_config& runtime) {
  std::error_code none;
  if (std::filesystem::is_regular_file(given, none)) {
    auto text = read_node_list(given);
    if (!text)
      return fail(text.error());
    runtime.nodes = std::move(*text);
  } else if (!given.empty()) {
    runtime.nodes = given;
  }
  if (runtime.nodes.empty())
    return std::vector<net::endpoint>{};
  auto out = net::parse_endpoints(runtime.nodes);
  if (!out)
    return fail(
      out.error().within(given.empty() ? "runtime.nodes" : "--nodes"));
  return out;
}

/// What the machines of the job know each other by.
result<void> read_identity(const std::string& given, prepared_job& job) {
  auto& folder = job.config.runtime.certs;
  if (!given.empty())
    folder = given;
  if (!folder.empty()) {
    auto loaded = net::tls_identity::load(folder);
    if (!loaded)
      return fail(loaded.error().within("--certs"));
    job.identity = std::move(*loaded);
    // A resumed run may be begun elsewhere.
    folder = std::filesystem::absolute(folder).string();
    return {};
  }
  auto far = std::ranges::find_if_not(job.nodes, net::is_loopback);
  if (far == job.nodes.end())
    return {};
  return fail(errc::refused,
              fmt::format("--nodes: {} is another machine, which needs TLS: "
                          "make certificates with 'certs DIR', copy the folder "
                          "to all machines and give --certs DIR here and to "
                          "every node",
                          to_string(*far)));
}

/// Lets the data decide the options that follow from it. A value that somebody
/// chose is not replaced by another.
result<void> apply_data_options(config::job_config& config,
                                const application& app,
                                const data_source& data) {
  for (auto& [name, value] : data.model_options())
    for (auto& model : config.models) {
      if (!model.options.contains(name))
        continue;
      const auto& specs = app.models.find(model.name)->options();
      auto spec = std::ranges::find(specs, name, &option_spec::name);
      const auto& given = model.options.values().find(name)->second;
      if (given != value && spec != specs.end() && given != spec->otherwise)
        return fail(errc::invalid,
                    fmt::format("models.{}.{} is {}, but the data needs {}; "
                                "leave the key out",
                                model.name, name, to_string(given),
                                to_string(value)));
      model.options.set(name, value);
    }
  return {};
}

/// The outputs of a new run.
result<void> make_directory(prepared_job& job, const application& app) {
  auto& runtime = job.config.runtime;
  auto made = console::run_directory::create(runtime.output_dir,
                                             runtime.run_name, app.name);
  if (!made)
    return fail(made.error());
  job.directory = std::move(*made);
  runtime.run_name = job.directory->name();
  return {};
}

/// Whether models of `config` can load what the run goes on from.
result<void> check_resumed(const checkpoint::saved& from,
                           const config::job_config& config,
                           const application& app) {
  if (auto fits = engine::check_shapes(from.state, config, app.models); !fits)
    return fail(fits.error().within(
      fmt::format("run '{}' cannot go on", config.runtime.run_name)));
  return {};
}

/// The outputs of the run to go on with, and from where.
result<void> find_checkpoint(prepared_job& job, const application& app) {
  const auto& runtime = job.config.runtime;
  auto opened = console::run_directory::reopen(
    std::filesystem::path{runtime.output_dir} / runtime.run_name);
  if (!opened)
    return fail(opened.error());
  job.directory = std::move(*opened);
  auto folder = std::filesystem::absolute(job.directory->checkpoint_dir());
  auto found = checkpoint::checkpoint_folder{folder}.latest();
  if (!found)
    return fail(found.error().within(
      fmt::format("run '{}' cannot go on (runtime.save_episode_interval says "
                  "how often one "
                  "is saved)",
                  runtime.run_name)));
  // One that was killed between its last episode and its end still has to be
  // evaluated.
  if (found->episode >= runtime.num_episode && job.directory->finished())
    return fail(errc::invalid,
                fmt::format("run '{}' has run all of its {} episodes; raise "
                            "them with --set runtime.num_episode=N",
                            runtime.run_name, runtime.num_episode));
  if (auto fits = check_resumed(*found, job.config, app); !fits)
    return fits;
  job.resume = std::move(*found);
  return {};
}

/// Calls code of the application, which reports by throwing too.
template <class F>
auto ask_application(std::string_view what, F f) -> decltype(f()) {
  try {
    return f();
  } catch (const std::exception& x) {
    return fail(error_from(x).within(what));
  } catch (...) {
    return fail(errc::failed,
                fmt::format("{}: it threw something that is no std::exception",
                            what));
  }
}

result<prepared_job> prepare(const application& app,
                             const run_arguments& args) {
  prepared_job job;
  // Nothing has begun that would have to end in good order, and reading data or
  // a checkpoint may take long.
  auto watch = process::signal_watch::start(
    [](int) { ::_exit(exit_interrupted); });
  if (!watch)
    return fail(watch.error());
  auto overrides = all_overrides(args);
  auto config = config::load(args.config_file, app.schema(), overrides);
  if (!config)
    return fail(config.error());
  job.config = std::move(*config);
  if (args.devices)
    job.config.runtime.devices = *args.devices;
  auto devices = config::parse_devices(job.config.runtime.devices);
  if (!devices)
    return fail(devices.error());
  job.devices = *devices;
  if (auto nodes = read_nodes(args.nodes, job.config.runtime); nodes)
    job.nodes = std::move(*nodes);
  else
    return fail(nodes.error());
  // Before the guard is forked: nobody forks who has started CUDA.
  if (job.nodes.empty()) {
    auto named = config::name_devices(job.devices,
                                      [] { return node::find_gpus(); });
    if (!named)
      return fail(named.error());
    job.devices = std::move(*named);
    config::take_all_devices(job.config, job.devices.count);
  }
  if (auto identity = read_identity(args.certs, job); !identity)
    return fail(identity.error());
  auto policy = job.config.runtime.on_failure;
  if (job.nodes.empty() && policy != config::failure_policy::stop
      && job.devices.kind == config::device_kind::inproc)
    return fail(errc::invalid,
                fmt::format("runtime.on_failure: {} needs device processes; "
                            "use --devices cpu:N",
                            to_string(policy)));
  if (auto placed = check_placement(job, app); !placed)
    return fail(placed.error());
  if (!app.data)
    return fail(errc::invalid,
                fmt::format("application '{}' declares no data", app.name));
  auto data = ask_application("making the data",
                              [&] { return app.data(job.config.runtime); });
  if (!data)
    return fail(data.error());
  job.data = std::move(*data);
  if (auto fits = apply_data_options(job.config, app, *job.data); !fits)
    return fail(fits.error());
  if (app.check)
    if (auto sound = ask_application("checking the configuration",
                                     [&] { return app.check(job.config); });
        !sound)
      return fail(sound.error());
  // Whoever makes a folder has something to remove.
  if (args.resume.empty())
    watch->reset();
  if (auto chosen = args.resume.empty() ? make_directory(job, app)
                                        : find_checkpoint(job, app);
      !chosen)
    return fail(chosen.error());
  return job;
}

log::level level_of(const std::string& name) {
  if (name == "debug")
    return log::level::debug;
  if (name == "warning")
    return log::level::warning;
  if (name == "error")
    return log::level::error;
  return log::level::info;
}

/// A failure before the engine has begun, as the engine would tell it.
engine::run_outcome failed_outcome(const error& why) {
  engine::run_outcome out;
  out.end = engine::run_end::failed;
  out.verdict.root.code = why.code();
  out.verdict.root.operation = "start";
  out.verdict.root.message = why.message();
  return out;
}

int exit_code(engine::run_end end) {
  switch (end) {
    case engine::run_end::finished: return 0;
    case engine::run_end::interrupted: return exit_interrupted;
    default: return exit_failed;
  }
}

/// The last words, on the terminal and in the run's directory. False if
/// something that the run should leave behind could not be written.
bool tell_end(const prepared_job& job, const engine::run_outcome& outcome,
              const console::run_directory& directory, run_view& view) {
  auto summary = make_summary(job.config, outcome, directory);
  auto summarized = directory.write_summary(summary);
  view.write_plot(directory, job.config.app);
  view.finish();
  auto lost = view.lost_output();
  if (!summarized)
    lost = summarized.error();
  std::error_code ignored;
  std::erase_if(summary.files, [&](const std::string& name) {
    return !std::filesystem::exists(directory.path() / name, ignored);
  });
  auto look = console::style_for(view.terminal());
  // The first cause of a failed run is the last thing that is said.
  auto failed = outcome.end == engine::run_end::failed;
  if (!failed)
    view.terminal().write(console::render_summary(summary, look));
  if (lost)
    console::complain(lost->message());
  if (failed)
    view.terminal().write(
      console::render_failure(make_failure(outcome, directory), look));
  return !lost;
}

/// The last words of a run that has not begun. Of a new one nothing is kept:
/// there is nothing to look at, and its name is free again. One that was to go
/// on stays as it was, with the log of the attempt.
void tell_no_begin(const prepared_job& job, const engine::run_outcome& outcome,
                   const console::run_directory& directory, run_view& view) {
  view.finish();
  auto report = make_failure(outcome, directory);
  if (!job.resume) {
    report.log_dir.clear();
    report.far_logs.clear();
  }
  view.terminal().write(
    console::render_failure(report, console::style_for(view.terminal())));
  if (!job.resume)
    directory.discard();
}

/// What has to end when the driver does, however that ends. Forked before the
/// first thread exists.
struct watchmen {
  /// Of the run's folder.
  std::unique_ptr<process::sweeper> sweeper;
  /// Of the hosts on this machine, if there are any. Ends first.
  std::unique_ptr<process::guard_client> guard;
};

result<std::unique_ptr<process::guard_client>>
start_guard(const std::string& job, const config::runtime_config& runtime) {
  process::guard_settings x;
  x.job_id = job;
  // A debugger may stop a host for as long as it likes.
  if (!runtime.debug) {
    x.pulse = runtime.pulse;
    x.pulse_timeout = runtime.pulse_timeout;
    x.node_grace = runtime.driver_grace;
    x.core_grace = x.core_grace_within(runtime.collective_timeout,
                                       runtime.pulse_timeout);
  }
  auto out = process::guard_client::start(x);
  if (!out)
    return fail(out.error().within("starting the guard"));
  return out;
}

result<watchmen> post_watchmen(const prepared_job& job,
                               const std::string& job_id) {
  watchmen out;
  process::sweeper_settings x;
  if (!job.nodes.empty()) {
    // Their nodes end them at once, but not before they have heard of it.
    x.linger = std::chrono::seconds{1};
  } else if (job.devices.kind != config::device_kind::inproc) {
    auto guard = start_guard(job_id, job.config.runtime);
    if (!guard)
      return fail(guard.error());
    out.guard = std::move(*guard);
    x.guard_pid = out.guard->pid();
    // If the guard is killed too, hosts end without being waited for.
    x.linger = std::chrono::milliseconds{200};
  }
  const auto& directory = *job.directory;
  x.folder = directory.descriptor();
  x.leftovers = directory.leftovers();
  x.leftovers.push_back(directory.checkpoint_dir().filename()
                        / fmt::format("*{}", checkpoint::unfinished_suffix));
  auto sweeper = process::sweeper::start(x);
  if (!sweeper)
    return fail(sweeper.error().within("starting the sweeper"));
  out.sweeper = std::move(*sweeper);
  return out;
}

} // namespace

std::vector<std::string> all_overrides(const run_arguments& args) {
  auto out = args.overrides;
  if (!args.seed.empty())
    out.push_back("runtime.seed=" + args.seed);
  if (!args.data_path.empty())
    out.push_back("runtime.data_path=" + args.data_path);
  if (!args.name.empty())
    out.push_back("runtime.run_name=" + args.name);
  if (!args.resume.empty()) {
    // Wherever the run was begun: here it is now.
    if (auto path = resumed_run(args)) {
      auto parent = path->parent_path();
      out.push_back("runtime.output_dir="
                    + (parent.empty() ? "." : parent.string()));
      out.push_back("runtime.run_name=" + path->filename().string());
    }
  } else if (!args.output_dir.empty()) {
    out.push_back("runtime.output_dir=" + args.output_dir);
  }
  return out;
}

result<std::filesystem::path> resumed_run(const run_arguments& args) {
  return console::run_directory::find(args.output_dir.empty() ? "runs"
                                                              : args.output_dir,
                                      args.resume);
}

int run(const application& app, const run_arguments& args) {
  auto job = prepare(app, args);
  if (!job)
    return refuse(job.error());
  const auto& runtime = job->config.runtime;
  const auto& directory = job->directory;
  auto job_id = node::make_job_id();
  auto watch = post_watchmen(*job, job_id);
  if (!watch)
    return refuse(watch.error());
  auto write_config = [&](const config::job_config& x) {
    return directory->write_config(config::dump_yaml(x, app.schema()));
  };
  // Whether a run can go on elsewhere turns out there: until then it stays as it
  // is.
  auto settles_later = job->resume && !job->nodes.empty();
  if (job->resume && !settles_later)
    if (auto kept = directory->rewind(job->resume->episode); !kept)
      return refuse(kept.error());
  if (!settles_later)
    if (auto written = write_config(job->config); !written)
      return refuse(written.error());
  auto log_file = directory->log_dir() / "driver.log";
  std::error_code ignored;
  // Of machines that may not be those of today.
  if (!settles_later)
    std::filesystem::remove(directory->nodes_file(), ignored);
  if (auto opened = log::open(
        {log_file.string(), "driver", level_of(runtime.log_level)});
      !opened)
    return refuse(opened.error());
  engine::driver_settings settings;
  settings.job = job_id;
  settings.devices = job->devices;
  settings.log_dir = directory->log_dir();
  settings.version = TROUPE_VERSION;
  settings.monitor_file = directory->monitor_file();
  settings.orders_file = directory->orders_file();
  settings.checkpoint_dir = std::filesystem::absolute(
    directory->checkpoint_dir());
  settings.resume = job->resume;
  settings.guard = watch->guard.get();
  settings.nodes = job->nodes;
  settings.identity = job->identity;
  settings.nodes_file = directory->nodes_file();
  run_view view{*directory, fmt::format("{} {}", app.name, directory->name()),
                args.plain};
  std::optional<error> refused;
  auto settled = !settles_later;
  if (!job->nodes.empty())
    settings.on_settled = [&](const config::job_config& x) -> result<void> {
      if (job->resume) {
        if (auto fits = check_resumed(*job->resume, x, app); !fits) {
          refused = fits.error();
          return fits;
        }
        if (auto kept = view.rewind(job->resume->episode); !kept)
          return kept;
        settled = true;
      }
      return write_config(x);
    };
  auto driven = engine::drive(app, job->config, job->data, settings, view);
  auto& outcome = driven.outcome;
  if (!outcome)
    outcome = failed_outcome(outcome.error());
  watch->guard.reset();
  auto complete = true;
  if (refused) {
    view.finish();
    if (!job->resume)
      directory->discard();
  } else if (driven.begun || (job->resume && settled)) {
    complete = tell_end(*job, *outcome, *directory, view);
  } else {
    tell_no_begin(*job, *outcome, *directory, view);
  }
  log::close();
  auto code = refused ? refuse(*refused) : exit_code(outcome->end);
  if (code == 0 && !complete)
    code = exit_failed;
  if (driven.threads_left) {
    // They may be writing still.
    watch->sweeper->close_at_exit();
    std::fflush(nullptr);
    ::_exit(code);
  }
  return code;
}

} // namespace troupe::app_command
