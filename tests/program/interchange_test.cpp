// Import, export and verify, end to end.
#include "actionflows/base/encoding.hpp"
#include "tests/program/process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace actionflows::test {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

// A storage of the program's own.
std::string file_in(const Folder& folder) { return "sqlite:" + folder.path("own.db"); }

// A file of ten runs.
std::string gzipped_runs(const Folder& folder) {
  std::string file = folder.path("runs.gz");
  gzFile packed = ::gzopen(file.c_str(), "wb");
  const std::string content = read_file(fixture("runs.ndjson"));
  ::gzwrite(packed, content.data(), static_cast<unsigned>(content.size()));
  ::gzclose(packed);
  return file;
}

Finished import(const std::string& file, const ServerProcess& server) {
  return run_program({"import", file, "--server", server.url()});
}

std::string export_of(const ServerProcess& server) {
  const Finished done = run_program({"export", "--server", server.url(), "--quiet"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  return done.out;
}

TEST(Interchange, TheSameFileTwiceStoresNothingTwice) {
  const ServerProcess server;
  const Finished first = import(fixture("runs.ndjson"), server);
  EXPECT_EQ(first.exit_code, 0);
  EXPECT_THAT(first.out,
              StartsWith("10 lines read: 10 stored, 0 already there, 0 refused (81.2 kB in "));
  EXPECT_EQ(first.err, "");
  const std::string stored = export_of(server);

  const Finished second = import(fixture("runs.ndjson"), server);
  EXPECT_EQ(second.exit_code, 0);
  EXPECT_THAT(second.out, StartsWith("10 lines read: 0 stored, 10 already there, 0 refused"));
  EXPECT_EQ(export_of(server), stored);
}

TEST(Interchange, AnExportGoesThroughASecondServerByteForByte) {
  const Folder folder;
  const ServerProcess server;
  ASSERT_EQ(import(fixture("runs.ndjson"), server).exit_code, 0);
  const std::string file = folder.path("export.ndjson");
  const Finished written =
      run_program({"export", "--server", server.url(), "--output", file, "--quiet"});
  EXPECT_EQ(written.exit_code, 0);
  EXPECT_EQ(written.out, "");
  EXPECT_EQ(written.err, "");

  const ServerProcess second;
  EXPECT_THAT(import(file, second).out, StartsWith("10 lines read: 10 stored"));
  const std::string again = export_of(second);
  EXPECT_EQ(again, read_file(file));
  EXPECT_EQ(std::count(again.begin(), again.end(), '\n'), 10);

  // Another import of it finds everything there, in both.
  EXPECT_THAT(import(file, server).out, StartsWith("10 lines read: 0 stored, 10 already there"));
}

TEST(Interchange, AnExportOfOneUserHoldsTheirSessions) {
  const ServerProcess server;
  ASSERT_EQ(import(fixture("runs.ndjson"), server).exit_code, 0);
  const auto exported = [&](const std::string& user) {
    const Finished done = run_program({"export", "--server", server.url(), "--user", user});
    EXPECT_EQ(done.exit_code, 0);
    return done.err;
  };
  EXPECT_THAT(exported("ann"), StartsWith("3 sessions exported"));
  EXPECT_THAT(exported("carol@example.org"), StartsWith("1 session exported"));
  EXPECT_THAT(exported("nobody&limit=1"), StartsWith("0 sessions exported"));
}

TEST(Interchange, RunsThatNameNoUserGetTheGivenOne) {
  const ServerProcess server;
  ASSERT_EQ(run_program({"import", fixture("runs.ndjson"), "--server", server.url(), "--user",
                         "erin@example.org"})
                .exit_code,
            0);
  const Finished done =
      run_program({"export", "--server", server.url(), "--user", "erin@example.org"});
  EXPECT_THAT(done.err, StartsWith("2 sessions exported"));
}

TEST(Interchange, EverySessionIsRebuiltEqual) {
  const ServerProcess server;
  ASSERT_EQ(import(fixture("runs.ndjson"), server).exit_code, 0);
  const Finished all = run_program({"verify", "--server", server.url()});
  EXPECT_EQ(all.exit_code, 0);
  EXPECT_THAT(all.out, StartsWith("10 of 10 sessions rebuilt equal ("));

  const std::string exported = export_of(server);
  const std::size_t begin = exported.find("\"sessionId\":\"") + 13;
  const std::string id = exported.substr(begin, exported.find('"', begin) - begin);
  const Finished one = run_program({"verify", id, "--server", server.url()});
  EXPECT_EQ(one.exit_code, 0);
  EXPECT_THAT(one.out, StartsWith("1 of 1 session rebuilt equal"));
}

TEST(Interchange, WhatIsNotThereCantBeVerified) {
  const ServerProcess server;
  const Finished done = run_program({"verify", "nobody", "--server", server.url()});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, HasSubstr("nobody"));
  EXPECT_EQ(run_program({"verify", "--server", server.url()}).out,
            "0 of 0 sessions rebuilt equal (0 records from 0 events)\n");
}

TEST(Interchange, BadLinesAreToldWithEveryIssueAndNeverStopTheOthers) {
  const ServerProcess server;
  const Finished done = import(fixture("bad_runs.ndjson"), server);
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.out, StartsWith("13 lines read: 2 stored, 0 already there, 11 refused"));
  EXPECT_EQ(done.err, R"(line 2: malformed JSON at column 48: the text ends too early
line 3: malformed JSON at column 1: unexpected text
line 4: must be an object, not an array
line 5: session.user: must be 1-200 printable ASCII characters without spaces
line 6: session.startedAt: must be an RFC 3339 date and time such as 2026-02-11T20:31:53.375Z
line 8: chains[0].title: must be at least 1 character
line 8: chains[0].source: must be one of flow, composed, meta-task
line 8: chains[0].steps[0].action: must be a string, not a number
line 8: chains[0].steps[0].status: must be one of completed, failed, skipped
line 9: chains[0].steps[0].waitsFor[0]: step 1 can only wait for earlier steps
line 10: unknown field: colour
line 11: chains: is required
line 12: source: appears more than once
line 13: session.cwd: malformed JSON at column 72: this string has an escape that means nothing )"
                      "or half a surrogate pair\n");
  EXPECT_THAT(run_program({"verify", "--server", server.url()}).out,
              StartsWith("2 of 2 sessions rebuilt equal"));

  // A storage of the program's own says the same.
  const Folder folder;
  EXPECT_EQ(run_program({"import", fixture("bad_runs.ndjson"), "--storage", file_in(folder)}).err,
            done.err);
}

TEST(Interchange, AStorageOfTheProgramsOwnHasTheLimitsOfAServer) {
  const std::vector<std::pair<std::string, std::string>> limits = {
      {"MAX_EVENTS", "log is full: prune it (limit 2)"},
      {"MAX_CHAINS", "too many chains (limit 2)"},
      {"MAX_STEPS", "too many steps (limit 2)"}};
  for (const auto& [name, refusal] : limits) {
    const Folder folder;
    const Finished done =
        run_program({"import", fixture("runs.ndjson"), "--storage", file_in(folder)},
                    {.input = {}, .variables = {{"ACTIONFLOWS_" + name, "2"}}});
    EXPECT_EQ(done.exit_code, 1) << name;
    EXPECT_THAT(done.err, HasSubstr(refusal)) << name;
  }
}

TEST(Interchange, StrictStopsAtTheFirstBadLine) {
  const Folder folder;
  const Finished done =
      run_program({"import", fixture("bad_runs.ndjson"), "--storage", file_in(folder), "--strict"});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.out, StartsWith("2 lines read: 1 stored, 0 already there, 1 refused"));
}

TEST(Interchange, StandardInputIsAFileToo) {
  const Folder folder;
  const Finished done =
      run_program({"import", "-", "--storage", file_in(folder)}, {.input = fixture("runs.ndjson")});
  EXPECT_EQ(done.exit_code, 0);
  EXPECT_THAT(done.out, StartsWith("10 lines read: 10 stored"));
}

TEST(Interchange, WindowsLineEndsAndBlankLinesChangeNothing) {
  const Folder folder;
  std::string text = "\r\n  \r\n";
  for (const char c : read_file(fixture("runs.ndjson")))
    text += c == '\n' ? "\r\n\r\n" : std::string(1, c);
  const std::string file = folder.file("windows.ndjson", text);
  const ServerProcess server;
  ASSERT_EQ(import(fixture("runs.ndjson"), server).exit_code, 0);
  EXPECT_THAT(import(file, server).out, StartsWith("10 lines read: 0 stored, 10 already there"));
}

TEST(Interchange, AnUnreadableFileIsAClearFailure) {
  const Folder folder;
  const std::string storage = file_in(folder);
  const Finished absent = run_program({"import", folder.path("absent"), "--storage", storage});
  EXPECT_EQ(absent.exit_code, 1);
  EXPECT_THAT(absent.err, MatchesRegex("actionflows: can't read .*absent: No such file.*\n"));
  const Finished directory = run_program({"import", folder.path(""), "--storage", storage});
  EXPECT_EQ(directory.exit_code, 1);
  EXPECT_THAT(directory.err, HasSubstr("it is a folder"));
}

TEST(Interchange, WithoutAServerThatIsSaidAndNothingElseIsTried) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"import", fixture("runs.ndjson")},
        {"export"},
        {"verify"},
        {"tail"},
        {"tail", "s1"}}) {
    std::vector<std::string> all = arguments;
    all.insert(all.end(), {"--server", "http://127.0.0.1:1"});
    const Finished done = run_program(all);
    EXPECT_EQ(done.exit_code, 1);
    EXPECT_THAT(done.err, HasSubstr("can't reach http://127.0.0.1:1: nothing listens there"));
  }
}

TEST(Interchange, AFailedExportLeavesNoFile) {
  const Folder folder;
  const std::string file = folder.path("export.ndjson");
  const Finished done = run_program({"export", "--server", "http://127.0.0.1:1", "--output", file});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_FALSE(std::filesystem::exists(file));
  EXPECT_FALSE(std::filesystem::exists(file + ".partial"));
}

TEST(Interchange, WhatFollowsTheGzipDataIsReported) {
  const Folder folder;
  const std::string file = gzipped_runs(folder);
  std::ofstream(file, std::ios::app) << "garbage";
  const Finished done = run_program({"import", file, "--storage", file_in(folder)});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, HasSubstr("something else than gzip data after 10 lines"));
  EXPECT_THAT(done.out, StartsWith("10 lines read: 10 stored"));
}

TEST(Interchange, ATruncatedGzipFileIsImportedAsFarAsItGoesAndReported) {
  const Folder folder;
  const std::string file = gzipped_runs(folder);

  const ServerProcess server;
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 9);
  const Finished cut = import(file, server);
  EXPECT_EQ(cut.exit_code, 1);
  EXPECT_THAT(cut.err, HasSubstr("is cut off: its gzip data breaks off after "));
  EXPECT_THAT(cut.out, HasSubstr(" 0 refused"));
  EXPECT_THAT(cut.out, Not(HasSubstr(" 0 stored")));
  const Finished rest = import(fixture("runs.ndjson"), server);
  EXPECT_EQ(rest.exit_code, 0);
  EXPECT_THAT(rest.out, Not(HasSubstr(" 0 already there")));
}

TEST(Interchange, KeysAreShownToTheServerAndToNobodyElse) {
  const Folder folder;
  const std::string key = "open-sesame";
  const std::string keys = folder.file("keys", "ops:" + hex(sha256(key)) + "\n");
  const ServerProcess server({"--api-keys-file", keys});
  const auto verify = [&](std::vector<std::string> arguments, const std::string& variable) {
    arguments.insert(arguments.begin(), {"verify", "--server", server.url()});
    ProcessOptions options;
    if (!variable.empty()) options.variables = {{"ACTIONFLOWS_API_KEY", variable}};
    return run_program(arguments, options);
  };
  EXPECT_EQ(verify({}, key).exit_code, 0);
  EXPECT_EQ(verify({"--api-key-file", folder.file("key", key + "\n")}, "").exit_code, 0);
  EXPECT_THAT(verify({}, "").err, HasSubstr("refuses"));
  const Finished wrong = verify({}, "wrong-sesame");
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.err, HasSubstr("refuses"));
  EXPECT_THAT(wrong.err, Not(HasSubstr("sesame")));
  const Finished odd = verify({}, "two words");
  EXPECT_EQ(odd.exit_code, 2);
  EXPECT_THAT(odd.err, Not(HasSubstr("two words")));
  EXPECT_EQ(verify({"--api-key-file", folder.path("absent")}, "").exit_code, 1);
}

TEST(Interchange, RecordedRunsGoThroughTwoServersUnchanged) {
  const std::string runs = recorded_runs();
  if (!std::filesystem::exists(runs)) GTEST_SKIP() << "no recorded runs here: " << runs;
  const Folder folder;
  const ServerProcess server;
  EXPECT_THAT(import(runs, server).out, HasSubstr(" 0 already there, 0 refused"));
  EXPECT_THAT(import(runs, server).out, HasSubstr(" 0 stored, "));
  EXPECT_EQ(run_program({"verify", "--server", server.url()}).exit_code, 0);
  const std::string file = folder.file("export.ndjson", export_of(server));
  const ServerProcess second;
  EXPECT_EQ(import(file, second).exit_code, 0);
  EXPECT_EQ(export_of(second), read_file(file));
}

}  // namespace
}  // namespace actionflows::test
