// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda/check.hpp"

#include <fmt/format.h>

namespace troupe::comm::cuda {

namespace {

thread_local std::string working_for;

/// From the room on: where the sources stood when they were compiled is of no
/// interest.
std::string_view short_path(std::string_view file) {
  auto at = file.rfind("/comm/");
  if (at == std::string_view::npos)
    at = file.rfind('/');
  return at == std::string_view::npos ? file : file.substr(at + 1);
}

} // namespace

bool sticky(status code) noexcept {
  switch (code) {
    case 214: // cudaErrorECCUncorrectable
    case 220: // cudaErrorNvlinkUncorrectable
    case 226: // cudaErrorContained
    case codes::illegal_address:
    case 702: // cudaErrorLaunchTimeout
    case 709: // cudaErrorContextIsDestroyed
    case 710: // cudaErrorAssert
    case 714: // cudaErrorHardwareStackError
    case 715: // cudaErrorIllegalInstruction
    case 716: // cudaErrorMisalignedAddress
    case 717: // cudaErrorInvalidAddressSpace
    case 718: // cudaErrorInvalidPc
    case codes::launch_failure:
    case 721: // cudaErrorTensorMemoryLeak
    case 810: // cudaErrorMpsClientTerminated
    case 911: // cudaErrorExternalDevice
      return true;
    default: return false;
  }
}

errc reaction_to(status code) noexcept {
  if (sticky(code))
    return errc::lost;
  switch (code) {
    case codes::out_of_memory: return errc::exhausted;
    case codes::insufficient_driver:
    case codes::no_device:
    case codes::invalid_device:
    case codes::devices_unavailable:
    case 34: // cudaErrorStubLibrary
    case 36: // cudaErrorCallRequiresNewerDriver
    case 209: // cudaErrorNoKernelImageForDevice
    case 222: // cudaErrorUnsupportedPtxVersion
    case 802: // cudaErrorSystemNotReady
    case 803: // cudaErrorSystemDriverMismatch
    case 804: // cudaErrorCompatNotSupportedOnDevice
    case 805: // cudaErrorMpsConnectionFailed
    case 806: // cudaErrorMpsRpcFailure
    case 807: // cudaErrorMpsServerNotReady
    case 808: // cudaErrorMpsMaxClientsReached
    case 809: // cudaErrorMpsMaxConnectionsReached
      return errc::unavailable;
    default: return errc::failed;
  }
}

std::string_view remedy_for(status code) noexcept {
  switch (code) {
    case 34: // cudaErrorStubLibrary
      return "take the toolkit's stubs out of LD_LIBRARY_PATH; a container "
             "needs the devices, too";
    case codes::insufficient_driver:
    case 36: // cudaErrorCallRequiresNewerDriver
      return "update the NVIDIA driver, or build with an older CUDA toolkit";
    case codes::devices_unavailable:
      return "the GPU lets in one process or none (compute mode: nvidia-smi -q "
             "-d COMPUTE), or has no memory left for one more: end the others, "
             "put models into one process, or let several in with nvidia-smi "
             "-c DEFAULT";
    case codes::no_device:
      return "see CUDA_VISIBLE_DEVICES, and give a container the devices";
    case codes::invalid_device:
      return "see CUDA_VISIBLE_DEVICES, which hides and renumbers devices";
    case 209: // cudaErrorNoKernelImageForDevice
      return "build for this device: CMAKE_CUDA_ARCHITECTURES";
    case 214: // cudaErrorECCUncorrectable
    case 220: // cudaErrorNvlinkUncorrectable
      return "the hardware is faulty: the kernel's log (dmesg, Xid) names the "
             "device";
    case 222: // cudaErrorUnsupportedPtxVersion
      return "update the NVIDIA driver, or build for this device: "
             "CMAKE_CUDA_ARCHITECTURES";
    case 802: // cudaErrorSystemNotReady
      return "a daemon of the machine is not ready; where GPUs are linked by "
             "NVSwitch, nvidia-fabricmanager of the driver's version must run";
    case 803: // cudaErrorSystemDriverMismatch
      return "libcuda and the kernel's driver differ: restart the machine "
             "after an update, or take another libcuda (cuda-compat) out of "
             "LD_LIBRARY_PATH";
    case 804: // cudaErrorCompatNotSupportedOnDevice
      return "take cuda-compat out of LD_LIBRARY_PATH, which this device does "
             "not support, and update the NVIDIA driver";
    case 805: // cudaErrorMpsConnectionFailed
    case 806: // cudaErrorMpsRpcFailure
      return "see CUDA's Multi-Process Service (nvidia-cuda-mps-control), or "
             "run without it";
    case 807: // cudaErrorMpsServerNotReady
      return "after a fault CUDA's Multi-Process Service lets nobody in until "
             "all its clients have ended";
    case 808: // cudaErrorMpsMaxClientsReached
    case 809: // cudaErrorMpsMaxConnectionsReached
      return "CUDA's Multi-Process Service has too many clients: let more "
             "models share a process";
    case 810: // cudaErrorMpsClientTerminated
      return "CUDA's Multi-Process Service ends all clients of a device on "
             "which one has failed: look for the first error";
    case 999: // cudaErrorUnknown
      return "see whether nvidia-smi still shows the device here, and what the "
             "kernel's log says of it (dmesg, Xid)";
    default: return {};
  }
}

error describe(runtime& api, status code, std::string_view call,
               call_site where) {
  auto last = api.take_last_error();
  // A call that fails for a reason of its own on a dead device.
  if (!sticky(code) && sticky(last))
    code = last;
  auto text = fmt::format("{}: {} ({}) at {}:{}", call, api.text_of(code),
                          api.name_of(code), short_path(where.file),
                          where.line);
  if (!working_for.empty())
    text += fmt::format(" on {}", working_for);
  if (sticky(code))
    text += "; this process cannot use the device any more: start it anew";
  if (auto remedy = remedy_for(code); !remedy.empty())
    text += fmt::format("; {}", remedy);
  return error{reaction_to(code), std::move(text)};
}

void ignore(runtime& api, status code) noexcept {
  if (code != codes::success)
    (void) api.take_last_error();
}

scoped_rank::scoped_rank(std::string who)
  : outer_(std::exchange(working_for, std::move(who))) {
  // nop
}

scoped_rank::scoped_rank(int rank) : scoped_rank(fmt::format("rank {}", rank)) {
  // nop
}

scoped_rank::~scoped_rank() {
  working_for = std::move(outer_);
}

const std::string& scoped_rank::current() noexcept {
  return working_for;
}

} // namespace troupe::comm::cuda
