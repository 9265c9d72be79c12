#pragma once
// The shape of the results database: which file is one, and how an older one becomes a current one.

#include <span>

#include "config/status.h"
#include "storage/sqlite/sqlite.h"

namespace trawl::storage {

/// The steps of the schema, oldest first: step n turns version n into n + 1. Forward only: a step
/// that was released is never edited; a change is a new step.
std::span<const char* const> Migrations();

/// Creates the schema in an empty database, or applies what an older one lacks; all or nothing.
/// Errors: kFailedPrecondition (another program's database, or from a newer Trawl), kDataLoss (not
/// a database), kPermissionDenied, kUnavailable (locked), kResourceExhausted.
Status CreateOrMigrate(SqliteDatabase& database);

/// For readers, who change nothing. Errors: as CreateOrMigrate, and kFailedPrecondition when it is
/// empty or older.
Status CheckSchema(SqliteDatabase& database);

}  // namespace trawl::storage
