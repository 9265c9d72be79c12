#pragma once
// From the port's GetCallback to the client's tasks, for the two stores that download over HTTP.

#include "storage/object_store/http/http_client.h"
#include "storage/object_store/object_store.h"

namespace trawl::storage {

/// For HttpTask::done: hands an accepted reply's body, or the error, to `done`.
std::function<void(HttpOutcome)> DeliverTo(GetCallback done);

/// Answers with `error` on the client's thread, without a request.
void Refuse(HttpClient& client, ObjectError error, GetCallback done);

}  // namespace trawl::storage
