// SPDX-License-Identifier: Apache-2.0
// Everything that comes from another machine, or names one: the first byte
// selects the reader. Whatever the rest holds, the outcome is an error, or a
// value within its bounds that survives being written and read again.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "troupe/actors/net/data_protocol.hpp"
#include "troupe/actors/net/endpoint.hpp"
#include "troupe/actors/net/job_key.hpp"
#include "troupe/actors/net/peer_user.hpp"
#include "troupe/actors/net/preamble.hpp"

using namespace troupe;
using namespace troupe::net;

namespace {

void require(bool condition) {
  if (!condition)
    std::abort();
}

void try_endpoints(std::string_view text) {
  if (auto x = parse_endpoint(text)) {
    auto again = parse_endpoint(to_string(*x));
    require(again.has_value() && *again == *x);
  }
  if (auto list = parse_endpoints(text)) {
    require(!list->empty());
    for (const auto& x : *list)
      require(x.port != 0);
  }
}

void try_preamble(std::span<const std::byte> raw) {
  if (raw.size() >= preamble::header_bytes) {
    auto size = preamble::body_size(raw.first(preamble::header_bytes));
    require(!size || *size <= preamble::body_bytes_max);
  }
  auto x = preamble::decode(raw);
  if (!x)
    return;
  auto again = preamble::decode(preamble::encode(*x));
  require(again.has_value() && *again == *x);
  if (auto* hello = std::get_if<preamble::hello>(&*x))
    require(hello->slot >= process::node_slot
            && hello->slot < process::slots_max && hello->job.size() <= 64);
  if (auto* refused = std::get_if<preamble::refused>(&*x))
    for (auto c : refused->reason.message())
      require(c >= ' ' && c <= '~');
}

void try_data(std::span<const std::byte> raw) {
  if (auto x = data_protocol::decode_request(raw)) {
    auto again = data_protocol::decode_request(data_protocol::encode(*x));
    require(again.has_value() && *again == *x);
  }
  if (auto x = data_protocol::decode_answer(raw)) {
    require(x->found || x->size <= data_protocol::answer::text_bytes_max);
    auto again = data_protocol::decode_answer(data_protocol::encode(*x));
    require(again.has_value() && *again == *x);
  }
}

void try_key(std::string_view text) {
  if (auto x = job_key::from_hex(text))
    require(job_key::from_hex(x->hex()).value() == *x);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  if (size == 0)
    return 0;
  std::string_view text{reinterpret_cast<const char*>(data), size};
  auto rest = text.substr(1);
  auto raw = std::as_bytes(std::span{rest});
  switch (text.front()) {
    case 'e': try_endpoints(rest); break;
    case 'd': try_data(raw); break;
    case 'k': try_key(rest); break;
    case 'u':
      (void) find_user(rest, socket_address::loopback(0x9c40),
                       socket_address::loopback(0x1f90));
      break;
    default: try_preamble(raw); break;
  }
  return 0;
}
