#include "cli/run_tasks.hpp"

#include "actionflows/base/clock.hpp"

#include <boost/asio/steady_timer.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>

namespace actionflows::cli {
namespace {

using namespace std::chrono_literals;

Task<void> count(int& ended) {
  co_await system_clock().sleep_for(1ms);
  ++ended;
}

Task<void> fail() {
  co_await system_clock().sleep_for(1ms);
  throw std::runtime_error("as it should");
}

TEST(RunTasks, ReturnsWhenAllHaveEnded) {
  boost::asio::io_context context;
  int ended = 0;
  run_workers(context, 5, [&] { return count(ended); });
  EXPECT_EQ(ended, 5);
  run_task(context, [&] { return count(ended); });
  EXPECT_EQ(ended, 6);
}

TEST(RunTasks, WhatElseWaitsDoesNotHoldItUp) {
  boost::asio::io_context context;
  boost::asio::steady_timer timer(context, 1h);
  timer.async_wait([](const boost::system::error_code&) {});
  int ended = 0;
  run_task(context, [&] { return count(ended); });
  EXPECT_EQ(ended, 1);
}

TEST(RunTasks, AnErrorArrivesOnceTheOthersHaveEnded) {
  boost::asio::io_context context;
  int ended = 0;
  int begun = 0;
  EXPECT_THROW(run_workers(context, 3, [&] { return ++begun == 1 ? fail() : count(ended); }),
               std::runtime_error);
  EXPECT_EQ(ended, 2);
}

}  // namespace
}  // namespace actionflows::cli
