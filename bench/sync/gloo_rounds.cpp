// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/sync/paired_link.hpp"
#include "troupe/bench/sync/rounds.hpp"
#include "troupe/bench/sync/stopwatch.hpp"
#include "troupe/comm/gloo/factory.hpp"

namespace troupe::bench {

namespace {

using namespace comm::transfer;

/// Our end of a link over Gloo.
result<comm::link_ptr> connect(const two_processes& with) {
  auto self = comm::gloo::make_endpoint(own_rank(with), 2);
  if (!self)
    return fail(self.error());
  return paired_link(with, **self, "gloo");
}

} // namespace

result<gloo_figures> measure_gloo(const two_processes& with, bare_gloo& bare,
                                  const sync_load& load, std::size_t rounds) {
  auto sends = with.self() == sync_end::source;
  auto tensors = make_tensors(load, sends ? 1 : 0, heap);
  if (!tensors)
    return fail(tensors.error());
  auto line = connect(with);
  if (!line)
    return fail(line.error());
  auto made = sends ? executor::make(load.sends(link_kind::gloo), tensors->list,
                                     {*line}, {})
                    : executor::make(load.receives(link_kind::gloo),
                                     tensors->list, {}, {*line});
  if (!made)
    return fail(made.error());
  gloo_figures out;
  auto first = timed_run(with, **made, run_mode::in_place);
  if (!first)
    return fail(first.error());
  out.first = *first;
  for (std::size_t i = 0; i < rounds; ++i) {
    auto raw = bare.send(*tensors);
    auto link = raw ? timed_run(with, **made, run_mode::in_place) : raw;
    if (!link)
      return fail(link.error());
    out.raw.push_back(*raw);
    out.link.push_back(*link);
  }
  return out;
}

} // namespace troupe::bench
