// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/devices/environment.hpp"

#include <boost/test/unit_test.hpp>

using namespace troupe::comm::devices;

BOOST_AUTO_TEST_SUITE(devices_environment)

BOOST_AUTO_TEST_CASE(what_decides_about_devices_is_listed_in_order) {
  const char* const all[] = {"PATH=/bin",
                             "PYTORCH_CUDA_ALLOC_CONF=a:b,c:d",
                             "NCCL_SOCKET_IFNAME=^docker0,lo",
                             "NVIDIA_REQUIRE_CUDA=cuda>=13.0 brand=a",
                             "CUDA_VISIBLE_DEVICES=",
                             "NCCL_DEBUG_FILE=a b=c",
                             "NVIDIA_VISIBLE_DEVICES=all",
                             "CUDA_LAUNCH_BLOCKING",
                             "MY_NCCL_KEY=secret",
                             nullptr};
  BOOST_TEST(device_environment(all)
             == "CUDA_LAUNCH_BLOCKING='' CUDA_VISIBLE_DEVICES='' "
                "NCCL_DEBUG_FILE='a b=c' NCCL_SOCKET_IFNAME=^docker0,lo "
                "NVIDIA_VISIBLE_DEVICES=all "
                "PYTORCH_CUDA_ALLOC_CONF=a:b,c:d");
}

BOOST_AUTO_TEST_CASE(where_nothing_is_set_nothing_is_listed) {
  const char* const none[] = {"PATH=/bin", "CUDAX=1", nullptr};
  BOOST_TEST(device_environment(none).empty());
  BOOST_TEST(device_environment(nullptr).empty());
}

BOOST_AUTO_TEST_SUITE_END()
