// Goal: whatever holds for one adapter of the message_log port holds for all of them.
// Method: one list of behaviours, told through the port alone. Each adapter's own file instantiates
// it, on the real thing: a SQLite file, a real Apache Kafka broker.

#include <gmock/gmock.h>

#include <algorithm>
#include <random>
#include <thread>

#include "tests/conformance/message_log/adapter.h"

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Numbers(int from, int to) {
  std::vector<std::string> numbers;
  for (int i = from; i < to; ++i) numbers.push_back(std::to_string(i));
  return numbers;
}

TEST_P(MessageLogBehaviour, KeepsTheOrderOfAPartition) {
  const std::string topic = NewTopic();
  const auto producer = NewProducer();
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK(producer->Commit({.records = To(topic, Numbers(i * 20, i * 20 + 20))}));
  }
  const auto records = ReadCount(*Reader(topic), 100);
  EXPECT_EQ(Values(records), Numbers(0, 100));
  for (size_t i = 1; i < records.size(); ++i) EXPECT_GT(records[i].offset, records[i - 1].offset);
  EXPECT_GT(records[0].timestamp_ms, 1'600'000'000'000) << "milliseconds since 1970";
}

TEST_P(MessageLogBehaviour, KeepsEachKeyInOnePartition) {
  const std::string topic = NewTopic(4);
  const auto producer = NewProducer();
  Transaction transaction;
  for (int i = 0; i < 200; ++i) {
    transaction.records.push_back(
        {.topic = topic, .partition = {}, .key = fmt::format("key {}", i % 40), .value = "v"});
  }
  ASSERT_OK(producer->Commit(transaction));
  std::map<std::string, std::set<int32_t>> places;
  std::set<int32_t> used;
  for (const LogRecord& record : ReadCount(*Reader(topic, 4), 200)) {
    places[record.key].insert(record.at.partition);
    used.insert(record.at.partition);
  }
  EXPECT_EQ(places.size(), 40U);
  for (const auto& [key, partitions] : places) EXPECT_EQ(partitions.size(), 1U) << key;
  EXPECT_EQ(used.size(), 4U) << "40 keys leave none of 4 partitions empty";
}

TEST_P(MessageLogBehaviour, PutsARecordWhereItIsTold) {
  const std::string topic = NewTopic(3);
  const auto producer = NewProducer();
  Transaction transaction;
  for (int32_t p = 0; p < 3; ++p) {
    transaction.records.push_back(
        {.topic = topic, .partition = p, .key = "k", .value = std::to_string(p)});
  }
  ASSERT_OK(producer->Commit(transaction));
  for (const LogRecord& record : ReadCount(*Reader(topic, 3), 3)) {
    EXPECT_EQ(record.value, std::to_string(record.at.partition));
  }
}

TEST_P(MessageLogBehaviour, RefusesAPartitionThatDoesNotExist) {
  const std::string topic = NewTopic(2);
  const auto producer = NewProducer();
  for (const int32_t partition : {-1, 2, 1'000}) {
    Transaction transaction{.records = To(topic, {"good"})};
    transaction.records.push_back(
        {.topic = topic, .partition = partition, .key = "k", .value = "v"});
    EXPECT_CODE(producer->Commit(transaction), Code::kInvalidArgument);
  }
  EXPECT_THAT(ReadAll(*Reader(topic, 2), 2), IsEmpty());
  EXPECT_CODE(log_->Assign({{{topic, 2}, kBeginning}}), Code::kFailedPrecondition);
}

TEST_P(MessageLogBehaviour, SaysWhichTopicIsMissing) {
  const std::string topic = Fresh("missing");
  Witness witness;
  EXPECT_CODE(log_->PartitionCount(topic), Code::kNotFound);
  EXPECT_CODE(log_->Subscribe(Fresh("group"), {topic}, witness), Code::kNotFound);
  EXPECT_CODE(log_->Assign({{{topic, 0}, kBeginning}}), Code::kNotFound);
  EXPECT_CODE(ReadToEnd(*log_, topic, [](const LogRecord&) {}), Code::kNotFound);
  const Status produced = NewProducer()->Commit({.records = To(topic, {"v"})});
  EXPECT_CODE(produced, Code::kNotFound);
  EXPECT_CODE(log_->CommittedOffsets(Fresh("group"), topic), Code::kNotFound);
  EXPECT_NE(produced.message().find(topic), std::string::npos) << produced.message();
}

TEST_P(MessageLogBehaviour, EnsuresTopicsOnceAndLeavesThemAlone) {
  const std::string first = Fresh("topic");
  const std::string second = Fresh("topic");
  const std::vector<TopicSpec> specs = {{.name = first, .partitions = 3},
                                        {.name = second, .partitions = 2}};
  ASSERT_OK(log_->EnsureTopics({specs.data(), 1}));
  Put(first, {"kept"});
  ASSERT_OK(log_->EnsureTopics(specs));  // one of two exists
  ASSERT_OK(log_->EnsureTopics(specs));
  const TopicSpec fewer{.name = first, .partitions = 1};
  ASSERT_OK(log_->EnsureTopics({&fewer, 1}));
  EXPECT_EQ(log_->PartitionCount(first), 3);
  EXPECT_EQ(log_->PartitionCount(second), 2);
  EXPECT_THAT(Values(ReadCount(*Reader(first, 3), 1)), ElementsAre("kept"));
}

TEST_P(MessageLogBehaviour, EnsuresTopicsFromSeveralThreadsAtOnce) {
  const TopicSpec spec{.name = Fresh("topic"), .partitions = 2};
  std::vector<Status> results(4);
  {
    std::vector<std::jthread> threads;
    for (Status& result : results) {
      threads.emplace_back([&, this] { result = log_->EnsureTopics({&spec, 1}); });
    }
  }
  for (const Status& result : results) EXPECT_TRUE(result.ok()) << result.message();
  EXPECT_EQ(log_->PartitionCount(spec.name), 2);
}

TEST_P(MessageLogBehaviour, CarriesAnyBytes) {
  const std::string topic = NewTopic();
  const std::string binary("\0\xFF\n\r\x80 \0", 7);
  const std::string large(1'000'000, 'x');
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", ""}, {"key", ""}, {"", "value"}, {binary, binary}, {large, large}, {"ключ", "🦈"}};
  Transaction transaction;
  for (const auto& [key, value] : cases) {
    transaction.records.push_back({.topic = topic, .partition = 0, .key = key, .value = value});
  }
  ASSERT_OK(NewProducer()->Commit(transaction));
  const auto records = ReadCount(*Reader(topic), cases.size());
  ASSERT_EQ(records.size(), cases.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_TRUE(records[i].key == cases[i].first) << "case " << i;
    EXPECT_TRUE(records[i].value == cases[i].second) << "case " << i;
  }
}

TEST_P(MessageLogBehaviour, RefusesARecordThatIsTooLargeWithItsWholeTransaction) {
  const std::string topic = NewTopic();
  const auto producer = NewProducer();
  Transaction transaction{.records = To(topic, {"before"})};
  transaction.records.push_back(
      {.topic = topic, .partition = 0, .key = "k", .value = std::string(kMaxRecordBytes, 'x')});
  EXPECT_CODE(producer->Commit(transaction), Code::kInvalidArgument);
  EXPECT_THAT(ReadAll(*Reader(topic)), IsEmpty());
  transaction.records.back().value.pop_back();  // key and value: exactly what is allowed
  ASSERT_OK(producer->Commit(transaction));
  EXPECT_EQ(ReadCount(*Reader(topic), 2).back().value.size(), kMaxRecordBytes - 1);
}

TEST_P(MessageLogBehaviour, CommitsNothingAsNothing) {
  EXPECT_TRUE(NewProducer()->Commit({}).ok());
}

TEST_P(MessageLogBehaviour, ReadsFromTheBeginningAndFromAnOffset) {
  const std::string topic = NewTopic();
  Put(topic, Numbers(0, 10));
  const auto all = ReadCount(*Reader(topic), 10);
  auto middle = log_->Assign({{{topic, 0}, all[4].offset}});
  ASSERT_OK(middle);
  EXPECT_EQ(Values(ReadCount(**middle, 6)), Numbers(4, 10));
}

TEST_P(MessageLogBehaviour, RefusesAnOffsetThatDoesNotExist) {
  const std::string topic = NewTopic();
  Put(topic, Numbers(0, 3));
  auto reader = log_->Assign({{{topic, 0}, 1'000}});
  ASSERT_OK(reader);
  Result<PollResult> polled = PollResult{};
  for (int i = 0; i < 100 && polled && !polled->record; ++i)
    polled = (*reader)->Poll(milliseconds(100));
  EXPECT_CODE(polled, Code::kFailedPrecondition);
  ASSERT_FALSE(polled);
  EXPECT_NE(polled.error().message().find("1000"), std::string::npos) << polled.error().message();
}

TEST_P(MessageLogBehaviour, TellsTheEndOfAPartitionEachTimeItIsReached) {
  const std::string topic = NewTopic();
  const auto reader = Reader(topic);
  EXPECT_THAT(ReadAll(*reader), IsEmpty());
  Put(topic, {"a", "b"});
  EXPECT_THAT(Values(ReadCount(*reader, 2)), ElementsAre("a", "b"));
  EXPECT_THAT(ReadAll(*reader), IsEmpty());  // returns when the end is told
}

TEST_P(MessageLogBehaviour, TellsWhichOffsetsAPartitionHoldsAndItsEndAsOneOfThem) {
  const std::string topic = NewTopic();
  const auto empty = log_->Extent({topic, 0});
  ASSERT_OK(empty);
  EXPECT_EQ(empty->first, 0);
  EXPECT_EQ(empty->end, 0);
  Put(topic, {"a", "b", "c"});
  const auto reader = Reader(topic);
  size_t records = 0;
  std::optional<int64_t> told;
  // A log may write the mark that ends a transaction after it has said that it is committed: the
  // end that a reader tells before it has read them is one before them.
  while (records < 3 || !told) {
    const auto polled = reader->Poll(std::chrono::seconds(10));
    ASSERT_OK(polled);
    records += polled->record ? 1 : 0;
    if (records == 3 && polled->end_of) told = polled->end_offset;
  }
  EXPECT_GE(*told, 3);
  const auto extent = log_->Extent({topic, 0});
  ASSERT_OK(extent);
  EXPECT_EQ(extent->first, 0);
  EXPECT_EQ(extent->end, *told);
  EXPECT_CODE(log_->Extent({topic, 1}), Code::kNotFound);
  EXPECT_CODE(log_->Extent({Fresh("nowhere"), 0}), Code::kNotFound);
}

TEST_P(MessageLogBehaviour, ShowsNothingOfAnAbortedTransactionAndTellsTheEndBehindIt) {
  const std::string topic = NewTopic();
  const std::string input = NewTopic();
  Put(input, {"in"});
  auto gone = Join(Fresh("group"), input);
  PollUntil({gone.get()}, [&] { return !gone->records.empty(); });
  gone->consumer->Close();

  const auto producer = NewProducer();
  ASSERT_OK(producer->Commit({.records = To(topic, {"1"})}));
  // The offsets of a member that has left are refused when the records have been sent already.
  const Status refused = producer->Commit({.records = To(topic, {"never"}),
                                           .consumer = gone->consumer.get(),
                                           .offsets = {After(gone->records[0])}});
  EXPECT_CODE(refused, Code::kAborted);
  const auto reader = Reader(topic);
  EXPECT_THAT(Values(ReadCount(*reader, 1)), ElementsAre("1"));
  EXPECT_THAT(ReadAll(*reader), IsEmpty());
  ASSERT_OK(producer->Commit({.records = To(topic, {"2"})}));
  EXPECT_THAT(Values(ReadCount(*reader, 1)), ElementsAre("2"));
}

TEST_P(MessageLogBehaviour, AdvancesOffsetsOnlyWithTheTransaction) {
  const std::string input = NewTopic();
  const std::string output = NewTopic();
  const std::string group = Fresh("group");
  Put(input, {"a", "b"});
  auto member = Join(group, input);
  PollUntil({member.get()}, [&] { return member->records.size() == 2; });
  const auto producer = NewProducer();
  Transaction refused{.records = To(output, {"A"}),
                      .consumer = member->consumer.get(),
                      .offsets = {After(member->records[1])}};
  refused.records.push_back(
      {.topic = output, .partition = 0, .key = "k", .value = std::string(kMaxRecordBytes, 'x')});
  EXPECT_CODE(producer->Commit(refused), Code::kInvalidArgument);

  ASSERT_OK(member->consumer->RewindToCommitted());
  PollUntil({member.get()}, [&] { return member->records.size() == 4; });
  EXPECT_THAT(Values(member->records), ElementsAre("a", "b", "a", "b"));
  ASSERT_OK(producer->Commit({.records = To(output, {"A"}),
                              .consumer = member->consumer.get(),
                              .offsets = {After(member->records[2])}}));
  ASSERT_OK(member->consumer->RewindToCommitted());
  PollUntil({member.get()}, [&] { return member->records.size() == 5; });
  EXPECT_EQ(member->records[4].value, "b");
  EXPECT_THAT(Values(ReadCount(*Reader(output), 1)), ElementsAre("A"));
}

TEST_P(MessageLogBehaviour, ResumesAGroupWhereItCommitted) {
  const std::string topic = NewTopic();
  const std::string group = Fresh("group");
  Put(topic, Numbers(0, 6));
  {
    auto member = Join(group, topic);
    PollUntil({member.get()}, [&] { return member->records.size() == 6; });
    ASSERT_OK(NewProducer()->Commit(
        {.consumer = member->consumer.get(), .offsets = {After(member->records[3])}}));
  }
  const auto committed = log_->CommittedOffsets(group, topic);
  ASSERT_OK(committed);
  ASSERT_EQ(committed->size(), 1U);
  EXPECT_EQ(committed->front().at, (TopicPartition{topic, 0}));
  EXPECT_GT(committed->front().offset, 0) << "4, or more where transactions leave marks";
  const auto untouched = log_->CommittedOffsets(Fresh("group"), topic);
  ASSERT_OK(untouched);
  EXPECT_EQ(untouched->at(0).offset, kBeginning);
  auto successor = Join(group, topic);
  PollUntil({successor.get()}, [&] { return successor->records.size() == 2; });
  EXPECT_EQ(successor->records[0].offset, committed->front().offset);
  EXPECT_EQ(Values(successor->records), Numbers(4, 6));
  auto stranger = Join(Fresh("group"), topic);
  PollUntil({stranger.get()}, [&] { return stranger->records.size() == 6; });
  EXPECT_EQ(Values(stranger->records), Numbers(0, 6)) << "another group starts at the beginning";
}

TEST_P(MessageLogBehaviour, SharesPartitionsAmongTheMembersOfAGroup) {
  const std::string topic = NewTopic(6);
  const std::string group = Fresh("group");
  std::vector<std::unique_ptr<Member>> members;
  std::vector<Member*> all;
  const auto settled = [&] {
    std::set<TopicPartition> covered;
    size_t owned = 0;
    for (const Member* member : all) {
      if (member->witness.owned.empty()) return false;
      owned += member->witness.owned.size();
      covered.insert(member->witness.owned.begin(), member->witness.owned.end());
    }
    EXPECT_EQ(owned, covered.size()) << "a partition was given away before its owner let go";
    return covered.size() == 6;
  };
  const auto join = [&] {
    members.push_back(Join(group, topic));
    all.push_back(members.back().get());
  };
  join();
  PollUntil(all, settled);
  join();
  PollUntil(all, settled);
  EXPECT_EQ(all[0]->witness.owned.size(), 3U);
  join();
  PollUntil(all, settled);
  for (const Member* member : all) EXPECT_EQ(member->witness.owned.size(), 2U);
  all[1]->consumer->Close();
  EXPECT_TRUE(all[1]->witness.owned.empty()) << "closing takes the partitions back first";
  all.erase(all.begin() + 1);
  PollUntil(all, settled);
  for (const Member* member : all) {
    EXPECT_EQ(member->witness.owned.size(), 3U);
    EXPECT_EQ(member->witness.losses, 0);
  }
}

TEST_P(MessageLogBehaviour, LetsAMemberCommitWhileItIsRevoked) {
  const std::string topic = NewTopic();
  const std::string group = Fresh("group");
  Put(topic, Numbers(0, 5));
  const auto producer = NewProducer();
  auto leaver = Join(group, topic);
  Status committed(Code::kInternal, "OnRevoked did not run");
  leaver->witness.on_revoked = [&](auto) {
    committed = producer->Commit(
        {.consumer = leaver->consumer.get(), .offsets = {After(leaver->records.back())}});
  };
  PollUntil({leaver.get()}, [&] { return leaver->records.size() == 5; });
  leaver->consumer->Close();
  ASSERT_OK(committed);
  EXPECT_CODE(leaver->consumer->Poll(milliseconds(0)), Code::kFailedPrecondition);
  Put(topic, {"next"});
  auto successor = Join(group, topic);
  PollUntil({successor.get()}, [&] { return !successor->records.empty(); });
  EXPECT_EQ(successor->records[0].value, "next");
}

TEST_P(MessageLogBehaviour, RefusesOffsetsOfPartitionsThatWereGivenUp) {
  const std::string topic = NewTopic(2);
  const std::string group = Fresh("group");
  ASSERT_OK(NewProducer()->Commit({.records = {{topic, 0, "k", "0"}, {topic, 1, "k", "1"}}}));
  auto first = Join(group, topic);
  PollUntil({first.get()}, [&] { return first->records.size() == 2; });
  std::map<int32_t, LogRecord> by_partition;
  for (const LogRecord& record : first->records) by_partition[record.at.partition] = record;
  auto second = Join(group, topic);
  PollUntil({first.get(), second.get()},
            [&] { return first->witness.owned.size() == 1 && second->witness.owned.size() == 1; });
  const int32_t kept = first->witness.owned.begin()->partition;
  const auto producer = NewProducer();
  EXPECT_CODE(producer->Commit({.records = To(topic, {"never"}),
                                .consumer = first->consumer.get(),
                                .offsets = {After(by_partition[1 - kept])}}),
              Code::kAborted);
  EXPECT_CODE(
      producer->Commit({.consumer = first->consumer.get(), .offsets = {After(by_partition[kept])}}),
      Code::kOk);
}

TEST_P(MessageLogBehaviour, FencesTheEarlierProducerOfATransactionalId) {
  const std::string topic = NewTopic();
  const std::string id = Fresh("id");
  auto earlier = log_->OpenProducer(id);
  ASSERT_OK(earlier);
  ASSERT_OK((*earlier)->Commit({.records = To(topic, {"1"})}));
  auto later = log_->OpenProducer(id);
  ASSERT_OK(later);
  for (int i = 0; i < 2; ++i) {
    EXPECT_CODE((*earlier)->Commit({.records = To(topic, {"never"})}), Code::kFailedPrecondition);
  }
  ASSERT_OK((*later)->Commit({.records = To(topic, {"2"})}));
  EXPECT_THAT(Values(ReadCount(*Reader(topic), 2)), ElementsAre("1", "2"));
}

TEST_P(MessageLogBehaviour, RewindsToTheBeginningWhenNothingIsCommitted) {
  const std::string topic = NewTopic(2);
  ASSERT_OK(NewProducer()->Commit({.records = {{topic, 0, "k", "x"}, {topic, 1, "k", "x"}}}));
  auto member = Join(Fresh("group"), topic);
  for (size_t round = 1; round <= 3; ++round) {
    PollUntil({member.get()}, [&] { return member->records.size() == 2 * round; });
    ASSERT_OK(member->consumer->RewindToCommitted());
  }
  EXPECT_CODE(Reader(topic)->RewindToCommitted(), Code::kInvalidArgument);
}

TEST_P(MessageLogBehaviour, LosesAndRepeatsNothingWhilePartitionsPauseAndResume) {
  constexpr int kPerPartition = 80;
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  const std::string topic = NewTopic(3);
  const auto producer = NewProducer();
  for (int32_t p = 0; p < 3; ++p) {
    Transaction transaction;
    for (int i = 0; i < kPerPartition; ++i) {
      transaction.records.push_back({topic, p, "k", fmt::format("{}:{}", p, i)});
    }
    ASSERT_OK(producer->Commit(transaction));
  }
  auto member = Join(Fresh("group"), topic);
  PollUntil({member.get()}, [&] { return member->witness.owned.size() == 3; });
  std::set<TopicPartition> paused;
  size_t seen = 0;
  int idle = 0;
  const auto resume = [&](const TopicPartition& at) {
    EXPECT_TRUE(member->consumer->Resume({&at, 1}).ok());
    paused.erase(at);
  };
  PollUntil({member.get()}, [&] {
    const bool news = member->records.size() != seen;
    seen = member->records.size();
    idle = news ? 0 : idle + 1;
    if (idle == 20) {  // what is left may be paused
      while (!paused.empty()) resume(*paused.begin());
    }
    if (!news) return false;
    EXPECT_FALSE(paused.contains(member->records.back().at)) << "a paused partition delivered";
    const TopicPartition at{topic, static_cast<int32_t>(random() % 3)};
    if (random() % 8 == 0) {
      EXPECT_TRUE(member->consumer->Pause({&at, 1}).ok());  // twice, at times: it is idempotent
      paused.insert(at);
    } else if (random() % 8 == 0) {
      resume(at);  // also what is not paused
    }
    return seen == 3U * kPerPartition;
  });
  EXPECT_TRUE(ReadFor(*member->consumer, milliseconds(200)).empty()) << "a record came again";
  std::map<int32_t, int> next;
  for (const LogRecord& record : member->records) {
    const int32_t p = record.at.partition;
    ASSERT_EQ(record.value, fmt::format("{}:{}", p, next[p]++));
  }
}

TEST_P(MessageLogBehaviour, HoldsAPartitionThatIsPausedBeforeItsFirstRecord) {
  const std::string topic = NewTopic(2);
  ASSERT_OK(NewProducer()->Commit({.records = {{topic, 0, "k", "0"}, {topic, 1, "k", "1"}}}));
  const TopicPartition held{topic, 1};
  auto reader = Reader(topic, 2);
  ASSERT_OK(reader->Pause({&held, 1}));
  EXPECT_THAT(Values(ReadCount(*reader, 1)), ElementsAre("0"));
  EXPECT_THAT(ReadFor(*reader, milliseconds(500)), IsEmpty());
  ASSERT_OK(reader->Resume({&held, 1}));
  EXPECT_THAT(Values(ReadCount(*reader, 1)), ElementsAre("1"));
}

TEST_P(MessageLogBehaviour, RewindsPartitionsThatArePaused) {
  const std::string topic = NewTopic();
  Put(topic, {"a", "b"});
  auto member = Join(Fresh("group"), topic);
  PollUntil({member.get()}, [&] { return member->records.size() == 2; });
  const TopicPartition at{topic, 0};
  ASSERT_OK(member->consumer->Pause({&at, 1}));
  ASSERT_OK(member->consumer->RewindToCommitted());
  ASSERT_OK(member->consumer->Resume({&at, 1}));
  PollUntil({member.get()}, [&] { return member->records.size() == 4; });
  EXPECT_THAT(Values(member->records), ElementsAre("a", "b", "a", "b"));
}

TEST_P(MessageLogBehaviour, ForgetsAPauseWithItsAssignment) {
  const std::string topic = NewTopic(2);
  const std::string group = Fresh("group");
  auto member = Join(group, topic);
  PollUntil({member.get()}, [&] { return member->witness.owned.size() == 2; });
  const std::vector<TopicPartition> both = {{topic, 0}, {topic, 1}};
  ASSERT_OK(member->consumer->Pause(both));
  auto guest = Join(group, topic);
  PollUntil({member.get(), guest.get()},
            [&] { return member->witness.owned.size() == 1 && guest->witness.owned.size() == 1; });
  guest->consumer->Close();
  PollUntil({member.get()}, [&] { return member->witness.owned.size() == 2; });
  ASSERT_OK(NewProducer()->Commit({.records = {{topic, 0, "k", "0"}, {topic, 1, "k", "1"}}}));
  PollUntil({member.get()}, [&] { return member->records.size() == 2; });
}

TEST_P(MessageLogBehaviour, ShowsTheNewestOfEachKeyOfACompactedTopic) {
  const std::string topic = NewTopic(2, /*compacted=*/true);
  const auto producer = NewProducer();
  for (int round = 0; round < 10; ++round) {
    Transaction transaction;
    for (int key = 0; key < 5; ++key) {
      transaction.records.push_back({topic, {}, fmt::format("key {}", key), std::to_string(round)});
    }
    transaction.records.push_back({topic, {}, "twice in one", "older"});
    transaction.records.push_back({topic, {}, "twice in one", std::to_string(round)});
    ASSERT_OK(producer->Commit(transaction));
  }
  // A commit shows a moment after it was acknowledged; whoever opens a producer waits for that.
  ASSERT_NE(NewProducer(), nullptr);
  std::map<std::string, std::string> newest;
  const auto complete = [&] {
    newest.clear();
    EXPECT_TRUE(ReadToEnd(*log_, topic, [&](const LogRecord& r) { newest[r.key] = r.value; }).ok());
    return newest.size() == 6 &&
           std::ranges::all_of(newest, [](const auto& entry) { return entry.second == "9"; });
  };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!complete() && std::chrono::steady_clock::now() < deadline) {
  }
  EXPECT_EQ(newest.size(), 6U);
  for (const auto& [key, value] : newest) EXPECT_EQ(value, "9") << key;
}

TEST_P(MessageLogBehaviour, ReadsAnEmptyTopicToItsEnd) {
  int records = 0;
  const Status read = ReadToEnd(*log_, NewTopic(3), [&](const LogRecord&) { ++records; });
  EXPECT_TRUE(read.ok()) << read.message();
  EXPECT_EQ(records, 0);
}

TEST_P(MessageLogBehaviour, KeepsItsIdentityAndEverythingElseWhenOpenedAgain) {
  const std::string topic = NewTopic(2);
  const std::string group = Fresh("group");
  const auto identity = log_->Identity();
  ASSERT_OK(identity);
  EXPECT_FALSE(identity->empty());
  Put(topic, Numbers(0, 4));
  {
    auto member = Join(group, topic);
    PollUntil({member.get()}, [&] { return member->records.size() == 4; });
    ASSERT_OK(NewProducer()->Commit(
        {.consumer = member->consumer.get(), .offsets = {After(member->records[1])}}));
  }
  Reopen();
  EXPECT_EQ(log_->Identity().value_or(""), *identity);
  EXPECT_EQ(log_->PartitionCount(topic), 2);
  EXPECT_EQ(Values(ReadCount(*Reader(topic, 2), 4)), Numbers(0, 4));
  auto member = Join(group, topic);
  PollUntil({member.get()}, [&] { return member->records.size() == 2; });
  EXPECT_EQ(Values(member->records), Numbers(2, 4));
}

/// A worker in small: copies its input to `output` with transactions until it is told to stop.
void CopyUntil(MessageLog& log, const std::string& id, const std::string& group,
               const std::string& input, const std::string& output, std::stop_token stop) {
  Witness witness;
  Transaction pending;
  auto producer = log.OpenProducer(id);
  auto consumer = log.Subscribe(group, {input}, witness);
  ASSERT_OK(producer);
  ASSERT_OK(consumer);
  pending.consumer = consumer->get();
  const auto flush = [&]() -> Status {
    const Status done = (*producer)->Commit(pending);
    pending.records.clear();
    pending.offsets.clear();
    return done;
  };
  witness.on_revoked = [&](auto) { static_cast<void>(flush()); };
  while (!stop.stop_requested()) {
    const int losses = witness.losses;
    auto polled = (*consumer)->Poll(milliseconds(20));
    ASSERT_OK(polled);
    if (witness.losses != losses) pending = {.consumer = consumer->get()};
    if (polled->record) {
      pending.records.push_back({output, {}, polled->record->key, polled->record->value});
      std::erase_if(pending.offsets,
                    [&](const TopicOffset& o) { return o.at == polled->record->at; });
      pending.offsets.push_back(After(*polled->record));
    }
    if (pending.records.size() < 10 && polled->record) continue;
    const Status done = flush();
    if (done.code() == Code::kAborted)
      ASSERT_OK((*consumer)->RewindToCommitted());
    else
      ASSERT_OK(done);
  }
}

TEST_P(MessageLogBehaviour, CopiesEachRecordExactlyOnceWhileMembersComeAndGo) {
  constexpr int kRecords = 600;
  const std::string input = NewTopic(4);
  const std::string output = NewTopic(2);
  const std::string group = Fresh("group");
  const auto spawn = [&](const char* name) {
    return std::jthread([=, this](std::stop_token stop) {
      CopyUntil(*log_, fmt::format("{}-{}", group, name), group, input, output, stop);
    });
  };
  std::jthread first = spawn("first");
  std::jthread feeder([&, this] {
    const auto producer = NewProducer();
    for (int i = 0; i < kRecords; i += 20) {
      Transaction transaction;
      for (int k = i; k < i + 20; ++k) {
        transaction.records.push_back({input, k % 4, std::to_string(k), std::to_string(k)});
      }
      ASSERT_OK(producer->Commit(transaction));
    }
  });
  const auto reader = Reader(output, 2);
  ReadCount(*reader, kRecords / 4);
  std::jthread second = spawn("second");
  ReadCount(*reader, kRecords / 4);
  std::jthread third = spawn("third");
  first = {};  // stops, leaves the group
  ReadCount(*reader, kRecords / 2);
  feeder = {};
  second = {};
  third = {};
  const auto everything = Reader(output, 2);
  std::vector<std::string> copied = Values(ReadCount(*everything, kRecords));
  for (const LogRecord& surplus : ReadFor(*everything, milliseconds(300)))
    copied.push_back(surplus.value);
  std::ranges::sort(copied);
  std::vector<std::string> expected = Numbers(0, kRecords);
  std::ranges::sort(expected);
  EXPECT_EQ(copied, expected);
}

}  // namespace
}  // namespace trawl::storage
