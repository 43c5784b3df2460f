// SPDX-License-Identifier: Apache-2.0
// In builds with CUDA: the one file that spells NCCL's names.
#include "troupe/comm/nccl/nccl_library.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include <cuda_runtime_api.h>
#include <fmt/core.h>
#include <nccl.h>

#include "troupe/comm/nccl/version.hpp"
#include "troupe/core/log.hpp"

namespace troupe::comm::nccl {

namespace {

static_assert(NCCL_VERSION_CODE >= oldest_version,
              "Troupe needs the headers of NCCL 2.19 or newer");
static_assert(sizeof(ncclUniqueId) == sizeof(unique_id));
static_assert(codes::success == ncclSuccess);
static_assert(codes::unhandled_cuda_error == ncclUnhandledCudaError);
static_assert(codes::system_error == ncclSystemError);
static_assert(codes::internal_error == ncclInternalError);
static_assert(codes::invalid_argument == ncclInvalidArgument);
static_assert(codes::invalid_usage == ncclInvalidUsage);
static_assert(codes::remote_error == ncclRemoteError);
static_assert(codes::in_progress == ncclInProgress);

ncclComm_t as_comm(comm_handle x) {
  return static_cast<ncclComm_t>(x);
}

cudaStream_t as_stream(cuda::stream_handle x) {
  return static_cast<cudaStream_t>(x);
}

/// NCCL writes the handle from a thread of its own, so it must stand in the
/// caller's place and not in a copy.
ncclComm_t* as_target(comm_handle& out) {
  static_assert(sizeof(ncclComm_t) == sizeof(comm_handle));
  return reinterpret_cast<ncclComm_t*>(&out);
}

ncclConfig_t non_blocking() {
  ncclConfig_t out = NCCL_CONFIG_INITIALIZER;
  out.blocking = 0;
  return out;
}

/// False: NCCL has no such type.
bool as_type(dtype x, ncclDataType_t& out) {
  switch (x) {
    case dtype::float32: out = ncclFloat32; return true;
    case dtype::bfloat16: out = ncclBfloat16; return true;
    case dtype::float16: out = ncclFloat16; return true;
    case dtype::float64: out = ncclFloat64; return true;
    case dtype::int64: out = ncclInt64; return true;
    case dtype::int32: out = ncclInt32; return true;
    case dtype::uint8: out = ncclUint8; return true;
    // Largest and smallest of 0 and 1.
    case dtype::boolean: out = ncclUint8; return true;
  }
  return false;
}

bool as_op(reduce_op x, ncclRedOp_t& out) {
  switch (x) {
    case reduce_op::sum: out = ncclSum; return true;
    case reduce_op::max: out = ncclMax; return true;
    case reduce_op::min: out = ncclMin; return true;
  }
  return false;
}

class nccl_library final : public library {
public:
  explicit nccl_library(std::int32_t version) : version_(version) {
    // nop
  }

  std::int32_t version() const noexcept override { return version_; }

  std::string text_of(status x) const override {
    return ncclGetErrorString(static_cast<ncclResult_t>(x));
  }

  std::string last_error(comm_handle comm) const override {
    const auto* text = ncclGetLastError(as_comm(comm));
    return text == nullptr ? "" : text;
  }

  // -- communicators -----------------------------------------------------------

  status make_id(unique_id& out) noexcept override {
    ncclUniqueId id{};
    auto code = ncclGetUniqueId(&id);
    std::memcpy(out.data(), &id, sizeof(id));
    return code;
  }

  status init(comm_handle& out, const unique_id& id, std::int32_t size,
              std::int32_t rank) noexcept override {
    ncclUniqueId raw{};
    std::memcpy(&raw, id.data(), sizeof(raw));
    auto config = non_blocking();
    return ncclCommInitRankConfig(as_target(out), size, raw, rank, &config);
  }

  status split(comm_handle comm, std::int32_t color, std::int32_t key,
               comm_handle& out) noexcept override {
    auto config = non_blocking();
    return ncclCommSplit(as_comm(comm), color < 0 ? NCCL_SPLIT_NOCOLOR : color,
                         key, as_target(out), &config);
  }

  bool can_shrink() const noexcept override {
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 27, 0)
    return version_ >= NCCL_VERSION(2, 27, 0);
#else
    return false;
#endif
  }

  status shrink([[maybe_unused]] comm_handle comm,
                [[maybe_unused]] std::span<const std::int32_t> excluded,
                [[maybe_unused]] comm_handle& out) noexcept override {
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 27, 0)
    // NCCL takes the list as its own to change; ours stays as it is. It copies
    // it before it returns.
    try {
      std::vector<int> ranks{excluded.begin(), excluded.end()};
      auto config = non_blocking();
      return ncclCommShrink(as_comm(comm), ranks.data(),
                            static_cast<int>(ranks.size()), as_target(out),
                            &config, NCCL_SHRINK_ABORT);
    } catch (...) {
      return codes::system_error;
    }
#else
    return codes::invalid_usage;
#endif
  }

  status async_error(comm_handle comm, status& out) noexcept override {
    auto found = ncclSuccess;
    auto code = ncclCommGetAsyncError(as_comm(comm), &found);
    out = found;
    return code;
  }

  status finalize(comm_handle comm) noexcept override {
    return ncclCommFinalize(as_comm(comm));
  }

  status destroy(comm_handle comm) noexcept override {
    return ncclCommDestroy(as_comm(comm));
  }

  status abort(comm_handle comm) noexcept override {
    return ncclCommAbort(as_comm(comm));
  }

  // -- operations --------------------------------------------------------------

  status group_begin() noexcept override {
    return ncclGroupStart();
  }

  status group_end() noexcept override {
    return ncclGroupEnd();
  }

  status send(const void* data, std::uint64_t bytes, std::int32_t peer,
              comm_handle comm, cuda::stream_handle stream) noexcept override {
    return ncclSend(data, bytes, ncclInt8, peer, as_comm(comm),
                    as_stream(stream));
  }

  status recv(void* data, std::uint64_t bytes, std::int32_t peer,
              comm_handle comm, cuda::stream_handle stream) noexcept override {
    return ncclRecv(data, bytes, ncclInt8, peer, as_comm(comm),
                    as_stream(stream));
  }

  status broadcast(void* data, std::uint64_t bytes, std::int32_t root,
                   comm_handle comm,
                   cuda::stream_handle stream) noexcept override {
    return ncclBroadcast(data, data, bytes, ncclInt8, root, as_comm(comm),
                         as_stream(stream));
  }

  status all_reduce(void* data, std::uint64_t elements, dtype type,
                    reduce_op op, comm_handle comm,
                    cuda::stream_handle stream) noexcept override {
    auto raw_type = ncclFloat32;
    auto raw_op = ncclSum;
    if (!as_type(type, raw_type) || !as_op(op, raw_op))
      return codes::invalid_argument;
    return ncclAllReduce(data, data, elements, raw_type, raw_op, as_comm(comm),
                         as_stream(stream));
  }

  status all_gather(const void* in, void* out, std::uint64_t bytes,
                    comm_handle comm,
                    cuda::stream_handle stream) noexcept override {
    return ncclAllGather(in, out, bytes, ncclInt8, as_comm(comm),
                         as_stream(stream));
  }

  status reduce_scatter(const void* in, void* out, std::uint64_t elements,
                        dtype type, reduce_op op, comm_handle comm,
                        cuda::stream_handle stream) noexcept override {
    auto raw_type = ncclFloat32;
    auto raw_op = ncclSum;
    if (!as_type(type, raw_type) || !as_op(op, raw_op))
      return codes::invalid_argument;
    return ncclReduceScatter(in, out, elements, raw_type, raw_op, as_comm(comm),
                             as_stream(stream));
  }

  // -- memory ------------------------------------------------------------------

  status register_memory(comm_handle comm, void* memory, std::uint64_t bytes,
                         registration_handle& out) noexcept override {
    return ncclCommRegister(as_comm(comm), memory, bytes, &out);
  }

  status deregister(comm_handle comm,
                    registration_handle what) noexcept override {
    return ncclCommDeregister(as_comm(comm), what);
  }

private:
  const std::int32_t version_;
};

/// The version of the library that was loaded, if it is one to use.
result<std::int32_t> usable_version() {
  if (auto one = one_nccl(loaded_images()); !one)
    return fail(one.error());
  auto found = 0;
  if (auto code = ncclGetVersion(&found); code != ncclSuccess)
    return fail(errc::unavailable, fmt::format("NCCL does not say its version: "
                                               "{}",
                                               ncclGetErrorString(code)));
  if (auto good = check_versions(NCCL_VERSION_CODE, found); !good)
    return fail(good.error());
  return found;
}

/// The older of runtime and driver; the runtime's where there is no driver.
std::int32_t cuda_version() {
  auto runtime = 0;
  auto driver = 0;
  if (cudaRuntimeGetVersion(&runtime) != cudaSuccess)
    return 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
    return runtime;
  return std::min(runtime, driver);
}

} // namespace

probe_result probe_nccl() {
  auto version = usable_version();
  if (!version)
    return {false, version.error().message()};
  return {true, fmt::format("NCCL {}", version_text(*version))};
}

result<library_ptr> make_nccl_library() {
  auto version = usable_version();
  if (!version)
    return fail(version.error());
  if (auto concern = order_launches(*version, cuda_version()); !concern.empty())
    log::warning("nccl", "{}", concern);
  return std::make_shared<nccl_library>(*version);
}

} // namespace troupe::comm::nccl
