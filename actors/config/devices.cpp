// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/devices.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "troupe/actors/config/nearest.hpp"
#include "troupe/actors/config/yaml_tree.hpp"

namespace troupe::config {

namespace {

const std::vector<std::string>& kind_names() {
  static const std::vector<std::string> names{"cpu", "cuda", "inproc"};
  return names;
}

/// Reads digits alone: no sign, no blank.
bool read_number(std::string_view text, std::int32_t& value) {
  const auto* last = text.data() + text.size();
  if (text.empty() || text.front() < '0' || text.front() > '9')
    return false;
  auto [end, code] = std::from_chars(text.data(), last, value);
  return code == std::errc{} && end == last;
}

tl::unexpected<error> refuse(std::string_view text, std::string_view why) {
  return fail(errc::invalid,
              fmt::format("--devices {}: {}; allowed: cpu:N, inproc:N, cuda, "
                          "cuda:ID,ID...",
                          quote(text), why));
}

/// How many devices CUDA_VISIBLE_DEVICES names: it ends at the first entry that
/// can be none, like -1.
std::size_t count_named(std::string_view mask) {
  for (std::size_t count = 0;; ++count) {
    auto comma = mask.find(',');
    auto entry = mask.substr(0, comma);
    entry.remove_prefix(std::min(entry.find_first_not_of(' '), entry.size()));
    auto device = entry.starts_with("GPU-") || entry.starts_with("MIG-")
                  || (!entry.empty() && entry.front() >= '0'
                      && entry.front() <= '9');
    if (!device)
      return count;
    // CUDA takes one slice of one GPU, whatever follows.
    if (comma == std::string_view::npos || entry.starts_with("MIG-"))
      return count + 1;
    mask.remove_prefix(comma + 1);
  }
}

std::string name_of(std::size_t id, const gpu& x) {
  return fmt::format("cuda:{} ({})", id, x.name);
}

/// Numbers of all that let us in.
result<std::vector<std::int32_t>> all_open(const gpu_inventory& found) {
  const auto& gpus = found.gpus;
  if (found.mask && count_named(*found.mask) > gpus.size())
    return fail(errc::invalid,
                fmt::format("CUDA_VISIBLE_DEVICES is '{}' and names {} "
                            "devices, of which CUDA shows {}: it hides what "
                            "follows a name that is none; mend it, or name "
                            "devices (cuda:0)",
                            *found.mask, count_named(*found.mask),
                            gpus.size()));
  std::vector<std::int32_t> out;
  for (std::size_t i = 0; i < gpus.size(); ++i)
    if (!gpus[i].closed)
      out.push_back(static_cast<std::int32_t>(i));
  if (out.empty())
    return fail(errc::unavailable,
                "no GPU lets a process in (compute mode Prohibited): "
                "nvidia-smi -c DEFAULT opens them");
  return out;
}

} // namespace

std::string_view host_kind_of(device_kind x) noexcept {
  return x == device_kind::cuda ? "cuda" : "cpu";
}

result<device_request> parse_devices(std::string_view text) {
  auto colon = text.find(':');
  auto kind = text.substr(0, colon);
  const auto& names = kind_names();
  auto found = std::find(names.begin(), names.end(), kind);
  if (found == names.end()) {
    auto why = fmt::format("unknown kind {}", quote(kind));
    if (auto meant = nearest(kind, names))
      why += fmt::format(" (did you mean '{}'?)", *meant);
    return refuse(text, why);
  }
  device_request out;
  out.kind = static_cast<device_kind>(found - names.begin());
  if (colon == std::string_view::npos) {
    out.count = out.kind == device_kind::cuda ? 0 : 1;
    return out;
  }
  auto rest = text.substr(colon + 1);
  if (out.kind != device_kind::cuda) {
    if (!read_number(rest, out.count) || out.count < 1
        || out.count > max_devices)
      return refuse(text, fmt::format("the number of devices must be from 1 to "
                                      "{}",
                                      max_devices));
    return out;
  }
  for (;;) {
    auto comma = rest.find(',');
    std::int32_t device = 0;
    if (!read_number(rest.substr(0, comma), device) || device >= max_devices)
      return refuse(text, fmt::format("device numbers must be from 0 to {}, "
                                      "with commas between them",
                                      max_devices - 1));
    if (std::find(out.ids.begin(), out.ids.end(), device) != out.ids.end())
      return refuse(text, fmt::format("device {} is named twice", device));
    out.ids.push_back(device);
    if (comma == std::string_view::npos)
      break;
    rest.remove_prefix(comma + 1);
  }
  out.count = static_cast<std::int32_t>(out.ids.size());
  return out;
}

std::string to_string(const device_request& x) {
  const auto& name = kind_names()[static_cast<std::size_t>(x.kind)];
  if (x.kind != device_kind::cuda)
    return fmt::format("{}:{}", name, x.count);
  if (x.ids.empty())
    return name;
  return fmt::format("{}:{}", name, fmt::join(x.ids, ","));
}

result<device_request> name_devices(const device_request& x,
                                    const gpu_finder& find) {
  if (x.kind != device_kind::cuda)
    return x;
  auto found = find();
  if (!found)
    return fail(found.error().within("--devices " + to_string(x)));
  const auto& gpus = found->gpus;
  if (gpus.empty())
    return fail(errc::unavailable,
                fmt::format("--devices {}: no GPU can be used: {}; or use "
                            "--devices cpu:N",
                            to_string(x),
                            found->why.empty() ? "there is none" : found->why));
  auto out = x;
  if (out.ids.empty()) {
    auto all = all_open(*found);
    if (!all)
      return fail(all.error().within("--devices " + to_string(x)));
    out.ids = std::move(*all);
    out.count = static_cast<std::int32_t>(out.ids.size());
    return out;
  }
  for (auto id : out.ids) {
    auto index = static_cast<std::size_t>(id);
    if (index < gpus.size()) {
      if (gpus[index].closed)
        return fail(errc::unavailable,
                    fmt::format("--devices {}: {} lets no process in (compute "
                                "mode Prohibited): open it with nvidia-smi -i "
                                "{} -c DEFAULT, or name others",
                                to_string(x), name_of(index, gpus[index]),
                                gpus[index].uuid));
      continue;
    }
    std::vector<std::string> names;
    for (std::size_t i = 0; i < gpus.size(); ++i)
      names.push_back(name_of(i, gpus[i]));
    auto text = fmt::format("--devices {}: there is no cuda:{} here; this "
                            "machine has {}",
                            to_string(x), id, fmt::join(names, ", "));
    if (found->mask)
      text += fmt::
        format("; CUDA_VISIBLE_DEVICES is '{}': it hides the others, "
               "and numbers begin with its first",
               *found->mask);
    return fail(errc::invalid, std::move(text));
  }
  return out;
}

result<void> check_devices(std::int64_t required, std::int64_t available,
                           const device_request& request) {
  if (required <= available)
    return {};
  auto noun = [](std::int64_t count) {
    return count == 1 ? "device" : "devices";
  };
  auto remedy = request.kind == device_kind::cuda
                  ? std::string{"lower num_gpu or let more models share "
                                "devices (runtime.colocation)"}
                  : fmt::format("ask for {}:{} or let more models share "
                                "devices (runtime.colocation)",
                                kind_names()[static_cast<std::size_t>(
                                  request.kind)],
                                required);
  return fail(errc::exhausted,
              fmt::format("the job requires {} {}, --devices {} makes {} "
                          "available; {}",
                          required, noun(required), to_string(request),
                          available, remedy));
}

} // namespace troupe::config
