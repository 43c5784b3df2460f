// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/monitoring/monitor_command.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/core.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "troupe/actors/process/signal_watch.hpp"
#include "troupe/apps/console/complaint.hpp"
#include "troupe/apps/console/redraw.hpp"
#include "troupe/apps/console/terminal.hpp"
#include "troupe/apps/console/text.hpp"
#include "troupe/apps/monitoring/run_address.hpp"
#include "troupe/apps/monitoring/run_feed.hpp"
#include "troupe/apps/monitoring/run_picture.hpp"
#include "troupe/apps/monitoring/run_screen.hpp"
#include "troupe/apps/monitoring/tty_mode.hpp"
#include "troupe/core/clock.hpp"

namespace troupe::monitoring {

namespace {

using namespace std::chrono_literals;

constexpr int exit_lost = 1;
constexpr int exit_no_run = 2;

constexpr auto connect_timeout = 3s;

/// How often the screen is drawn without news, and the silence that is told.
constexpr auto tick = 1s;
constexpr auto silence = 3s;

/// Shows what a run tells, in one of the ways there are.
class viewer {
public:
  viewer(const monitor_arguments& args)
    : args_(args),
      out_(console::make_terminal(STDOUT_FILENO)),
      frame_(*out_),
      live_(out_->live() && !args.plain && !args.json && !args.once) {
    // nop
  }

  [[nodiscard]] bool live() const noexcept { return live_; }

  /// False if there is nothing more to show.
  result<bool> show(const std::string& line) {
    auto now = parse_status(line);
    if (!now)
      return fail(now.error());
    heard_ = steady_clock().now();
    auto goes_on = now->end.empty() && !args_.once;
    auto before = std::exchange(now_, std::move(*now));
    if (args_.json) {
      auto clean = clean_json(line);
      if (!clean)
        return fail(clean.error());
      out_->write(*clean + '\n');
    } else if (live_) {
      draw();
    } else if (args_.once) {
      for (const auto& text : monitoring::draw(now_, style(0)))
        out_->write(text + '\n');
    } else {
      for (const auto& text : changes(before, now_))
        say(text);
    }
    return goes_on;
  }

  /// Whether nothing is written any more, and what `console::check_written`
  /// says of that.
  [[nodiscard]] bool unheard() const { return out_->lost() != 0; }
  [[nodiscard]] result<void> written() const {
    return console::check_written(*out_);
  }

  /// Some time has passed.
  void look() {
    if (live_ && heard_)
      draw();
  }

private:
  /// In several lines if it must be; what fits keeps its columns.
  void say(const std::string& text) {
    auto columns = frame_.columns();
    if (console::display_width(text) <= columns)
      return out_->write(text + '\n');
    for (const auto& line : console::wrap(text, columns))
      out_->write(line + '\n');
  }

  [[nodiscard]] screen_style style(int rows) const {
    return {frame_.columns(), static_cast<std::size_t>(std::max(rows, 0)),
            out_->unicode(), out_->colour()};
  }

  void draw() {
    std::string note;
    auto age = steady_clock().now() - *heard_;
    if (age > silence)
      note = fmt::format("no word for {} s",
                         std::chrono::duration_cast<std::chrono::seconds>(age)
                           .count());
    frame_.show(monitoring::draw(now_, style(std::max(out_->rows(), 2)), note));
  }

  const monitor_arguments& args_;
  std::unique_ptr<console::terminal> out_;
  console::redraw frame_;
  bool live_;
  run_picture now_;
  std::optional<time_point> heard_;
};

process::unique_fd watch_signals() {
  auto these = process::ending_signals();
  return process::unique_fd{::signalfd(-1, &these, SFD_CLOEXEC | SFD_NONBLOCK)};
}

/// Whether somebody has pressed q. Keys that mean nothing are thrown away.
bool wants_out(int descriptor) {
  std::array<char, 64> keys;
  auto count = ::read(descriptor, keys.data(), keys.size());
  return std::any_of(keys.data(), keys.data() + std::max<ssize_t>(count, 0),
                     [](char x) { return x == 'q' || x == 'Q'; });
}

result<void> follow(run_feed& feed, viewer& view) {
  auto signals = watch_signals();
  tty_mode keys{view.live() ? STDIN_FILENO : -1};
  for (;;) {
    auto lines = feed.read();
    if (!lines)
      return fail(lines.error());
    for (const auto& line : *lines) {
      auto goes_on = view.show(line);
      if (!goes_on)
        return fail(goes_on.error());
      if (!*goes_on)
        return view.written();
    }
    view.look();
    // Nobody looks any more, or the disk is full.
    if (view.unheard())
      return view.written();
    std::array<pollfd, 3> ready{
      {{feed.descriptor(), POLLIN, 0},
       {signals.get(), POLLIN, 0},
       {keys.changed() ? STDIN_FILENO : -1, POLLIN, 0}}};
    auto wait = std::chrono::milliseconds{tick}.count();
    if (::poll(ready.data(), ready.size(), static_cast<int>(wait)) <= 0)
      continue;
    if (ready[1].revents != 0)
      return {};
    if (ready[2].revents != 0 && wants_out(STDIN_FILENO))
      return {};
  }
}

int complain(const error& why, int code) {
  console::complain(why.message());
  return code;
}

} // namespace

int monitor(const monitor_arguments& args) {
  auto address = find_address(args.target, args.output_dir);
  if (!address)
    return complain(address.error(), exit_no_run);
  auto until = deadline::after(connect_timeout);
  auto feed = run_feed::connect(*address, until);
  if (!feed)
    return complain(feed.error(), exit_no_run);
  auto first = feed->wait_line(until);
  if (!first)
    return complain(first.error(), exit_no_run);
  auto hello = parse_hello(*first, args.version);
  if (!hello)
    return complain(hello.error(), exit_no_run);
  viewer view{args};
  auto done = follow(*feed, view);
  if (!done)
    return complain(done.error(), exit_lost);
  return 0;
}

} // namespace troupe::monitoring
