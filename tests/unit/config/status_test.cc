// Goal: failures carry their code and their context through every form that the code base uses.
// Method: small functions that fail, and what their callers see.
#include "config/status.h"

#include <gtest/gtest.h>

namespace trawl {
namespace {

Status Refuse() { return Error(Code::kNotFound, "no such file: {}", "a.onnx"); }
Result<int> RefuseValue() { return Error(Code::kDataLoss, "premature end"); }
Result<int> Seven() { return 7; }

Result<int> AddOne(bool fail) {
  TRAWL_ASSIGN(const int value, fail ? RefuseValue() : Seven());
  return value + 1;
}

Status Open(bool fail) {
  if (fail) TRAWL_TRY(Refuse());
  return OkStatus();
}

Result<int> OpenThenCount(bool fail) {
  TRAWL_TRY(Open(fail));
  return 3;
}

TEST(Status, IsOkUnlessToldOtherwise) {
  EXPECT_TRUE(Status().ok());
  EXPECT_TRUE(OkStatus().ok());
  EXPECT_EQ(OkStatus().code(), Code::kOk);
}

TEST(Status, CarriesCodeAndMessage) {
  const Status status = Refuse();
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_EQ(status.message(), "no such file: a.onnx");
}

TEST(Status, AnnotateKeepsTheCodeAndPutsTheContextFirst) {
  const Status status = Annotate(Refuse(), "reading {}", "model.yaml");
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_EQ(status.message(), "reading model.yaml: no such file: a.onnx");
}

TEST(Status, TryAndAssignReturnTheFailureOrGoOn) {
  EXPECT_EQ(AddOne(false).value(), 8);
  EXPECT_EQ(AddOne(true).error().code(), Code::kDataLoss);
  EXPECT_EQ(OpenThenCount(false).value(), 3);
  EXPECT_EQ(OpenThenCount(true).error().message(), "no such file: a.onnx");
}

TEST(Status, OnlyPassingFaultsAreRetryable) {
  EXPECT_TRUE(IsRetryable(Code::kUnavailable));
  EXPECT_TRUE(IsRetryable(Code::kDeadlineExceeded));
  EXPECT_TRUE(IsRetryable(Code::kAborted));
  for (const Code code : {Code::kOk, Code::kInvalidArgument, Code::kNotFound, Code::kDataLoss,
                          Code::kFailedPrecondition, Code::kResourceExhausted, Code::kInternal})
    EXPECT_FALSE(IsRetryable(code)) << ToString(code);
}

TEST(Status, CodesHaveSnakeCaseNames) {
  EXPECT_EQ(ToString(Code::kFailedPrecondition), "failed_precondition");
  EXPECT_EQ(ToString(Code::kOk), "ok");
}

}  // namespace
}  // namespace trawl
