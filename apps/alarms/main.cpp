// SPDX-License-Identifier: Apache-2.0
// An application that hears of its own errors: a model walks downhill in steps
// that are far too large, and whoever is on duty is told when its loss is no
// number any more.
#include <cstdio>

#include <fmt/core.h>

#include "troupe/apps/app/app.hpp"

namespace {

using troupe::batch;
using troupe::tensor;

/// Looks for the lowest point of x * x.
class walker : public troupe::module {
public:
  void setup(troupe::worker_context& ctx) override {
    rate_ = static_cast<float>(ctx.config().number("rate"));
  }

  batch look(const batch& in) { return in; }

  batch step(const batch&) {
    auto loss = x_ * x_;
    x_ -= rate_ * 2 * x_;
    batch metrics;
    metrics.set_meta("loss", double{loss});
    return metrics;
  }

private:
  float x_ = 1;
  float rate_ = 0;
};

class steps : public troupe::data_source {
public:
  batch draw(troupe::data_stream, std::int64_t rows) override {
    batch out;
    out.set("step", tensor{troupe::dtype::uint8, {rows}});
    return out;
  }

  batch all(troupe::data_stream stream) override { return draw(stream, 0); }
};

/// Where a program would page somebody.
void wake_somebody(const troupe::protocol::error_report& x) {
  fmt::print(stderr, "alarm {}: {}\n", x.id, to_string(x));
}

} // namespace

int main(int argc, char** argv) {
  troupe::app app{"alarms"};
  app.on_error(wake_somebody);
  app.model<walker>("walker")
    .function("look", &walker::look)
    .trainable("step", &walker::step)
    .option("rate", 0.1, "size of a step");
  app.data([]() -> troupe::result<std::unique_ptr<troupe::data_source>> {
    return std::make_unique<steps>();
  });
  app.experience([](troupe::flow& f, troupe::flow::value in) {
    return f.call("walker", &walker::look, in);
  });
  app.training([](troupe::flow& f, troupe::flow::value in) {
    f.call("walker", &walker::step, in);
  });
  return app.main(argc, argv);
}
