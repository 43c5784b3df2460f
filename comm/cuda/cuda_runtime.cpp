// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda/cuda_runtime.hpp"

#include <cstdlib>
#include <cstring>

#include <cuda.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include "troupe/comm/cuda/check.hpp"
#include "troupe/comm/cuda/copy_kernels.hpp"
#include "troupe/comm/cuda/device_guard.hpp"
#include "troupe/comm/cuda/versions.hpp"

namespace troupe::comm::cuda {

namespace {

static_assert(sizeof(cudaIpcMemHandle_t) == sizeof(ipc_handle));
static_assert(sizeof(cudaUUID_t) == sizeof(device_uuid));
static_assert(codes::success == cudaSuccess);
static_assert(codes::invalid_value == cudaErrorInvalidValue);
static_assert(codes::out_of_memory == cudaErrorMemoryAllocation);
static_assert(codes::insufficient_driver == cudaErrorInsufficientDriver);
static_assert(codes::devices_unavailable == cudaErrorDevicesUnavailable);
static_assert(codes::no_device == cudaErrorNoDevice);
static_assert(codes::invalid_device == cudaErrorInvalidDevice);
static_assert(codes::invalid_handle == cudaErrorInvalidResourceHandle);
static_assert(codes::not_ready == cudaErrorNotReady);
static_assert(codes::illegal_address == cudaErrorIllegalAddress);
static_assert(codes::launch_failure == cudaErrorLaunchFailure);

/// Finds the allocation that an address lies in, and its number. The CUDA
/// runtime has no functions for it; the driver's are asked for by name, because
/// a program linked with the driver's library does not start where there is
/// none.
using range_function = CUresult (*)(CUdeviceptr*, std::size_t*, CUdeviceptr);
using attribute_function = CUresult (*)(void*, CUpointer_attribute,
                                        CUdeviceptr);

template <class Function>
cudaError_t find_driver_function(const char* name, Function& out) {
  void* symbol = nullptr;
  cudaDriverEntryPointQueryResult found{};
#if CUDART_VERSION >= 12050
  auto code = cudaGetDriverEntryPointByVersion(name, &symbol, 12000,
                                               cudaEnableDefault, &found);
#else
  auto code = cudaGetDriverEntryPoint(name, &symbol, cudaEnableDefault, &found);
#endif
  if (code != cudaSuccess)
    return code;
  if (found != cudaDriverEntryPointSuccess || symbol == nullptr)
    return cudaErrorSymbolNotFound;
  out = reinterpret_cast<Function>(symbol);
  return cudaSuccess;
}

/// Of the primary context, which is the runtime's.
bool context_on(int device) noexcept {
  using state_function = CUresult (*)(CUdevice, unsigned int*, int*);
  static state_function state = nullptr;
  static const cudaError_t
    found = find_driver_function("cuDevicePrimaryCtxGetState", state);
  unsigned int flags = 0;
  int active = 0;
  // Where nobody can tell, threads go back to their devices as everywhere.
  if (found != cudaSuccess || state(device, &flags, &active) != CUDA_SUCCESS)
    return true;
  return active != 0;
}

/// A property no longer, since CUDA 13.
compute_mode mode_of(int device) noexcept {
  int mode = cudaComputeModeDefault;
  if (cudaDeviceGetAttribute(&mode, cudaDevAttrComputeMode, device)
      != cudaSuccess)
    (void) cudaGetLastError();
  switch (mode) {
    case cudaComputeModeExclusive:
    case cudaComputeModeExclusiveProcess: return compute_mode::exclusive;
    case cudaComputeModeProhibited: return compute_mode::nobody;
    default: return compute_mode::shared;
  }
}

cudaStream_t as_stream(stream_handle x) {
  return static_cast<cudaStream_t>(x);
}

cudaEvent_t as_event(event_handle x) {
  return static_cast<cudaEvent_t>(x);
}

class cuda_runtime final : public runtime {
public:
  [[nodiscard]] std::string version() const override {
    int runtime_version = 0;
    int driver_version = 0;
    (void) cudaRuntimeGetVersion(&runtime_version);
    (void) cudaDriverGetVersion(&driver_version);
    return fmt::format("CUDA runtime {}, driver {}",
                       version_text(runtime_version),
                       version_text(driver_version));
  }

  [[nodiscard]] std::string name_of(status x) const override {
    return cudaGetErrorName(static_cast<cudaError_t>(x));
  }

  [[nodiscard]] std::string text_of(status x) const override {
    return cudaGetErrorString(static_cast<cudaError_t>(x));
  }

  status take_last_error() noexcept override { return cudaGetLastError(); }

  // -- devices -----------------------------------------------------------------

  status device_count(std::int32_t& out) noexcept override {
    return cudaGetDeviceCount(&out);
  }

  status figures(std::int32_t device, device_figures& out) noexcept override {
    cudaDeviceProp found{};
    auto code = cudaGetDeviceProperties(&found, device);
    if (code != cudaSuccess)
      return code;
    out.name = found.name;
    std::memcpy(out.uuid.data(), &found.uuid, out.uuid.size());
    out.memory_bytes = found.totalGlobalMem;
    out.multiprocessors = found.multiProcessorCount;
    out.major = found.major;
    out.minor = found.minor;
    out.mode = mode_of(device);
    return code;
  }

  status current_device(std::int32_t& out) noexcept override {
    return cudaGetDevice(&out);
  }

  status set_device(std::int32_t device) noexcept override {
    return cudaSetDevice(device);
  }

  bool has_context(std::int32_t device) noexcept override {
    return context_on(device);
  }

  status synchronize_device() noexcept override {
    return cudaDeviceSynchronize();
  }

  status memory_bytes(std::uint64_t& free,
                      std::uint64_t& total) noexcept override {
    std::size_t free_bytes = 0;
    std::size_t total_bytes = 0;
    auto code = cudaMemGetInfo(&free_bytes, &total_bytes);
    free = free_bytes;
    total = total_bytes;
    return code;
  }

  // -- memory ------------------------------------------------------------------

  status allocate(std::byte*& out, std::uint64_t bytes) noexcept override {
    void* memory = nullptr;
    auto code = cudaMalloc(&memory, bytes);
    out = static_cast<std::byte*>(memory);
    return code;
  }

  status release(std::byte* memory) noexcept override {
    return cudaFree(memory);
  }

  status allocate_pinned(std::byte*& out,
                         std::uint64_t bytes) noexcept override {
    void* memory = nullptr;
    // For every device of the process.
    auto code = cudaHostAlloc(&memory, bytes, cudaHostAllocPortable);
    out = static_cast<std::byte*>(memory);
    return code;
  }

  status release_pinned(std::byte* memory) noexcept override {
    return cudaFreeHost(memory);
  }

  status facts(const void* where, pointer_facts& out) noexcept override {
    out = {};
    cudaPointerAttributes found{};
    auto code = cudaPointerGetAttributes(&found, where);
    if (code != cudaSuccess)
      return code;
    switch (found.type) {
      case cudaMemoryTypeHost: out.kind = memory_kind::pinned; break;
      case cudaMemoryTypeManaged: out.kind = memory_kind::managed; break;
      case cudaMemoryTypeDevice:
        out.kind = memory_kind::device;
        out.device = found.device;
        return range_of(where, out);
      default: out.kind = memory_kind::pageable; break;
    }
    return code;
  }

  status copy(void* to, const void* from, std::uint64_t bytes,
              stream_handle stream) noexcept override {
    return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault,
                           as_stream(stream));
  }

  status fill(void* to, std::uint8_t value, std::uint64_t bytes,
              stream_handle stream) noexcept override {
    return cudaMemsetAsync(to, value, bytes, as_stream(stream));
  }

  status export_memory(std::byte* memory, ipc_handle& out) noexcept override {
    cudaIpcMemHandle_t handle{};
    auto code = cudaIpcGetMemHandle(&handle, memory);
    std::memcpy(out.data(), &handle, out.size());
    return code;
  }

  status import_memory(const ipc_handle& handle,
                       std::byte*& out) noexcept override {
    cudaIpcMemHandle_t name{};
    std::memcpy(&name, handle.data(), handle.size());
    void* memory = nullptr;
    auto code = cudaIpcOpenMemHandle(&memory, name,
                                     cudaIpcMemLazyEnablePeerAccess);
    out = static_cast<std::byte*>(memory);
    return code;
  }

  status close_imported(std::byte* memory) noexcept override {
    return cudaIpcCloseMemHandle(memory);
  }

  // -- streams and events ------------------------------------------------------

  status create_stream(stream_handle& out) noexcept override {
    cudaStream_t made = nullptr;
    auto code = cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking);
    out = made;
    return code;
  }

  status destroy_stream(stream_handle stream) noexcept override {
    return cudaStreamDestroy(as_stream(stream));
  }

  status create_event(event_handle& out, bool timed) noexcept override {
    cudaEvent_t made = nullptr;
    auto code = cudaEventCreateWithFlags(&made, timed ? cudaEventDefault
                                                      : cudaEventDisableTiming);
    out = made;
    return code;
  }

  status destroy_event(event_handle event) noexcept override {
    return cudaEventDestroy(as_event(event));
  }

  status record(event_handle event, stream_handle stream) noexcept override {
    return cudaEventRecord(as_event(event), as_stream(stream));
  }

  status query(event_handle event) noexcept override {
    auto code = cudaEventQuery(as_event(event));
    // Not an error, but it would be the thread's last one.
    if (code == cudaErrorNotReady)
      (void) cudaGetLastError();
    return code;
  }

  status wait(stream_handle stream, event_handle event) noexcept override {
    return cudaStreamWaitEvent(as_stream(stream), as_event(event), 0);
  }

  status elapsed_ms(event_handle begin, event_handle end,
                    float& out) noexcept override {
    return cudaEventElapsedTime(&out, as_event(begin), as_event(end));
  }

  // -- kernels -----------------------------------------------------------------

  status load_kernels() noexcept override { return load_copy_kernels(); }

  status launch(const copy_launch& what,
                stream_handle stream) noexcept override {
    return launch_copy_kernel(what, stream);
  }

private:
  status range_of(const void* where, pointer_facts& out) noexcept {
    static range_function range = nullptr;
    static attribute_function attribute = nullptr;
    static const cudaError_t
      found = find_driver_function("cuMemGetAddressRange", range);
    static const cudaError_t
      found_attribute = find_driver_function("cuPointerGetAttribute",
                                             attribute);
    for (auto code : {found, found_attribute})
      if (code != cudaSuccess)
        return code;
    // The driver's functions act on the thread's context, which the runtime makes
    // current with the device; without one they say so.
    auto here = device_guard::attempt(*this, out.device);
    CUdeviceptr begin = 0;
    std::size_t bytes = 0;
    // The numbers of the driver's errors are the runtime's.
    auto at = reinterpret_cast<CUdeviceptr>(where);
    auto code = range(&begin, &bytes, at);
    unsigned long long id = 0;
    // Not of an allocation that has a range: a pool's, for example.
    if (code == CUDA_ERROR_INVALID_VALUE || code == CUDA_ERROR_NOT_FOUND)
      return codes::success;
    if (code != CUDA_SUCCESS)
      return static_cast<status>(code);
    // Not every kind of memory has one.
    if (attribute(&id, CU_POINTER_ATTRIBUTE_BUFFER_ID, at) != CUDA_SUCCESS)
      id = 0;
    out.allocation = reinterpret_cast<std::byte*>(begin);
    out.allocation_bytes = bytes;
    out.allocation_id = id;
    return codes::success;
  }
};

} // namespace

probe_result probe_cuda() {
  int runtime_version = 0;
  int driver_version = 0;
  if (cudaRuntimeGetVersion(&runtime_version) != cudaSuccess)
    return {false, "the CUDA runtime does not answer"};
  // Success and 0 where there is no driver.
  if (cudaDriverGetVersion(&driver_version) != cudaSuccess) {
    (void) cudaGetLastError();
    driver_version = 0;
  }
  auto answer = judge_versions(runtime_version, driver_version);
  if (!answer.usable)
    return answer;
  int devices = 0;
  auto code = cudaGetDeviceCount(&devices);
  if (code == cudaErrorNoDevice || (code == cudaSuccess && devices == 0)) {
    (void) cudaGetLastError();
    return {false,
            fmt::format("{}, but no device: {}", answer.reason,
                        explain_no_device(::getenv("CUDA_VISIBLE_DEVICES")))};
  }
  if (code != cudaSuccess) {
    (void) cudaGetLastError();
    auto remedy = remedy_for(code);
    return {false, fmt::format("{}, but no device: {} ({}){}{}", answer.reason,
                               cudaGetErrorString(code), cudaGetErrorName(code),
                               remedy.empty() ? "" : "; ", remedy)};
  }
  answer.reason += fmt::format(", {} device{}", devices,
                               devices == 1 ? "" : "s");
  return answer;
}

runtime_ptr make_cuda_runtime() {
  return std::make_shared<cuda_runtime>();
}

} // namespace troupe::comm::cuda
