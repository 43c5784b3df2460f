// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/app/command_line.hpp"

#include <algorithm>
#include <csignal>
#include <exception>
#include <filesystem>
#include <memory>
#include <string_view>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "troupe/actors/config/loader.hpp"
#include "troupe/actors/config/nearest.hpp"
#include "troupe/actors/node/gpu_probe.hpp"
#include "troupe/actors/node/guarded_launcher.hpp"
#include "troupe/actors/node/host_main.hpp"
#include "troupe/actors/process/last_words.hpp"
#include "troupe/actors/process/signal_watch.hpp"
#include "troupe/actors/process/spawn_process.hpp"
#include "troupe/apps/app/app.hpp"
#include "troupe/apps/app/node_command.hpp"
#include "troupe/apps/app/run_command.hpp"
#include "troupe/apps/app/scale_command.hpp"
#include "troupe/apps/console/complaint.hpp"
#include "troupe/apps/console/text.hpp"
#include "troupe/apps/monitoring/monitor_command.hpp"
#include "troupe/apps/planning/plan_command.hpp"

namespace troupe::app_command {

namespace {

constexpr int exit_bad_input = 2;

int refuse(std::string_view text) {
  console::complain(text);
  return exit_bad_input;
}

app* find(const std::vector<app*>& apps, std::string_view name) {
  auto i = std::ranges::find_if(apps, [&](app* x) {
    return x->description().name == name;
  });
  return i == apps.end() ? nullptr : *i;
}

/// What CLI11 prints, in 80 columns.
class narrow_help : public CLI::Formatter {
public:
  narrow_help() { column_width(name_columns); }

  std::string make_option_desc(const CLI::Option* option) const override {
    auto lines = console::wrap(option->get_description(),
                               columns - name_columns);
    return fmt::format("{}", fmt::join(lines, "\n"));
  }

private:
  static constexpr std::size_t columns = 80;
  static constexpr std::size_t name_columns = 30;
};

/// The application that a configuration is for.
result<app*> select(const std::vector<app*>& apps, const std::string& file) {
  auto name = config::peek_app(file);
  if (!name)
    return fail(name.error());
  if (name->empty() && apps.size() == 1)
    return apps.front();
  if (auto* x = find(apps, *name))
    return x;
  std::vector<std::string> names;
  for (auto* x : apps)
    names.push_back(x->description().name);
  if (name->empty())
    return fail(errc::invalid,
                fmt::format("{}: the key 'app' is missing; one of: {}", file,
                            fmt::join(names, ", ")));
  auto text = fmt::format("{}: app: there is no application '{}'", file,
                          console::printable(*name));
  if (auto meant = config::nearest(*name, names))
    text += fmt::format("; did you mean '{}'?", *meant);
  else
    text += fmt::format("; one of: {}", fmt::join(names, ", "));
  return fail(errc::invalid, std::move(text));
}

int host(const std::vector<app*>& apps, int argc, char** argv) {
  std::vector<std::string> args(argv + 2, argv + argc);
  auto* x = args.empty() ? nullptr : find(apps, args.front());
  if (!x)
    return refuse("this verb is for Troupe's guard alone");
  return node::host_main(x->description().models, args,
                         x->description().prepare_host);
}

/// CLI11 only says that a verb is required.
result<void> check_verb(const std::string& verb) {
  static const std::vector<std::string> verbs{"run",   "plan",    "node",
                                              "certs", "monitor", "scale"};
  if (std::ranges::find(verbs, verb) != verbs.end())
    return {};
  auto text = fmt::format("there is no verb '{}'; one of: {}", verb,
                          fmt::join(verbs, ", "));
  if (auto near = config::nearest(verb, verbs))
    text += fmt::format("; did you mean '{}'?", *near);
  return fail(errc::invalid, std::move(text));
}

void add_run_options(CLI::App& verb, run_arguments& args) {
  auto* config = verb.add_option("config", args.config_file,
                                 "The configuration (YAML)");
  verb.add_option("--devices", args.devices,
                  "cpu:N makes N CPU device processes (default: cpu:2); "
                  "cuda takes all GPUs, cuda:0,1 these two; inproc:N keeps "
                  "CPU devices in this process");
  auto* seed = verb.add_option("--seed", args.seed, "Same seed, same run");
  auto* data = verb.add_option("--data", args.data_path,
                               "A dataset file instead of the application's "
                               "own");
  auto* name = verb.add_option("--name", args.name,
                               "The run's name (default: made up)");
  // A run goes on with the configuration that it was begun with.
  verb
    .add_option("--resume", args.resume,
                "Goes on with the run of this name from its last checkpoint")
    ->excludes(config, seed, data, name);
  verb.add_option("--output-dir", args.output_dir,
                  "Where runs are kept (default: runs)");
  verb
    .add_option("--set", args.overrides,
                "Overrides a key, e.g. --set runtime.num_episode=5")
    ->take_all();
  verb.add_flag("--plain", args.plain, "Lines instead of the live view");
  verb.add_option("--nodes", args.nodes,
                  "Runs on these machines instead of this one: HOST:PORT,... "
                  "or a file with one a line");
  verb.add_option("--certs", args.certs,
                  "The folder that 'certs' has made, for other machines");
}

void add_node_options(CLI::App& verb, node_arguments& args) {
  verb.add_option("--listen", args.listen,
                  "HOST:PORT for drivers and other nodes (default: "
                  "127.0.0.1:4100)");
  verb.add_option("--devices", args.devices,
                  "cpu:N offers N CPU devices (default: cpu:2), cuda all "
                  "GPUs, cuda:0,1 these two");
  verb.add_option("--certs", args.certs,
                  "The folder that 'certs' has made; without it only "
                  "127.0.0.1 may be listened on");
  verb.add_option("--log-dir", args.log_dir,
                  "Where a job's processes write logs (default: node-logs)");
  verb.add_flag("--once", args.once, "Ends after one job");
  verb.add_flag("--debug", args.debug,
                "A debugger may stop hosts: nobody takes them for frozen");
}

void add_monitor_options(CLI::App& verb, monitoring::monitor_arguments& args) {
  verb
    .add_option("run", args.target,
                "The run's name or folder, or HOST:PORT where it tells how it "
                "stands (runs/NAME/monitor.address)")
    ->required();
  verb.add_option("--output-dir", args.output_dir,
                  "Where runs are kept (default: runs)");
  verb.add_flag("--json", args.json, "A JSON object a line");
  verb.add_flag("--once", args.once, "How it stands now, and no more");
  verb.add_flag("--plain", args.plain, "Lines instead of a screen");
  verb.footer("Ends with the run, with q, or with Ctrl-C; the run never "
              "notices.\n"
              "Examples:\n"
              "  monitor first\n"
              "  monitor 127.0.0.1:4100 --json");
}

void add_scale_options(CLI::App& verb, scale_arguments& args) {
  verb.add_option("run", args.run, "The run's name or folder")->required();
  verb.add_option("model", args.model, "Which model; one that does not train")
    ->required();
  verb
    .add_option("num_replica", args.num_replica,
                "How many replicas it is to have")
    ->required();
  verb.add_option("--output-dir", args.output_dir,
                  "Where runs are kept (default: runs)");
  verb
    .add_option("--timeout-s", args.timeout_s,
                "How long to wait until it has (default: 600)")
    ->check(CLI::Range(0.001, 86'400.0));
  verb.add_flag("--json", args.json, "The run's answer as a JSON object");
  verb.footer("Done between two episodes; a new replica serves after its first "
              "sync.\n"
              "Example:\n"
              "  scale first policy 3");
}

/// What a configuration is checked against, with the syncs that happen but once
/// marked as such.
config::app_schema schema_for_plan(const application& app) {
  auto out = app.schema();
  for (std::size_t i = 0; i < out.syncs.size(); ++i)
    if (app.sync_kinds[i] == sync_schedule_kind::once)
      out.syncs[i].frequency = 0;
  return out;
}

int plan_verb(const std::vector<app*>& apps, planning::plan_arguments args) {
  args.find_gpus = [] { return node::find_gpus(); };
  if (args.groups)
    return planning::plan_groups(args);
  if (!args.transfer_files.empty())
    return planning::plan_transfer(args);
  if (args.config_file.empty())
    return refuse("plan needs a configuration, --groups or --transfer");
  auto x = select(apps, args.config_file);
  if (!x)
    return refuse(x.error().message());
  return planning::plan(schema_for_plan((*x)->description()), args);
}

int run_verb(const std::vector<app*>& apps, run_arguments args) {
  if (!args.resume.empty()) {
    auto path = resumed_run(args);
    if (!path)
      return refuse(path.error().message());
    args.config_file = (*path / "config.yaml").string();
  } else if (args.config_file.empty()) {
    return refuse("run needs a configuration, or --resume NAME");
  }
  auto x = select(apps, args.config_file);
  if (!x)
    return refuse(x.error().message());
  return run((*x)->description(), args);
}

} // namespace

int run_program(const std::vector<app*>& apps, int argc, char** argv) {
  process::open_standard_streams();
  // A host keeps the usual meaning of signals: SIGTERM is the guard's request.
  if (argc > 1 && std::string_view{argv[1]} == node::host_verb)
    return host(apps, argc, argv);
  if (argc > 1 && std::string_view{argv[1]} == node::gpu_verb)
    return node::tell_gpus();
  process::say_what_ran_out(process::last_act::exit);
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App cli{"Runs RLHF applications on actors."};
  // Verbs take it over.
  cli.formatter(std::make_shared<narrow_help>());
  cli.name(std::filesystem::path{argv[0]}.filename().string());
  cli.require_subcommand(1);
  auto* run_app = cli.add_subcommand("run", "Runs an application");
  run_app->footer("Examples:\n"
                  "  run apps/grpo/addition.yaml --devices cpu:2 --seed 1\n"
                  "  run my.yaml --data problems.jsonl --name first\n"
                  "  run my.yaml --set models.policy.temperature=0.7\n"
                  "  run --resume first");
  run_arguments run_args;
  add_run_options(*run_app, run_args);
  auto*
    plan_app = cli.add_subcommand("plan",
                                  "Shows where the models would go, and why");
  planning::plan_arguments plan_args;
  planning::add_plan_options(*plan_app, plan_args);
  auto* node_app = cli.add_subcommand("node", "Offers this machine to jobs");
  node_app->footer("Examples:\n"
                   "  node --listen 127.0.0.1:4100 --devices cpu:2\n"
                   "then, elsewhere:\n"
                   "  run my.yaml --nodes 127.0.0.1:4100,127.0.0.1:4101");
  node_arguments node_args;
  add_node_options(*node_app, node_args);
  auto* certs_app = cli.add_subcommand("certs",
                                       "Makes certificates that join machines");
  certs_app->footer("Example:\n  certs job-certs --name gpu-a --name 10.0.0.2");
  certs_arguments certs_args;
  certs_app->add_option("folder", certs_args.folder, "Where to")->required();
  certs_app->add_option("--name", certs_args.names,
                        "A machine's name or address, for other programs to "
                        "check");
  certs_app->add_option("--sign", certs_args.sign,
                        "One more certificate of the folder's authority, for "
                        "this machine alone, into FOLDER/MACHINE");
  auto* monitor_app = cli.add_subcommand("monitor", "Shows a run that goes on");
  monitoring::monitor_arguments monitor_args;
  monitor_args.version = TROUPE_VERSION;
  add_monitor_options(*monitor_app, monitor_args);
  auto* scale_app = cli.add_subcommand("scale",
                                       "Adds or removes replicas of a run's "
                                       "model");
  scale_arguments scale_args;
  add_scale_options(*scale_app, scale_args);
  if (argc > 1 && argv[1][0] != '-')
    if (auto known = check_verb(argv[1]); !known)
      return refuse(known.error().message());
  try {
    cli.parse(argc, argv);
  } catch (const CLI::Success& x) {
    // Help does not make up for what nobody understands.
    if (auto unknown = cli.remaining(true); !unknown.empty()) {
      cli.exit(CLI::ExtrasError{cli.get_name(), unknown});
      return exit_bad_input;
    }
    return cli.exit(x);
  } catch (const CLI::ParseError& x) {
    cli.exit(x);
    return exit_bad_input;
  }
  if (certs_app->parsed())
    return make_certs(certs_args);
  if (scale_app->parsed())
    return scale(scale_args);
  if (plan_app->parsed())
    return plan_verb(apps, plan_args);
  // These end in an order of their own; the others when a signal says so.
  process::hold_signals();
  if (node_app->parsed())
    return run_node(node_args);
  if (monitor_app->parsed())
    return monitoring::monitor(monitor_args);
  return run_verb(apps, run_args);
}

} // namespace troupe::app_command
